"""The photographs that scikit-image and scikit-learn ship, without importing either."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

NAMES = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "china.jpg",
    "coffee.png",
    "flower.jpg",
    "horse.png",
    "motorcycle_left.png",
    "page.png",
    "rocket.jpg",
    "text.png",
)


def photographs() -> list[Path]:
    """Those that are installed."""
    found = []
    for package, folder in (("skimage", "data"), ("sklearn", "datasets/images")):
        spec = find_spec(package)
        if spec and spec.submodule_search_locations:
            found += [Path(spec.submodule_search_locations[0]) / folder / name for name in NAMES]
    return [file for file in found if file.exists()]
