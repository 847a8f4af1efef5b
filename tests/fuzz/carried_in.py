"""Files that are carried in from elsewhere: archives of conversations, engines, bundles."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from functools import cache

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edged.bundle.archive import opened, read_files
from edged.engine.installed import import_engine
from edged.store.database import IN_MEMORY, open_database
from edged.store.migrations import migrate
from edged.store.transfer import Transfer
from edged.trust.archive import open_archive
from tests.fuzz.examples import folder

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
NAME = "conversations/0"


@cache
def store() -> Transfer:
    """In memory."""
    db = open_database(IN_MEMORY, None)
    migrate(db)
    return Transfer(db)


def archive(data: bytes) -> None:
    """A whole archive; what is stored is deleted again."""
    file = folder() / "carried.zip"
    file.write_bytes(data)
    with open_archive(file) as content:
        for transcript in content.transcripts():
            store().insert(transcript)
            store()._db.execute("DELETE FROM conversations")


def archived_conversation(data: bytes) -> None:
    """A conversation that somebody has signed, whatever it is."""
    entry = {"name": NAME, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    head = {"format": "edged-conversations", "version": 1, "created_at": "", "files": [entry]}
    archive(_signed(json.dumps(head).encode(), data))


def archive_manifest(data: bytes) -> None:
    """The same of a manifest."""
    archive(_signed(data, b""))


def engine_tar(data: bytes) -> None:
    """As `edged models import` takes it."""
    file, engines = folder() / "carried.tar", folder() / "engines"
    file.write_bytes(data)
    shutil.rmtree(engines, ignore_errors=True)
    import_engine(file, engines)


def bundle(data: bytes) -> None:
    """Unpacked, as it is installed."""
    file, place = folder() / "carried.bundle", folder() / "unpacked"
    file.write_bytes(data)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    with opened(file) as (stream, verified):
        read_files(stream, verified.manifest, place, lambda count: None)


def _signed(manifest: bytes, conversation: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(NAME, conversation)
        packed.writestr("manifest.json", manifest)
        packed.writestr("manifest.sig", KEY.sign(manifest))
        packed.writestr("manifest.pub", KEY.public_key().public_bytes_raw())
    return file.getvalue()
