"""One reader for all tests: its networks take a moment to load."""

from __future__ import annotations

import pytest

from edged.vision.ocr import Ocr
from edged.vision.weights import text_folder


@pytest.fixture(scope="session")
def ocr() -> Ocr:
    return Ocr(text_folder(), threads=2)
