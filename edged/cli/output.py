"""Printing: JSON, tables, sizes, and text that came from elsewhere."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

import click

from edged.errors import InvalidInput

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def say(message: str) -> None:
    """A remark about what is going on, on stderr: stdout holds results only."""
    click.echo(f"edged: {message}", err=True)


def print_json(value: object) -> None:
    """The value as one JSON document."""
    click.echo(json.dumps(as_json(value), indent=2, ensure_ascii=False))


def as_json(value: object) -> object:
    """Records as what `json` knows: dataclasses by field, enums by value, times in ISO 8601, sets sorted."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(item) for item in value]
    if isinstance(value, frozenset):
        return [as_json(item) for item in sorted(value)]
    return value


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Left-aligned columns, two spaces apart."""
    lines = [headings, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo(printable("  ".join(cells).rstrip()))


def printable(text: str) -> str:
    """The text without characters that command a terminal: models and stored words are not trusted with it."""
    return _CONTROL.sub("", text)


def human_bytes(count: int) -> str:
    """`98.1 MiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def human_count(count: int) -> str:
    """`135M`, `7.2B`."""
    for limit, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= limit:
            return f"{count / limit:.3g}{unit}"
    return str(count)


def counted(count: int, noun: str) -> str:
    """`1 message`, `2 messages`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def local_time(moment: datetime) -> str:
    """A UTC time as the user's clock shows it."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


@contextmanager
def new_file(path: Path) -> Iterator[IO[str]]:
    """Create a file that only this user can read; it stays only if the block succeeds.

    Raises InvalidInput if the file exists or cannot be written.
    """
    try:
        path.touch(mode=0o600, exist_ok=False)
        with path.open("w", encoding="utf-8") as stream:
            yield stream
    except FileExistsError as exc:
        raise InvalidInput(f"{path} exists already") from exc
    except OSError as exc:
        path.unlink(missing_ok=True)
        raise InvalidInput(f"{path}: {exc.strerror}") from exc
    except BaseException:
        path.unlink(missing_ok=True)
        raise
