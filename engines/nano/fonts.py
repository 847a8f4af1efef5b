"""Fonts of Debian's packages: those that training draws with, and others that only the held-out pictures have."""

from __future__ import annotations

import functools
import random
from pathlib import Path

from PIL import ImageFont

from edged.errors import NotFound

FOLDER = Path("/usr/share/fonts")
PACKAGES = (
    "fonts-dejavu-extra fonts-liberation fonts-lato fonts-roboto-unhinted fonts-open-sans fonts-freefont-ttf "
    "fonts-crosextra-carlito fonts-crosextra-caladea fonts-cantarell fonts-comic-neue fonts-inconsolata fonts-hack "
    "fonts-firacode fonts-jetbrains-mono fonts-ebgaramond fonts-cabin fonts-dosis fonts-junction fonts-manrope "
    "fonts-quicksand fonts-sil-gentium fonts-averia-sans-gwf fonts-averia-serif-gwf fonts-jura fonts-karla "
    "fonts-clear-sans fonts-play fonts-paratype fonts-hermit fonts-mononoki fonts-tuffy fonts-vollkorn "
    "fonts-yanone-kaffeesatz fonts-oldstandard fonts-courier-prime fonts-urw-base35"
)
HELD_OUT = (
    "Carlito", "Caladea", "Hack-", "JetBrainsMono-", "Cabin-", "Manrope", "Karla", "Gentium", "Tuffy", "Play-",
    "Vollkorn-", "PTS", "PTSans", "P052",
)  # fmt: skip
"""How the names of their files begin. Pillow's own font (Aileron) is held out, too."""
TRAINING = (
    "DejaVuSans", "DejaVuSerif", "Liberation", "Lato-", "Roboto", "OpenSans", "FreeSans", "FreeSerif", "FreeMono",
    "Cantarell", "ComicNeue", "Inconsolata", "FiraCode", "EBGaramond", "Dosis", "junction", "Quicksand", "AveriaSans",
    "AveriaSerif", "Jura", "ClearSans", "Hermit", "mononoki", "YanoneKaffeesatz", "OldStandard", "CourierPrime",
    "NimbusSans", "NimbusRoman", "NimbusMono", "C059", "URWBookman", "URWGothic",
)  # fmt: skip
_WITHOUT_LETTERS = ("Symbol", "Emoji", "Math", "Narrow")


class Fonts:
    """Some fonts, in any size."""

    def __init__(self, names: tuple[str, ...], *, with_default: bool = False) -> None:
        """Raises NotFound naming the packages. with_default: Pillow's own is one of them."""
        self.families = _families(names)
        if len(self.families) < len(names) // 2:
            raise NotFound(f"fonts to draw with are missing: apt-get install {PACKAGES}")
        if with_default:
            self.families = (*self.families, ("",))

    def pick(self, rng: random.Random, pixels: float) -> ImageFont.FreeTypeFont:
        """A family, then one of its faces."""
        return _font(rng.choice(rng.choice(self.families)), round(pixels))


def resized(font: ImageFont.FreeTypeFont, pixels: int) -> ImageFont.FreeTypeFont:
    """The same face in another size; opening its file again would take longer than drawing with it."""
    return _font(font.path, pixels) if isinstance(font.path, str) else font.font_variant(size=pixels)


@functools.cache
def _families(names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    files = sorted(path for path in FOLDER.rglob("*") if path.suffix in (".ttf", ".otf", ".t1"))
    usable = [
        path for path in files if path.suffix != ".t1" and not any(word in path.name for word in _WITHOUT_LETTERS)
    ]
    families = (
        tuple(str(path) for path in usable if path.name.startswith(name) and _has_letters(str(path))) for name in names
    )
    return tuple(family for family in families if family)


def _has_letters(path: str) -> bool:
    """Some faces hold other scripts or small capitals only and draw nothing, or one box for every letter."""
    font = ImageFont.truetype(path, 24)
    drawn = {bytes(font.getmask(letter)) for letter in "AQagkw0479(%"}
    return len(drawn) == 12 and b"" not in drawn


@functools.lru_cache(maxsize=4096)
def _font(path: str, pixels: int) -> ImageFont.FreeTypeFont:
    if not path:
        return ImageFont.load_default(pixels)  # type: ignore[return-value]  # with a size it is one
    return ImageFont.truetype(path, pixels)
