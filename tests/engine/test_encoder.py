"""Files are computed once while they are remembered, and known by their content."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edged.engine.encoder import Embeddings, Encoder, content_tokens
from edged.engine.readers import PictureReader, image_format
from edged.errors import InvalidInput
from edged.vision.preprocess import ImageFormat, begin_patches
from tests.tiny_artefact import EYES

HIDDEN = 8


class CountingSession:
    """Answers with ones; counts the pictures."""

    def __init__(self) -> None:
        self.runs: list[int] = []

    def run(self, inputs: Mapping[str, Any], cancelled: Callable[[], bool]) -> Embeddings | None:
        if cancelled():
            return None
        self.runs.append(len(inputs["patches"]))
        return np.ones((len(inputs["patches"]) // 4, HIDDEN), np.float32)


def encoder(limit_bytes: int = 10**6) -> tuple[Encoder, CountingSession]:
    session = CountingSession()
    return Encoder(PictureReader(EYES), session, limit_bytes=limit_bytes), session


def encoded(colour: int, width: int = 56, height: int = 84) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), (colour, 0, 0)).save(file, "PNG")
    return file.getvalue()


def always(value: bool) -> Callable[[], bool]:
    return lambda: value


def test_a_picture_is_computed_once() -> None:
    eyes, session = encoder()
    picture = eyes.reader.perceive(encoded(1))
    assert (picture.rows, picture.columns, len(picture.tokens)) == (3, 2, 6)
    first = eyes.embeddings(picture, always(False))
    assert first is not None and first.shape == (6, HIDDEN)
    assert eyes.embeddings(eyes.reader.perceive(encoded(1)), always(False)) is first
    assert session.runs == [24]


def test_pictures_of_one_size_differ_in_every_token() -> None:
    eyes, _ = encoder()
    one, other = eyes.reader.perceive(encoded(1)).tokens, eyes.reader.perceive(encoded(2)).tokens
    assert not set(one) & set(other)
    assert max(*one, *other) < 0


def test_the_least_recently_used_is_forgotten_first() -> None:
    size = 6 * HIDDEN * 4
    eyes, session = encoder(limit_bytes=2 * size)
    for colour in (1, 2, 1, 3, 1, 2):
        eyes.embeddings(eyes.reader.perceive(encoded(colour)), always(False))
        assert eyes.kept_bytes <= 2 * size
    assert len(session.runs) == 4  # 1, 2, 3, and 2 again


def test_what_is_larger_than_the_limit_is_not_kept() -> None:
    eyes, session = encoder(limit_bytes=10)
    for _ in range(2):
        assert eyes.embeddings(eyes.reader.perceive(encoded(1)), always(False)) is not None
    assert (len(session.runs), eyes.kept_bytes) == (2, 0)


def test_what_was_cancelled_is_not_kept() -> None:
    eyes, _ = encoder()
    assert eyes.embeddings(eyes.reader.perceive(encoded(1)), always(True)) is None
    assert eyes.kept_bytes == 0


def test_a_damaged_file_is_refused() -> None:
    eyes, _ = encoder()
    with pytest.raises(InvalidInput, match="picture"):
        eyes.reader.perceive(b"no picture")


def test_tokens_are_numbers_of_63_bits_below_0() -> None:
    tokens = content_tokens(b"picture", 3000)
    assert len(set(tokens)) == 3000
    assert all(-(2**63) <= token < 0 for token in tokens)
    assert content_tokens(b"picture", 10) == tokens[:10]


def test_who_no_longer_wants_an_answer_does_not_wait_for_the_pictures_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def decoded(data: bytes, image_format: ImageFormat) -> None:
        entered.set()
        assert leave.wait(10)

    monkeypatch.setattr("edged.vision.preprocess.read_patches", decoded)
    eyes, session = encoder()
    other = begin_patches(b"another's", image_format(EYES))
    assert entered.wait(10)
    looks = iter([False, False, True])
    assert eyes.embeddings(eyes.reader.perceive(encoded(1)), lambda: next(looks)) is None
    leave.set()
    other.result(10)
    assert (session.runs, eyes.kept_bytes) == ([], 0)
