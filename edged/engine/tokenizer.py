"""Text to tokens and back, with the checkpoint's own tokenizer.

Decoding works on the bytes that each token spells, not on decoded text: bytes only ever need
concatenating, so a stream of tokens becomes text in linear time and no character is emitted by halves.
"""

from __future__ import annotations

import codecs
import functools
import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers

from edged.errors import ArtefactError

Speller = Callable[[str], bytes]
"""Entry of the vocabulary -> the bytes it stands for."""

LONG_CHARACTERS = 16 * 1024
"""Texts from here on are encoded by a call that lets other threads run meanwhile; for a short one it costs more."""
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Tokenizer:
    """A `tokenizers` file."""

    def __init__(self, path: Path, *, shown: Collection[str | None] = ()) -> None:
        """Read tokenizer.json. Control tokens spell nothing, except those in `shown`. Raises ArtefactError."""
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as exc:  # the library raises bare Exception
            raise ArtefactError(f"{path}: not a tokenizer: {str(exc)[:200]}") from exc
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        decoder = json.loads(self._tokenizer.to_str())["decoder"] or {}
        steps = {step["type"]: step for step in decoder.get("decoders", [decoder]) if step}
        self._spell = _speller(steps, path)
        self.strips_first_space = "Strip" in steps or steps.get("Metaspace", {}).get("prepend_scheme") in (
            "always",
            "first",
        )
        added = self._tokenizer.get_added_tokens_decoder()
        self.control_tokens = {token.content: index for index, token in added.items() if token.special}
        """Text of each token that structures a prompt -> its id."""
        self._hidden = {index for text, index in self.control_tokens.items() if text not in shown}
        self._bytes: dict[int, bytes] = {}

    @property
    def vocab_size(self) -> int:
        """Number of tokens, added ones included."""
        return self._tokenizer.get_vocab_size()

    @functools.cached_property
    def longest_token_bytes(self) -> int:
        """No token stands for more of a text than this."""
        return max((len(entry.encode()) for entry in self._tokenizer.get_vocab()), default=1)

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; control tokens written in it are recognised, none are added."""
        if len(text) < LONG_CHARACTERS:
            return self._tokenizer.encode(text, add_special_tokens=False).ids
        return self._tokenizer.encode_batch_fast([text], add_special_tokens=False)[0].ids

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of all tokens; bytes that are not UTF-8 become U+FFFD."""
        detokenizer = Detokenizer(self)
        return "".join(map(detokenizer.push, tokens)) + detokenizer.flush()

    def spell(self, token: int) -> bytes:
        """The bytes that a token adds to a text; none for a control token."""
        spelled = self._bytes.get(token)
        if spelled is None:
            entry = None if token in self._hidden else self._tokenizer.id_to_token(token)
            spelled = self._bytes[token] = b"" if entry is None else self._spell(entry)
        return spelled


class Detokenizer:
    """Turns a stream of tokens into text, whole characters at a time."""

    def __init__(self, tokenizer: Tokenizer, *, is_literal: bool = False) -> None:
        """is_literal: keep the first space, even where the tokenizer begins every text with one."""
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._strip = tokenizer.strips_first_space and not is_literal

    def push(self, token: int) -> str:
        """The characters that this token completes; often none."""
        spelled = self._tokenizer.spell(token)
        if self._strip and spelled:
            self._strip = False
            spelled = spelled.removeprefix(b" ")
        return self._decoder.decode(spelled)

    def flush(self) -> str:
        """U+FFFD if the stream broke off within a character, otherwise nothing."""
        return self._decoder.decode(b"", final=True)


def _speller(steps: Mapping[str, Mapping[str, Any]], path: Path) -> Speller:
    """How this kind of tokenizer writes bytes in its vocabulary."""
    if "ByteLevel" in steps:
        return _spell_byte_level
    if "Metaspace" in steps:
        return _sentencepiece_speller(steps["Metaspace"]["replacement"], has_byte_tokens=False)
    if "Replace" in steps:
        mark = steps["Replace"]["pattern"].get("String", "▁")
        return _sentencepiece_speller(mark, has_byte_tokens="ByteFallback" in steps)
    raise ArtefactError(
        f"{path}: decoder {'+'.join(steps) or 'none'} is not supported (byte-level and SentencePiece are)"
    )


def _byte_characters() -> dict[str, int]:
    """GPT-2's printable stand-in of each byte (bytes_to_unicode of its encoder.py)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + place): byte for place, byte in enumerate(others)}


_BYTE_OF_CHARACTER = _byte_characters()


def _spell_byte_level(entry: str) -> bytes:
    try:
        return bytes(_BYTE_OF_CHARACTER[character] for character in entry)
    except KeyError:  # an added token is written as it is
        return entry.encode()


def _sentencepiece_speller(mark: str, *, has_byte_tokens: bool) -> Speller:
    def spell(entry: str) -> bytes:
        if has_byte_tokens and (match := _BYTE_TOKEN.fullmatch(entry)):
            return bytes.fromhex(match[1])
        return entry.replace(mark, " ").encode()

    return spell
