"""Enrolled people, as rows: a name and the mean of what their voice is like, and no recording of it."""

from __future__ import annotations

import unicodedata

import numpy as np
import sqlite_utils
from numpy.typing import NDArray

from edged.errors import AlreadyExists, InvalidInput, NotFound, nearest
from edged.records import EnrolledSpeaker
from edged.store.naming import as_datetime
from edged.store.texts import storable
from edged.store.titles import one_line

Voiceprint = NDArray[np.float32]
MAX_NAME_CHARACTERS = 60
_FORMAT = np.dtype("<f4")


def checked_name(name: str) -> str:
    """The name on one line, however its letters were typed. Raises InvalidInput."""
    line = one_line(unicodedata.normalize("NFC", storable(name, field="name")))
    if not line:
        raise InvalidInput("the name is empty", field="name")
    if len(line) > MAX_NAME_CHARACTERS:
        raise InvalidInput(f"the name is longer than {MAX_NAME_CHARACTERS} characters", field="name")
    return line


def require_free(db: sqlite_utils.Database, name: str) -> None:
    """Raises AlreadyExists for the name of somebody, in upper or lower case."""
    for other in _names(db):
        if other.casefold() == name.casefold():
            raise AlreadyExists(
                f"{other} is enrolled already: delete {other} first, or choose another name",
                resource=("speaker", other),
            )


def insert_speaker(db: sqlite_utils.Database, name: str, voiceprint: Voiceprint, now: int) -> EnrolledSpeaker:
    """Raises AlreadyExists."""
    require_free(db, name)
    db.execute(
        "INSERT INTO speakers (name, voiceprint, created_at) VALUES (?, ?, ?)",
        (name, voiceprint.astype(_FORMAT).tobytes(), now),
    )
    return EnrolledSpeaker(name=name, created_at=as_datetime(now))


def all_speakers(db: sqlite_utils.Database) -> tuple[EnrolledSpeaker, ...]:
    """Everybody, by name."""
    rows = db.execute("SELECT name, created_at FROM speakers").fetchall()
    found = (EnrolledSpeaker(name=name, created_at=as_datetime(created_at)) for name, created_at in rows)
    return tuple(sorted(found, key=lambda speaker: (speaker.name.casefold(), speaker.name)))


def all_voiceprints(db: sqlite_utils.Database) -> dict[str, Voiceprint]:
    """What each voice is like."""
    rows = db.execute("SELECT name, voiceprint FROM speakers").fetchall()
    return {name: np.frombuffer(blob, _FORMAT).astype(np.float32) for name, blob in rows}


def delete_speaker(db: sqlite_utils.Database, name: str) -> None:
    """Raises NotFound."""
    if not db.execute("DELETE FROM speakers WHERE name = ?", (name,)).rowcount:
        raise NotFound(
            f"nobody named {name!r} is enrolled{nearest(name, _names(db))}: `edged speakers list` shows who is",
            resource=("speaker", name),
        )


def _names(db: sqlite_utils.Database) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM speakers")]
