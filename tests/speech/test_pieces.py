from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.speech.pieces import MAX_CHARACTERS, pieces


@given(st.text(max_size=3000))
def test_nothing_is_lost_but_spaces_and_commands(text: str) -> None:
    found = list(pieces(text))
    assert all(0 < len(piece) <= MAX_CHARACTERS for piece in found)
    kept = "".join(found).replace("[ [", "[[")
    assert len("".join(kept.split())) <= len(text)
    assert all(ord(character) >= 32 or character in "\t\n" for character in kept)


@pytest.mark.parametrize("text", ["", "  ", "\n", "\x01\x02"])
def test_nothing(text: str) -> None:
    assert list(pieces(text)) == []


def test_a_short_text_stays_whole() -> None:
    assert list(pieces(" One. Two. ")) == ["One. Two."]


def test_a_long_text_is_cut_after_a_sentence() -> None:
    text = "This is a sentence of forty-one letters. " * 8
    first, *_ = pieces(text)
    assert first.endswith("letters.")
    assert len(first) > MAX_CHARACTERS / 2


def test_a_long_sentence_is_cut_where_one_breathes() -> None:
    assert all(piece.split()[0] == "word" for piece in pieces("word " * 300))


def test_a_long_chinese_text() -> None:
    found = list(pieces("今天天气很好。" * 100))
    assert all(piece.endswith("。") for piece in found)
    assert "".join(found) == "今天天气很好。" * 100


def test_a_word_that_never_ends() -> None:
    assert "".join(pieces("a" * 1000)) == "a" * 1000


def test_commands_are_left_out() -> None:
    assert list(pieces("a\x01+10vb [[h]]\x00")) == ["a +10vb [ [h]]"]
