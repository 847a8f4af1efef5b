"""GGUF files: every encoding, the tokenizer inside, and files that are damaged or hostile."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.quants import dequantize, quantize
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_checkpoints import (
    VOCABULARY,
    float_session,
    reference_logits,
    relative_error,
    save_folder,
    save_gguf,
    tiny_model,
    tokens_of,
)
from tokenizers import Tokenizer

from edged.errors import CheckpointError
from engines.checkpoint import open_checkpoint
from engines.checkpoint.gguf_header import read_header
from engines.checkpoint.gguf_vocabulary import read_vocabulary
from engines.quantize import Rounding, quantized
from engines.tensor import Tensor

ENCODINGS = ("F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0")


@pytest.mark.parametrize("model_type", ["llama", "mistral", "qwen2", "qwen3"])
def test_a_gguf_file_computes_what_its_folder_computes(model_type: str, tmp_path: Path) -> None:
    model = tiny_model(model_type, sliding_window=None) if model_type == "mistral" else tiny_model(model_type)
    checkpoint = open_checkpoint(save_gguf(model, tmp_path / "tiny.gguf", "F32"))
    tokens = tokens_of(30)
    session = float_session(checkpoint, tmp_path / "engine")
    logits = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
    assert relative_error(logits, reference_logits(model, tokens)) < 1e-3


@pytest.mark.parametrize(
    ("model_type", "overrides", "metadata"),
    [
        ("gemma", {"num_key_value_heads": 1}, {}),
        (
            "gemma2",
            {
                "sliding_window": 7,
                "num_hidden_layers": 3,
                "attn_logit_softcapping": 2.0,
                "final_logit_softcapping": 3.0,
            },
            {"attention.sliding_window": 7, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
        ),
        ("gemma2", {}, {}),
        ("gemma3_text", {"sliding_window": 7, "num_hidden_layers": 7}, {"attention.sliding_window": 7}),
        (
            "gemma3_text",
            {
                "sliding_window": 7,
                "num_hidden_layers": 7,
                "rope_parameters": {
                    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 5e4},
                },
            },
            {
                "attention.sliding_window": 7,
                "rope.freq_base_swa": 5e4,
                "rope.scaling.type": "linear",
                "rope.scaling.factor": 8.0,
            },
        ),
    ],
)
def test_a_gguf_file_of_gemma_computes_what_its_folder_computes(
    model_type: str, overrides: dict[str, Any], metadata: dict[str, Any], tmp_path: Path
) -> None:
    """The format holds the weights of norms plus one, and no scale of the queries."""
    model = tiny_model(model_type, **{"query_pre_attn_scalar": 16} | overrides)
    prefix = model_type.removesuffix("_text")
    keys = {f"{prefix}.{key}".replace(".", "__"): value for key, value in metadata.items()}
    checkpoint = open_checkpoint(save_gguf(model, tmp_path / "tiny.gguf", "F32", **keys))
    folder = open_checkpoint(save_folder(model, tmp_path / "model"))
    tokens = tokens_of(30)
    session = float_session(checkpoint, tmp_path / "engine")
    logits = session.prefill(session.allocate(), 0, tokens, range(len(tokens)))
    assert relative_error(logits, reference_logits(model, tokens)) < 1e-3
    assert checkpoint.architecture.windows == folder.architecture.windows
    assert [rope.rotary_dim for rope in checkpoint.architecture.ropes] == [16] * folder.architecture.layers


def test_the_largest_gemmas_scale_queries_by_the_share_of_a_head(tmp_path: Path) -> None:
    """As llama.cpp knows them: by their number of layers."""
    model = tiny_model("gemma2", hidden_size=96, num_hidden_layers=46, query_pre_attn_scalar=24)
    assert open_checkpoint(save_gguf(model, tmp_path / "tiny.gguf")).architecture.query_scale == pytest.approx(24**-0.5)


def test_scaling_of_rotary_positions_is_what_the_same_config_says(tmp_path: Path) -> None:
    scaling: dict[str, Any] = {
        "factor": 4.0,
        "original_max_position_embeddings": 64,
        "beta_fast": 16.0,
        "beta_slow": 2.0,
    }
    model = tiny_model("qwen3", rope_parameters={"rope_type": "yarn", "rope_theta": 1e4, **scaling})
    names = {"factor": "factor", "original_context_length": "original_max_position_embeddings"}
    names |= {"yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"}
    metadata = {f"qwen3.rope.scaling.{ours}".replace(".", "__"): scaling[theirs] for ours, theirs in names.items()}
    file = save_gguf(model, tmp_path / "tiny.gguf", qwen3__rope__scaling__type="yarn", **metadata)
    folder = save_folder(model, tmp_path / "model")
    assert open_checkpoint(file).architecture.ropes == open_checkpoint(folder).architecture.ropes


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_reads_as_the_gguf_package_reads_it(encoding: str, tmp_path: Path) -> None:
    checkpoint = open_checkpoint(save_gguf(tiny_model("qwen2"), tmp_path / "tiny.gguf", encoding))
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(tmp_path / "tiny.gguf").tensors}
    for name, other in (
        ("embedding.weight", "token_embd.weight"),
        ("layers.1.down.weight", "blk.1.ffn_down.weight"),
        ("layers.0.q.bias", "blk.0.attn_q.bias"),
    ):
        ours = checkpoint.tensors[name].read()
        expected = dequantize(theirs[other].data, theirs[other].tensor_type)
        np.testing.assert_array_equal(ours, expected.reshape(ours.shape))


@pytest.mark.parametrize("encoding", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_XS"])
def test_k_quants_read_as_the_gguf_package_reads_them(encoding: str, tmp_path: Path) -> None:
    """The package cannot write these, so the blocks are random bytes with sane scales."""
    kind = gguf.GGMLQuantizationType[encoding]
    stored = np.random.default_rng(0).integers(0, 64, (6, 2 * gguf.GGML_QUANT_SIZES[kind][1]), np.uint8)
    (tmp_path / "blocks").write_bytes(b"head" + stored.tobytes())
    tensor = Tensor(name="x", path=tmp_path / "blocks", offset=4, shape=(6, 512), encoding=encoding)
    np.testing.assert_array_equal(tensor.read(), dequantize(stored, kind))
    order = np.array([5, 3, 4, 0, 1, 2])
    np.testing.assert_array_equal(tensor.reordered(order).read_rows(1, 4), dequantize(stored, kind)[order[1:4]])


@pytest.mark.parametrize(("encoding", "bits"), [("Q4_0", 4), ("Q4_1", 4), ("Q8_0", 8)])
def test_kept_blocks_are_the_files_own(encoding: str, bits: Any, tmp_path: Path) -> None:
    weights = np.random.default_rng(1).normal(size=(8, 128)).astype(np.float32)
    kind = gguf.GGMLQuantizationType[encoding]
    stored = quantize(weights, kind)
    (tmp_path / "blocks").write_bytes(stored.tobytes())
    tensor = Tensor(name="x", path=tmp_path / "blocks", offset=0, shape=(8, 128), encoding=encoding)
    kept = quantized([tensor], Rounding(bits=bits, block_size=32))
    np.testing.assert_allclose(kept.dense(), dequantize(stored, kind), rtol=1e-6, atol=1e-6)
    # Rounding again finds symmetric blocks back; it is Q4_1 that must be kept to be the same.
    again = quantized([tensor], Rounding(bits=bits, block_size=32, keep=False))
    assert np.allclose(again.dense(), kept.dense()) == (encoding != "Q4_1")


class TestTokenizer:
    def test_byte_level_says_what_the_folder_says(self, tmp_path: Path) -> None:
        model = tiny_model()
        folder = open_checkpoint(save_folder(model, tmp_path / "folder")).vocabulary
        file = open_checkpoint(save_gguf(model, tmp_path / "tiny.gguf")).vocabulary
        ours, theirs = Tokenizer.from_str(file.tokenizer), Tokenizer.from_str(folder.tokenizer)
        for text in ("the thin man", "<|im_start|>user\nthe<|im_end|>", "漢字 and 🎉", " \n\n  x"):
            assert ours.encode(text).ids == theirs.encode(text).ids
            assert ours.decode(ours.encode(text).ids, skip_special_tokens=False) == text
        assert (file.bos, file.eos, file.eos_text) == (1, (2, 0), "<|im_end|>")
        assert (folder.bos, folder.eos, folder.eos_text) == (1, (2,), "<|im_end|>")
        assert file.has_reasoning and file.chat_template == folder.chat_template

    def test_digits_and_splits_follow_the_named_pre_tokenizer(self) -> None:
        def pieces(kind: str, text: str) -> list[str]:
            metadata: dict[str, Any] = {
                "tokenizer.ggml.model": "gpt2",
                "tokenizer.ggml.pre": kind,
                "tokenizer.ggml.tokens": VOCABULARY,
                "tokenizer.ggml.merges": [],
                "tokenizer.ggml.eos_token_id": 2,
            }
            tokenizer = Tokenizer.from_str(read_vocabulary(metadata, 300).tokenizer)
            assert tokenizer.pre_tokenizer is not None
            return [piece for piece, _ in tokenizer.pre_tokenizer.pre_tokenize_str(text)]

        assert pieces("smollm", "in 1234") == ["in", "Ġ", "1", "2", "3", "4"]
        assert pieces("default", "in 1234") == ["in", "Ġ1234"]
        assert pieces("llama-bpe", "in 1234") == ["in", "Ġ", "123", "4"]
        assert pieces("qwen2", "in 1234") == ["in", "Ġ", "1", "2", "3", "4"]
        with pytest.raises(CheckpointError, match="pre-tokenizer 'klingon' is not supported; supported are"):
            pieces("klingon", "x")

    def test_sentence_piece_merges_come_back_from_scores(self) -> None:
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "h", "e", "he", "▁he", "l"]
        scores = [0.0] * 259 + [-9.0, -8.0, -7.0, -1.0, -2.0, -6.0]
        metadata: dict[str, Any] = {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": scores,
            "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * 6,
            "tokenizer.ggml.bos_token_id": 1,
            "tokenizer.ggml.eos_token_id": 2,
            "tokenizer.ggml.unknown_token_id": 0,
        }
        vocabulary = read_vocabulary(metadata, len(tokens))
        tokenizer = Tokenizer.from_str(vocabulary.tokenizer)
        assert tokenizer.encode("hel").tokens == ["<s>", "▁he", "l"]
        assert tokenizer.encode("é", add_special_tokens=False).tokens == ["▁", "<0xC3>", "<0xA9>"]
        assert tokenizer.decode(tokenizer.encode("he lé 🎉").ids) == "he lé 🎉"
        assert vocabulary.eos == (2,) and vocabulary.bos_text == "<s>"

    def test_gemma_begins_without_a_space_and_ends_with_its_turn(self) -> None:
        marks = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
        tokens = [*marks, "▁", "h", "e", "he", "▁he", "\n"]
        metadata: dict[str, Any] = {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.scores": [0.0] * 6 + [-9.0, -8.0, -7.0, -1.0, -2.0, -6.0],
            "tokenizer.ggml.token_type": [3, 3, 3, 2, 3, 3] + [1] * 6,
            "tokenizer.ggml.bos_token_id": 2,
            "tokenizer.ggml.eos_token_id": 1,
            "tokenizer.ggml.unknown_token_id": 3,
            "tokenizer.ggml.add_space_prefix": False,
        }
        vocabulary = read_vocabulary(metadata, len(tokens))
        tokenizer = Tokenizer.from_str(vocabulary.tokenizer)
        said = tokenizer.encode("<start_of_turn>he he\nhe<end_of_turn>", add_special_tokens=False).tokens
        assert said == ["<start_of_turn>", "he", "▁he", "\n", "he", "<end_of_turn>"]
        assert tokenizer.encode("he").tokens == ["<bos>", "he"]
        assert vocabulary.eos == (1, 5) and not vocabulary.has_reasoning


@pytest.fixture(scope="module")
def good_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return save_gguf(tiny_model(), tmp_path_factory.mktemp("good") / "tiny.gguf", "Q4_1").read_bytes()


@pytest.fixture(scope="module")
def gemma_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    metadata: dict[str, Any] = {
        "attention.sliding_window": 7,
        "rope.freq_base_swa": 1e4,
        "final_logit_softcapping": 3.0,
    }
    keys = {f"gemma3.{key}".replace(".", "__"): value for key, value in metadata.items()}
    path = tmp_path_factory.mktemp("gemma") / "tiny.gguf"
    return save_gguf(tiny_model("gemma3_text", num_hidden_layers=1), path, "Q4_1", **keys).read_bytes()


def read_all(path: Path) -> None:
    """Everything a build reads from a checkpoint."""
    checkpoint = open_checkpoint(path)
    for tensor in checkpoint.tensors.values():
        tensor.read()
        if len(tensor.shape) == 2:
            quantized([tensor], Rounding(bits=4, block_size=32))


class TestDamage:
    """Whatever the bytes, the answer is a CheckpointError or a checkpoint."""

    @settings(max_examples=60, deadline=None)
    @given(share=st.floats(0, 1))
    def test_truncated(self, good_bytes: bytes, tmp_path_factory: pytest.TempPathFactory, share: float) -> None:
        path = tmp_path_factory.mktemp("cut") / "cut.gguf"
        path.write_bytes(good_bytes[: int(share * (len(good_bytes) - 1))])
        with pytest.raises(CheckpointError, match=r"cut\.gguf"):
            read_all(path)

    @settings(max_examples=150, deadline=None)
    @given(seed=st.integers(0, 2**32), flips=st.integers(1, 30), is_gemma=st.booleans())
    def test_flipped_bytes(
        self,
        good_bytes: bytes,
        gemma_bytes: bytes,
        tmp_path_factory: pytest.TempPathFactory,
        seed: int,
        flips: int,
        is_gemma: bool,
    ) -> None:
        source = random.Random(seed)
        data = bytearray(gemma_bytes if is_gemma else good_bytes)
        header = len(data) // 8
        for _ in range(flips):
            data[source.randrange(4, header if source.random() < 0.8 else len(data))] = source.randrange(256)
        path = tmp_path_factory.mktemp("flip") / "flip.gguf"
        path.write_bytes(data)
        try:
            read_all(path)
        except CheckpointError as error:
            assert "\n" not in error.message and len(error.message) < 600

    @given(data=st.binary(max_size=400))
    @settings(max_examples=100, deadline=None)
    def test_random_bytes(self, tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
        path = tmp_path_factory.mktemp("noise") / "noise.gguf"
        path.write_bytes(b"GGUF\3\0\0\0" + data)
        with pytest.raises(CheckpointError):
            open_checkpoint(path)

    @pytest.mark.parametrize(
        "header",
        [
            struct.pack("<4sIQQ", b"GGUF", 3, 2**62, 0),
            struct.pack("<4sIQQ", b"GGUF", 3, 0, 2**62),
            struct.pack("<4sIQQQ", b"GGUF", 3, 0, 1, 2**63),
            struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"a", 9, 0, 2**60) + bytes(64),
            struct.pack("<4sIQQQ1sIIQ", b"GGUF", 3, 0, 1, 1, b"a", 9, 8, 2**60) + bytes(64),
            struct.pack("<4sIQQQ1sI", b"GGUF", 3, 0, 1, 1, b"a", 9) + struct.pack("<IQ", 9, 1) * 1000,
            struct.pack("<4sIQQQ1sI", b"GGUF", 3, 1, 0, 1, b"a", 4) + struct.pack("<4QIQ", *[2**39] * 4, 0, 0),
            b"",
            b"GGUF",
            b"not a gguf file at all",
        ],
    )
    def test_hostile_headers_cost_nothing(self, header: bytes, tmp_path: Path) -> None:
        (tmp_path / "hostile.gguf").write_bytes(header)
        with pytest.raises(CheckpointError, match=r"hostile\.gguf: not a valid GGUF file: "):
            read_header(tmp_path / "hostile.gguf")


class TestRefusals:
    def test_unsupported_architecture_names_the_supported(self, tmp_path: Path) -> None:
        writer = gguf.GGUFWriter(tmp_path / "x.gguf", "mamba")
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        with pytest.raises(
            CheckpointError, match=r"'mamba' is not supported; supported are llama, mistral, qwen2, qwen3"
        ):
            open_checkpoint(tmp_path / "x.gguf")

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b"blk.1.ffn_up.weight", b"blk.1.ffn_up.wright", r"1 tensors are missing: layers\.1\.up\.weight"),
            (b"blk.0.ffn_up.weight", b"blk.7.ffn_up.weight", r"missing: layers\.0\.up\.weight"),
            (b"tokenizer.ggml.tokens", b"tokenizer.ggml.tokemz", "no tokenizer"),
            (b"llama.block_count", b"llama.block_cownt", r"metadata llama\.block_count must be a whole number"),
        ],
    )
    def test_what_is_missing_is_named(
        self, old: bytes, new: bytes, message: str, good_bytes: bytes, tmp_path: Path
    ) -> None:
        assert good_bytes.count(old) == 1
        (tmp_path / "x.gguf").write_bytes(good_bytes.replace(old, new))
        with pytest.raises(CheckpointError, match=message):
            open_checkpoint(tmp_path / "x.gguf")

    def test_wrong_shape(self, tmp_path: Path) -> None:
        model = tiny_model()
        path = save_gguf(model, tmp_path / "x.gguf", "F32")
        data = path.read_bytes()
        key = b"llama.feed_forward_length" + struct.pack("<II", 4, 96)
        assert data.count(key) == 1
        path.write_bytes(data.replace(key, key[:-4] + struct.pack("<I", 64)))
        with pytest.raises(CheckpointError, match=r"has the shape \[96, 64\], expected \[64, 64\]"):
            open_checkpoint(path)

    @pytest.mark.parametrize("code", [8, 26])
    def test_vectors_are_plain_numbers(self, code: int, good_bytes: bytes, tmp_path: Path) -> None:
        vector = b"output_norm.weight" + struct.pack("<IQ", 1, 64)
        assert good_bytes.count(vector) == 1
        data = good_bytes.replace(vector + struct.pack("<I", 0), vector + struct.pack("<I", code))
        (tmp_path / "x.gguf").write_bytes(data)
        with pytest.raises(CheckpointError, match=r"output_norm\.weight: the encoding (Q8_0|I32) is not supported"):
            open_checkpoint(tmp_path / "x.gguf")

    @pytest.mark.parametrize("factors", [np.ones(8, np.int32), np.ones((2, 2, 2), np.float32), np.ones(9, np.float32)])
    def test_rope_factors_of_another_kind(self, factors: Any, tmp_path: Path) -> None:
        path = save_gguf(tiny_model(), tmp_path / "x.gguf", rope_freqs=factors)
        with pytest.raises(CheckpointError, match=r"rope_freqs\.weight must be 8 numbers in F32"):
            open_checkpoint(path)

    def test_heads_that_turn_in_part(self, good_bytes: bytes, tmp_path: Path) -> None:
        key = b"llama.attention.value_length"
        assert good_bytes.count(key) == 1
        old = struct.pack("<Q", len(key)) + key + struct.pack("<II", 4, 16)
        name, longer_name = struct.pack("<Q", 4) + b"Tiny", struct.pack("<Q", 6) + b"Tiny++"  # keeps the length
        new = b"llama.rope.dimension_count"
        data = good_bytes.replace(old, struct.pack("<Q", len(new)) + new + struct.pack("<II", 4, 8))
        data = data.replace(name, longer_name)
        (tmp_path / "x.gguf").write_bytes(data)
        with pytest.raises(CheckpointError, match="only 8 of 16 values of a head turn"):
            open_checkpoint(tmp_path / "x.gguf")

    def test_no_such_file(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="no such file or folder"):
            open_checkpoint(tmp_path / "nowhere.gguf")
