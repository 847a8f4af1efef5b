"""What looks at pictures for one daemon."""

from __future__ import annotations

import os

from edged.config import Config
from edged.vision.objects import ObjectDetector
from edged.vision.ocr import Ocr
from edged.vision.sight import Sight
from edged.vision.weights import objects_folder, text_folder


def sight(config: Config) -> Sight:
    """It loads its networks with the first picture, and says then which extra is missing."""
    threads = config.engine.threads or len(os.sched_getaffinity(0))
    return Sight(lambda: Ocr(text_folder(), threads=threads), _objects)


def _objects() -> ObjectDetector | None:
    folder = objects_folder()
    return ObjectDetector(folder) if folder else None
