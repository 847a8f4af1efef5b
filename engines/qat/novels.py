"""English that nobody owns any more: the novels of Jane Austen, as Debian's package r-cran-janeaustenr has them."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path

PLACE = Path("/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb")
_STRINGS = 16
"""What R calls a vector of strings."""


def novels() -> Iterator[str]:
    """One after the other, a line a paragraph; none where the package is not installed."""
    if PLACE.is_file():
        for value in _values(PLACE.read_bytes()):
            paragraphs = re.split(r"\n\s*\n", "\n".join(_strings(value)))
            yield "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs if paragraph.strip()) + "\n\n"


def _values(database: bytes) -> Iterator[bytes]:
    """Each has its length before it and is deflated."""
    while len(database) > 4:
        inflating = zlib.decompressobj()
        yield inflating.decompress(database[4:])
        database = inflating.unused_data


def _strings(value: bytes) -> Iterator[str]:
    """Format: R's serialization, version 3: header, native encoding, then type and length of all and of each."""
    place = 14

    def number() -> int:
        nonlocal place
        place += 4
        return int.from_bytes(value[place - 4 : place], "big", signed=True)

    encoding = number()
    place += encoding
    if number() & 0xFF == _STRINGS:
        for _ in range(number()):
            number()
            length = max(number(), 0)  # -1 is a string that is missing
            place += length
            yield value[place - length : place].decode()
