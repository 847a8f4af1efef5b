"""Small whole examples of everything that edged reads from outside."""

from __future__ import annotations

import io
import json
import tempfile
import zipfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import av
import gguf
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import CertificateSigningRequestBuilder, Name
from PIL import Image

from edged import wire
from edged.engine.installed import export_engine
from edged.events import Image as Picture
from edged.events import Message, Role, Text
from edged.records import Conversation, Transcript
from edged.trust.archive import write_archive
from edged.v1.conversation_pb2 import ExportConversationsResponse
from tests.audio.recordings import encoded, tone
from tests.bundle import test_bundle_archive as bundle
from tests.tiny_artefact import tiny_artefact

HIDDEN, VOCABULARY = 32, 3

ANNOUNCEMENT = b"\x03v=1\x08web=8443\x0agrpc=50051"
CONFIG = b"""
[daemon]
drain_seconds = 1.5
tcp = "127.0.0.1:50051"
[camera]
source = "http://192.168.1.9/video"
[voice]
listen = true
wake_words = "okay_nabu"
[sampling]
temperature = 0.5
"""
LINK = b"https://192.168.1.7:8443/#pair=" + b"A" * 43 + b"&fp=" + b"ab" * 32
_JPEG = b"\xff\xd8\xffcd"
MJPEG = b"--x\r\nContent-Type: image/jpeg\r\nContent-Length: 5\r\n\r\n%b\r\n--x\r\n\r\n%b\r\n--x\r\n" % (_JPEG, _JPEG)
TOOL_CALLS = (
    b'Well. <tool_call>\n{"name": "look", "arguments": {"place": "a \\"}"}}\n</tool_call>',
    b'[TOOL_CALLS][{"name": "look", "arguments": {"place": "here"}}]',
    b'{"name": "look", "parameters": {"place": {"a": [1, 2]}}}',
)
TORCH_WEIGHTS = (
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}q\x00."
    b"\x80\x02}q\x00X\x0b\0\0\0model_state}s.\x80\x02]q\x00."
)
WYOMING = b'{"type": "audio-chunk", "data": {"rate": 16000}, "data_length": 12, "payload_length": 4}\n{"width": 2}abcd'


@cache
def folder() -> Path:
    """For parsers that read files; it goes with the process."""
    made = tempfile.TemporaryDirectory(prefix="edged-fuzz-")
    _kept.append(made)
    return Path(made.name)


_kept: list[tempfile.TemporaryDirectory[str]] = []


@cache
def artefact() -> Path:
    return tiny_artefact(folder())


def pictures() -> list[bytes]:
    found = []
    for kind in ("PNG", "JPEG", "WEBP", "GIF"):
        file = io.BytesIO()
        picture = Image.new("RGB", (9, 7), "red")
        exif = picture.getexif()
        exif[274] = 6
        picture.save(file, kind, **({"exif": exif} if kind != "GIF" else {}))
        found.append(file.getvalue())
    return found


def recordings() -> list[bytes]:
    kinds = (("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"))
    return [encoded(tone(0.1), 16_000, *kind) for kind in kinds]


def opus_packets() -> list[bytes]:
    """Each with its length before it, in one byte."""
    with av.open(io.BytesIO(encoded(tone(0.2), 16_000, "OGG", "OPUS"))) as file:
        packets = [bytes(packet) for packet in file.demux() if packet.size]
    return [b"".join(len(packet).to_bytes() + packet for packet in packets if len(packet) < 256)]


def gguf_files() -> list[bytes]:
    path = folder() / "example.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for add, value in (
        (writer.add_block_count, 1),
        (writer.add_context_length, 64),
        (writer.add_embedding_length, HIDDEN),
        (writer.add_feed_forward_length, HIDDEN),
        (writer.add_head_count, 2),
        (writer.add_layer_norm_rms_eps, 1e-5),
        (writer.add_tokenizer_model, "gpt2"),
        (writer.add_token_list, ["a", "b", "ab"]),
        (writer.add_token_types, [1, 1, 3]),
        (writer.add_token_merges, ["a b"]),
        (writer.add_eos_token_id, 2),
    ):
        add(value)
    square = np.ones((HIDDEN, HIDDEN), np.float16)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        writer.add_tensor(f"blk.0.{name}.weight", square)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(f"{name}.weight", square[0].astype(np.float32))
    writer.add_tensor("token_embd.weight", square[:VOCABULARY])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return [path.read_bytes()]


def checkpoint_configs() -> list[bytes]:
    plain = {"hidden_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    plain |= {"intermediate_size": HIDDEN, "vocab_size": VOCABULARY, "rms_norm_eps": 1e-5}
    plain |= {"max_position_embeddings": 64, "rope_theta": 1e4, "head_dim": 16}
    packed = {"quant_method": "gptq", "bits": 4, "group_size": 16, "sym": True, "desc_act": False}
    return [
        json.dumps({"model_type": kind, **plain, **more}).encode()
        for kind, more in (
            ("llama", {}),
            ("llama", {"quantization_config": packed}),
            ("gemma3_text", {"sliding_window": 16, "sliding_window_pattern": 2}),
        )
    ]


def safetensors_files() -> list[bytes]:
    names = ("model.embed_tokens.weight", "model.norm.weight", "model.layers.0.self_attn.q_proj.weight")
    shapes = ([VOCABULARY, HIDDEN], [HIDDEN], [HIDDEN, HIDDEN])
    entries, end = {}, 0
    for name, shape in zip(names, shapes, strict=True):
        begin, end = end, end + 2 * int(np.prod(shape))
        entries[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
    header = json.dumps(entries).encode()
    return [len(header).to_bytes(8, "little") + header + bytes(end)]


def whisper_weights() -> list[bytes]:
    numbers = (0x67676D6C, 10)
    tensor = (1, 1, 0, 2)  # dimensions, length of the name, type, shape
    head = b"".join(number.to_bytes(4, "little") for number in numbers) + b"silero-16k" + bytes(4)
    return [head + b"".join(number.to_bytes(4, "little") for number in tensor) + b"a" + bytes(8)]


def certificate_requests() -> list[bytes]:
    key = generate_private_key(SECP256R1())
    request = CertificateSigningRequestBuilder().subject_name(Name([])).sign(key, SHA256())
    return [request.public_bytes(Encoding.DER)]


def archives() -> list[bytes]:
    """Of conversations, signed."""
    file = folder() / "archive.zip"
    file.unlink(missing_ok=True)
    write_archive(file, [transcript()], bytes(32))
    return [file.read_bytes()]


def archived_conversations() -> list[bytes]:
    message = wire.transcript_to_wire(transcript(), ExportConversationsResponse)
    return [message.SerializeToString()]


def archive_manifests() -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(archives()[0])) as archive:
        return [archive.read("manifest.json")]


def transcript() -> Transcript:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    picture = Picture(data=pictures()[0], media_type="image/png", description="Red.")
    said = (Text(text="What is it?"), picture)
    question = Message(role=Role.USER, parts=said, id="q1", created_at=now)
    answer = Message(role=Role.ASSISTANT, parts=(Text(text="Red."),), id="a1", created_at=now, model="tiny")
    about = Conversation(id="c1", title="Red", created_at=now, updated_at=now, message_count=2, owner="")
    return Transcript(conversation=about, messages=(question, answer))


def engine_tars() -> list[bytes]:
    file = folder() / "engine.tar"
    if not file.exists():
        export_engine(artefact(), file)
    return [file.read_bytes()]


def bundles() -> list[bytes]:
    return [bundle.write(folder())]


def bundle_manifests() -> list[bytes]:
    return [bundle.manifest_of({"wheels/a.whl": artefact() / "model.onnx"}).to_bytes()]
