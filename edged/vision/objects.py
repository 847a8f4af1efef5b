"""Objects in a picture: a single-shot detector (arXiv:1512.02325) that was taught the everyday things of COCO."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edged.errors import ArtefactError
from edged.records import SeenObject
from edged.vision.pictures import Pixels
from edged.vision.weights import OBJECTS, OBJECTS_GRAPH

LEAST_CONFIDENCE = 0.6
"""With less it sees a mouse in a collar."""
MAX_OBJECTS = 50
_SIDE = 300
"""Pixels that it looks at, each way."""
# By COCO's numbers, of which some were never used.
_NAMES = (
    *(None, "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat", "traffic light"),
    *("fire hydrant", None, "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep", "cow"),
    *("elephant", "bear", "zebra", "giraffe", None, "backpack", "umbrella", None, None, "handbag", "tie", "suitcase"),
    *("frisbee", "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard"),
    *("surfboard", "tennis racket", "bottle", None, "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana"),
    *("apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch"),
    *("potted plant", "bed", None, "dining table", None, None, "toilet", None, "tv", "laptop", "mouse", "remote"),
    *("keyboard", "cell phone", "microwave", "oven", "toaster", "sink", "refrigerator", None, "book", "clock", "vase"),
    *("scissors", "teddy bear", "hair drier", "toothbrush"),
)


class ObjectDetector:
    """Looks at one picture at a time."""

    def __init__(self, folder: Path) -> None:
        """Raises ArtefactError."""
        import cv2

        try:
            self._network = cv2.dnn.readNetFromTensorflow(str(folder / OBJECTS), str(folder / OBJECTS_GRAPH))
        except cv2.error as exc:
            raise ArtefactError(f"{folder / OBJECTS} cannot be loaded") from exc

    def find(self, pixels: Pixels) -> tuple[SeenObject, ...]:
        """What it is sure enough of, the surest first."""
        import cv2

        self._network.setInput(cv2.dnn.blobFromImage(pixels, size=(_SIDE, _SIDE)))
        # One row each: of which picture, what, how surely, and left, top, right and bottom.
        rows = np.asarray(self._network.forward()).reshape(-1, 7)
        sure = sorted((row for row in rows if row[2] >= LEAST_CONFIDENCE), key=lambda row: -row[2])
        return tuple(
            SeenObject(
                name=name,
                confidence=round(float(row[2]), 4),
                corners=((left, top), (right, top), (right, bottom), (left, bottom)),
            )
            for row in sure[:MAX_OBJECTS]
            if (name := _name(int(row[1])))
            for left, top, right, bottom in [np.clip(row[3:], 0, 1).round(5).tolist()]
        )


def _name(number: int) -> str:
    return (_NAMES[number] if 0 <= number < len(_NAMES) else None) or ""
