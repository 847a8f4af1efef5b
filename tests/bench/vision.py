"""`python -m tests.bench.vision`: how well a photographed menu is read, and how long that takes.

Prints Markdown: for pictures of 640, 1280 and 4000 pixels the share of characters that is read wrong, straight and from
one side, and the time of each stage; for a page of small print the same; what is found in the photographs that
scikit-image and scikit-learn ship, as far as they are installed; and how many codes are read that were turned and
blurred. `--times 1` tries the program itself.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the daemon does

import argparse
import itertools
import resource
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar

import numpy as np
import zxingcpp
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from edged.vision.codes import read_codes
from edged.vision.layout import arranged
from edged.vision.markdown import as_text
from edged.vision.objects import ObjectDetector
from edged.vision.ocr import Ocr
from edged.vision.pictures import read_picture
from edged.vision.weights import objects_folder, text_folder
from tests.bench.conditions import commit, processor
from tests.vision.menu import CJK, character_error_rate, encoded, expected_text, menu, photographed
from tests.vision.photographs import photographs

WIDTHS = (640, 1280, 4000)
LEAN = 0.08
SHOWN = {
    "astronaut.png": "person",
    "camera.png": "person",
    "chelsea.png": "cat",
    "coffee.png": "cup",
    "horse.png": "horse",
    "motorcycle_left.png": "motorcycle",
}
"""What there is in a photograph of the things that the detector was taught."""
WRITTEN = {
    "motorcycle_left.png": "YAMAHA YAMAHA",
    "page.png": (
        "Region-based segmentation Let us first determine markers of the coins and the background. These markers are "
        "pixels that we can label unambiguously as either object or background. Here, the markers are found at the two "
        "extreme parts of the histogram of grey values: >>> markers = np.zeros_like(coins)"
    ),
}
CODES = {"EAN13": "4006381333931", "QRCode": "https://example.invalid/table/7"}
MODULES = (2, 3, 5)
BLURS = (0.0, 0.8, 1.5, 2.5)
PAGE_LINES = (
    "The harbour master opens the sluice at seven and writes the height of the water down.",
    "Ships of more than 40 metres wait outside until the tide has turned; 12 of them did so in May.",
    "港务长七点打开水闸，并记下水位。",
)
Result = TypeVar("Result")


def main() -> None:
    """Measure all of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.vision", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="each picture is read, of which the median counts (5)")
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1), help="of the networks (2)")
    options = parser.parse_args()
    print(f"{processor()}, {options.threads} threads, {date.today()}, commit {commit()}\n")
    ocr = Ocr(text_folder(), threads=options.threads)
    ocr.read(read_picture(encoded(menu(640))).pixels)
    print("| picture | pixels | characters wrong | decode | read | codes | together |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for width in WIDTHS:
        straight = encoded(menu(width), "JPEG", quality=90)
        print(_row(f"menu, {width} wide", straight, expected_text(), ocr, options.times), flush=True)
        leaning = photographed(menu(width), lean=LEAN)
        print(_row("the same photographed, JPEG 40", leaning, expected_text(), ocr, options.times), flush=True)
    page, text = _page()
    print(_row("page of 36 lines, 1280 wide", page, text, ocr, options.times))
    _photographs(ocr, options.times)
    _codes()
    print(f"\npeak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def _row(name: str, data: bytes, expected: str, ocr: Ocr, times: int) -> str:
    picture, decoding = _timed(lambda: read_picture(data), times)
    lines, reading = _timed(lambda: ocr.read(picture.pixels), times)
    _, coding = _timed(lambda: read_codes(picture.pixels), times)
    wrong = character_error_rate(expected, as_text(arranged(lines)))
    seconds = (decoding, reading, coding, decoding + reading + coding)
    stages = " | ".join(f"{1000 * each:.0f} ms" for each in seconds)
    return f"| {name} | {picture.width} x {picture.height} | {100 * wrong:.1f} % | {stages} |"


def _photographs(ocr: Ocr, times: int) -> None:
    folder = objects_folder()
    if folder is None:
        return
    detector = ObjectDetector(folder)
    print("\n| photograph | shows | objects | time | characters wrong | text |")
    print("| --- | --- | --- | --- | --- | --- |")
    for file in sorted(photographs(), key=lambda each: each.name):
        picture = read_picture(file.read_bytes())
        objects, seconds = _timed(lambda pixels=picture.pixels: detector.find(pixels), times)
        seen = ", ".join(f"{each.name} {each.confidence:.2f}" for each in objects)
        text = as_text(arranged(ocr.read(picture.pixels)))
        written = WRITTEN.get(file.name)
        wrong = f"{100 * character_error_rate(written, text):.1f} %" if written else ""
        told = " | ".join((seen, f"{1000 * seconds:.0f} ms", wrong, " ".join(text.split()[:8])))
        print(f"| {file.name} | {SHOWN.get(file.name, '')} | {told} |", flush=True)


def _codes() -> None:
    print(f"\n| code, blur in pixels | {' | '.join(map(str, BLURS))} |")
    print(f"| --- |{' --- |' * len(BLURS)}")
    for (kind, text), pixels in itertools.product(CODES.items(), MODULES):
        barcode = zxingcpp.create_barcode(text, getattr(zxingcpp.BarcodeFormat, kind))
        drawn = Image.fromarray(np.array(barcode.to_image(scale=pixels, add_quiet_zones=True)))
        read = [sum(_is_read(drawn, text, degrees, blur) for degrees in range(0, 360, 15)) for blur in BLURS]
        print(f"| {kind}, {pixels} pixels a module | {' | '.join(f'{count} of 24' for count in read)} |", flush=True)


def _is_read(code: Image.Image, text: str, degrees: int, blur: float) -> bool:
    """In a photograph of 1280 x 960 pixels at JPEG 60."""
    table = Image.new("L", (1280, 960), 120)
    table.paste(code, ((1280 - code.width) // 2, (960 - code.height) // 2))
    photo = table.rotate(degrees, resample=Image.Resampling.BICUBIC, fillcolor=120)
    data = encoded(photo.filter(ImageFilter.GaussianBlur(blur)), "JPEG", quality=60)
    return text in {found.text for found in read_codes(read_picture(data).pixels)}


def _page() -> tuple[bytes, str]:
    image = Image.new("RGB", (1280, 960), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.truetype(CJK, 17)
    lines: Sequence[str] = [PAGE_LINES[index % len(PAGE_LINES)] for index in range(36)]
    for index, line in enumerate(lines):
        draw.text((60, 20 + 26 * index), line, fill="black", font=font)
    return encoded(image, "JPEG", quality=80), "\n".join(lines)


def _timed(work: Callable[[], Result], times: int) -> tuple[Result, float]:
    """What it returns, and the median of its seconds."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - began)
    return result, statistics.median(seconds)


if __name__ == "__main__":
    main()
