"""Signed archives of conversations: a ZIP file with a manifest of SHA-256 sums and an Ed25519 signature of it.

manifest.json     what is in it: {"format", "version", "created_at", "files": [{"name", "sha256", "bytes"}]}
manifest.sig      64 bytes, the signature of manifest.json
manifest.pub      32 bytes, the public key
conversations/N   edged.v1.ExportConversationsResponse in protobuf's binary form, attachments included

Nothing is compressed, so what is inside is never larger than the file. Nothing is unpacked to a disk, so names
lead nowhere. The manifest is read once its signature holds, and a conversation once its sum does.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import struct
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from google.protobuf.message import DecodeError

from edged import wire
from edged.errors import InvalidInput
from edged.records import Transcript
from edged.trust.signatures import key_fingerprint
from edged.v1 import conversation_pb2

FORMAT, VERSION = "edged-conversations", 1
MANIFEST, SIGNATURE, PUBLIC_KEY = "manifest.json", "manifest.sig", "manifest.pub"
MAX_CONVERSATIONS = 100_000
MAX_MANIFEST_BYTES = 200 * MAX_CONVERSATIONS
MAX_CONVERSATION_BYTES = 512 * 1024 * 1024
"""As much is held in memory at once."""
MAX_DIRECTORY_BYTES = 100 * MAX_CONVERSATIONS
_ENDS = struct.Struct("<40xQ8x4s16x4s8xL4xH")
"""The three records at the end of a ZIP file: of the table of contents the size, and what tells them apart."""
_NAME = re.compile(r"conversations/[0-9]{1,6}")
_SUM = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One conversation, as the manifest has it."""

    name: str
    sha256: str
    bytes: int


class Archive:
    """One whose signature holds; says by whom it is, not whether that is somebody to be trusted."""

    def __init__(self, file: zipfile.ZipFile, entries: tuple[Entry, ...], fingerprint: str) -> None:
        """Use `open_archive`."""
        self._file = file
        self._entries = entries
        self.fingerprint = fingerprint
        """Of the key that signed it."""

    def __len__(self) -> int:
        return len(self._entries)

    def transcripts(self) -> Iterator[Transcript]:
        """One after another. Raises InvalidInput naming the entry that is not what was signed."""
        for entry in self._entries:
            data = _read(self._file, entry.name, MAX_CONVERSATION_BYTES)
            if len(data) != entry.bytes or hashlib.sha256(data).hexdigest() != entry.sha256:
                raise InvalidInput(f"{entry.name} is not what was signed: it was changed or is damaged")
            try:
                message = conversation_pb2.ExportConversationsResponse.FromString(data)
            except DecodeError as exc:
                raise InvalidInput(f"{entry.name} is no conversation of edged's") from exc
            yield wire.transcript_from_wire(message)


def write_archive(file: Path, transcripts: Iterable[Transcript], seed: bytes) -> tuple[int, str]:
    """Write them into a new file that only this user can read; returns their number and the key's fingerprint.

    seed: 32 bytes, of the key that signs. Raises InvalidInput for a conversation that is too large, OSError.
    """
    key = Ed25519PrivateKey.from_private_bytes(seed)
    entries: list[dict[str, object]] = []
    descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w+b") as stream, zipfile.ZipFile(stream, "w") as archive:
        for number, transcript in enumerate(transcripts):
            message = wire.transcript_to_wire(transcript, conversation_pb2.ExportConversationsResponse)
            data = message.SerializeToString()
            if len(data) > MAX_CONVERSATION_BYTES or number >= MAX_CONVERSATIONS:
                raise InvalidInput(f"conversation {transcript.conversation.id} is too much for one archive")
            name = f"conversations/{number}"
            archive.writestr(name, data)
            entries.append({"name": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)})
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        head = {"format": FORMAT, "version": VERSION, "created_at": created_at, "files": entries}
        manifest = json.dumps(head, indent=1).encode()
        archive.writestr(MANIFEST, manifest)
        archive.writestr(SIGNATURE, key.sign(manifest))
        archive.writestr(PUBLIC_KEY, key.public_key().public_bytes_raw())
    return len(entries), fingerprint(seed)


def fingerprint(seed: bytes) -> str:
    """Of the key that is made of this seed: what somebody compares who gets an archive."""
    return key_fingerprint(Ed25519PrivateKey.from_private_bytes(seed).public_key())


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Check the signature, look through the manifest, and read on for the length of the block.

    Raises InvalidInput for anything but a sound archive.
    """
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(path.open("rb"))
            _check_directory(stream)
            archive = _checked(stack.enter_context(zipfile.ZipFile(stream)))
        except (zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, struct.error) as exc:
            raise InvalidInput(f"{path} is no archive of edged's, or is damaged or cut off") from exc
        except OSError as exc:
            raise InvalidInput(f"{path}: {exc.strerror}") from exc
        yield archive


def _check_directory(stream: BinaryIO) -> None:
    """Refuse a table of contents that would take up the memory, before `zipfile` reads all of it (APPNOTE 4.3.14)."""
    length = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, length - _ENDS.size))
    tail = stream.read().rjust(_ENDS.size, b"\0")
    directory_64, locator, mark, directory, comment = _ENDS.unpack(tail)
    if mark != b"PK\x05\x06" or comment:
        raise zipfile.BadZipFile
    if locator == b"PK\x06\x07":  # then `zipfile` believes that record
        directory = directory_64
    if directory > MAX_DIRECTORY_BYTES:
        raise InvalidInput("the archive lists more than one of edged's holds")


def _checked(file: zipfile.ZipFile) -> Archive:
    names = [item.filename for item in file.infolist()]
    if len(names) != len(set(names)):
        raise InvalidInput("two entries of the archive have the same name")
    public = _read(file, PUBLIC_KEY, 32)
    manifest = _read(file, MANIFEST, MAX_MANIFEST_BYTES)
    try:
        key = Ed25519PublicKey.from_public_bytes(public)
        key.verify(_read(file, SIGNATURE, 64), manifest)
    except (InvalidSignature, ValueError) as exc:
        raise InvalidInput(f"{SIGNATURE} does not sign {MANIFEST}: the archive was changed or is damaged") from exc
    entries = _entries(manifest)
    if {entry.name for entry in entries} | {MANIFEST, SIGNATURE, PUBLIC_KEY} != set(names):
        raise InvalidInput(f"what is in the archive is not what {MANIFEST} lists")
    return Archive(file, entries, key_fingerprint(key))


def _entries(manifest: bytes) -> tuple[Entry, ...]:
    try:
        head = json.loads(manifest)
        if head["format"] != FORMAT or head["version"] != VERSION:
            raise InvalidInput(f"the archive is of a form that this version does not know ({FORMAT} {VERSION})")
        entries = tuple(Entry(name=item["name"], sha256=item["sha256"], bytes=item["bytes"]) for item in head["files"])
        sound = all(
            _NAME.fullmatch(entry.name) and _SUM.fullmatch(entry.sha256) and isinstance(entry.bytes, int)
            for entry in entries
        )
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise InvalidInput(f"{MANIFEST} is no manifest of edged's") from exc
    if not sound or len(entries) > MAX_CONVERSATIONS or len({entry.name for entry in entries}) != len(entries):
        raise InvalidInput(f"{MANIFEST} lists what no archive of edged's holds")
    return entries


def _read(file: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    """A bounded entry; its CRC is checked, too."""
    try:
        item = file.getinfo(name)
        if item.compress_type != zipfile.ZIP_STORED or item.flag_bits & 1:
            raise InvalidInput(f"{name} is compressed or encrypted, which archives of edged's are not")
        if item.file_size > max_bytes:
            raise InvalidInput(f"{name} is larger than {max_bytes:,} bytes")
        with file.open(item) as stream:
            return stream.read(max_bytes + 1)
    except KeyError as exc:
        raise InvalidInput(f"{name} is missing: this is no archive of edged's") from exc
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError) as exc:
        raise InvalidInput(f"{name} cannot be read: the archive is damaged") from exc
