from __future__ import annotations

import json
from pathlib import Path

import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import decoders, models

from edged.engine.tokenizer import LONG_CHARACTERS, Detokenizer, Tokenizer
from edged.errors import ArtefactError
from tests.tiny_artefact import SPECIALS, tiny_tokenizer

REFERENCE = tiny_tokenizer()
WORDS = ("<unk>", "▁", "▁hello", "lo", "▁Z", "ü", "rich", "▁▁", *(f"<0x{byte:02X}>" for byte in range(256)))


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    REFERENCE.save(str(path))
    return Tokenizer(path)


def sentencepiece_reference() -> tokenizers.Tokenizer:
    """What a Llama 2 or Mistral checkpoint converts to."""
    tokenizer = tokenizers.Tokenizer(
        models.BPE(vocab={word: index for index, word in enumerate(WORDS)}, merges=[], byte_fallback=True)
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


@pytest.fixture(scope="module")
def sentencepiece(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    sentencepiece_reference().save(str(path))
    return Tokenizer(path)


def pieces(tokenizer: Tokenizer, tokens: list[int]) -> list[str]:
    stream = Detokenizer(tokenizer)
    return [*(stream.push(token) for token in tokens), stream.flush()]


@given(text=st.text())
def test_any_text_comes_back(byte_level: Tokenizer, text: str) -> None:
    tokens = byte_level.encode(text)
    emitted = pieces(byte_level, tokens)
    assert "".join(emitted) == byte_level.decode(tokens)
    if not any(special in text for special in SPECIALS):
        assert "".join(emitted) == text
        assert "\ufffd" in text or not any("\ufffd" in piece for piece in emitted), "half a character was shown"


@given(tokens=st.lists(st.integers(0, REFERENCE.get_vocab_size() - 1)))
def test_any_tokens_decode_as_the_library_does(byte_level: Tokenizer, tokens: list[int]) -> None:
    assert "".join(pieces(byte_level, tokens)) == REFERENCE.decode(tokens, skip_special_tokens=True)


@given(tokens=st.lists(st.integers(0, 7)))
def test_sentencepiece_words_decode_as_the_library_does(sentencepiece: Tokenizer, tokens: list[int]) -> None:
    assert "".join(pieces(sentencepiece, tokens)) == sentencepiece_reference().decode(tokens)


@given(text=st.text())
def test_sentencepiece_bytes_make_whole_characters(sentencepiece: Tokenizer, text: str) -> None:
    first_byte = WORDS.index("<0x00>")
    emitted = pieces(sentencepiece, [first_byte + byte for byte in text.encode()])
    assert "".join(emitted) == text.removeprefix(" ")
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in emitted)


def test_long_texts_are_encoded_as_short_ones_are(byte_level: Tokenizer) -> None:
    text = "Grüße, <|im_end|>\n" * (LONG_CHARACTERS // 8)
    assert byte_level.encode(text) == REFERENCE.encode(text, add_special_tokens=False).ids
    assert max(len(byte_level.spell(token)) for token in byte_level.encode(text)) <= byte_level.longest_token_bytes


def test_texts_are_never_cut_or_padded_whatever_the_file_asks_for(tmp_path: Path) -> None:
    cutting = tiny_tokenizer()
    cutting.enable_truncation(4)
    cutting.enable_padding(length=6)
    cutting.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer(tmp_path / "tokenizer.json")
    assert tokenizer.decode(tokenizer.encode("a sentence of many words")) == "a sentence of many words"
    assert tokenizer.encode("a") == REFERENCE.encode("a").ids


def test_a_broken_off_character_is_marked_at_the_end(byte_level: Tokenizer) -> None:
    tokens = byte_level.encode("日")
    assert pieces(byte_level, tokens) == ["", "", "日", ""]
    assert pieces(byte_level, tokens[:2]) == ["", "", "\ufffd"]


def test_control_tokens_are_hidden_unless_asked_for(byte_level: Tokenizer, tmp_path: Path) -> None:
    REFERENCE.save(str(tmp_path / "tokenizer.json"))
    tokens = byte_level.encode("<think>x</think><|im_end|>")
    assert byte_level.decode(tokens) == "x"
    assert (
        Tokenizer(tmp_path / "tokenizer.json", shown=("<think>", "</think>", None)).decode(tokens) == "<think>x</think>"
    )


def test_tokens_beyond_the_vocabulary_spell_nothing(byte_level: Tokenizer) -> None:
    assert byte_level.spell(10**6) == b""


@pytest.mark.parametrize("content", ["", "{}", "[" * 1000, "\x00"])
def test_a_file_that_is_no_tokenizer(tmp_path: Path, content: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(ArtefactError, match=r"tokenizer\.json: not a tokenizer"):
        Tokenizer(path)


def test_an_unknown_kind_of_decoder_is_named(tmp_path: Path) -> None:
    document = json.loads(REFERENCE.to_str())
    document["decoder"] = {"type": "WordPiece", "prefix": "##", "cleanup": True}
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ArtefactError, match="WordPiece is not supported"):
        Tokenizer(path)
