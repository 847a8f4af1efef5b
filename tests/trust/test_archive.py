"""Signed archives: what was put in comes out, and whatever was done to them since is noticed."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.errors import InvalidInput
from edged.events import Audio, FinishReason, Image, Message, MessageState, Role, Text, Usage
from edged.records import Conversation, Transcript
from edged.trust import archive
from edged.trust.archive import MANIFEST, PUBLIC_KEY, SIGNATURE, fingerprint, open_archive, write_archive

SEED = bytes(range(32))
BEGAN = datetime(2026, 11, 27, 12, tzinfo=UTC)


def transcript(number: int = 0) -> Transcript:
    """A conversation with a bit of everything."""
    usage = Usage(prompt_tokens=9, completion_tokens=3, cached_tokens=1)
    return Transcript(
        conversation=Conversation(
            id=f"conversation{number}",
            title="About zebras 斑马",
            created_at=BEGAN,
            updated_at=BEGAN + timedelta(hours=1),
            message_count=2,
            owner="person:Ada",
        ),
        messages=(
            Message(
                role=Role.USER,
                parts=(
                    Text(text="What is this? 这是什么"),
                    Image(data=b"\x89PNG" * 99, media_type="image/png", description="a zebra"),
                    Audio(data=b"RIFF" * 99, media_type="audio/wav", transcript="look"),
                ),
                id=f"question{number}",
                created_at=BEGAN,
            ),
            Message(
                role=Role.ASSISTANT,
                parts=(Text(text="A zebra."),),
                id=f"answer{number}",
                reasoning="stripes",
                state=MessageState.COMPLETE,
                created_at=BEGAN + timedelta(seconds=1),
                finish_reason=FinishReason.STOP,
                usage=usage,
                model="tiny",
            ),
        ),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "archive.zip"
    write_archive(path, [transcript(0), transcript(1)], SEED)
    return path


def read(path: Path) -> list[Transcript]:
    with open_archive(path) as content:
        return list(content.transcripts())


def rebuilt(path: Path, changed: dict[str, bytes | None], *, compression: int = zipfile.ZIP_STORED) -> Path:
    """The archive with other contents for some names; None leaves one out."""
    with zipfile.ZipFile(path) as old:
        contents = {name: old.read(name) for name in old.namelist()}
    contents |= changed  # type: ignore[arg-type]
    target = path.with_name("rebuilt.zip")
    with zipfile.ZipFile(target, "w", compression) as new:
        for name, data in contents.items():
            if data is not None:
                new.writestr(name, data)
    return target


def signed(manifest: object, seed: bytes = SEED) -> dict[str, bytes]:
    """The manifest and a signature that holds, as by somebody hostile whose key is trusted."""
    key, data = Ed25519PrivateKey.from_private_bytes(seed), json.dumps(manifest).encode()
    return {MANIFEST: data, SIGNATURE: key.sign(data), PUBLIC_KEY: key.public_key().public_bytes_raw()}


def test_all_of_it_comes_back(file):
    with open_archive(file) as content:
        assert len(content) == 2
        assert content.fingerprint == fingerprint(SEED)
        assert list(content.transcripts()) == [transcript(0), transcript(1)]
    assert file.stat().st_mode & 0o077 == 0


def test_other_programs_can_check_it(file):
    """`zipfile`, `sha256sum` and any Ed25519 do."""
    with zipfile.ZipFile(file) as opened:
        assert opened.testzip() is None
        key = Ed25519PublicKey.from_public_bytes(opened.read(PUBLIC_KEY))
        key.verify(opened.read(SIGNATURE), opened.read(MANIFEST))
        manifest = json.loads(opened.read(MANIFEST))
    assert [item["name"] for item in manifest["files"]] == ["conversations/0", "conversations/1"]


def test_an_archive_of_nothing(tmp_path):
    assert write_archive(tmp_path / "empty.zip", [], SEED)[0] == 0
    assert read(tmp_path / "empty.zip") == []


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed_or_changes_nothing(file, place, bit):
    data = bytearray(file.read_bytes())
    data[int(place * len(data))] ^= 1 << bit
    changed = file.with_name("changed.zip")
    changed.write_bytes(data)
    try:
        found = read(changed)
    except InvalidInput as exc:
        assert "\n" not in exc.message
    else:  # a time stamp of the ZIP file, say
        assert found == [transcript(0), transcript(1)]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.binary(max_size=300), cut=st.floats(0, 1))
def test_noise_and_stumps_are_refused(file, data, cut):
    whole = file.read_bytes()
    changed = file.with_name("changed.zip")
    changed.write_bytes(whole[: int(cut * (len(whole) - 1))] + data)
    if changed.read_bytes() == whole:
        return
    with pytest.raises(InvalidInput):
        read(changed)


def test_what_is_signed_by_another_key_says_so(file, tmp_path):
    write_archive(tmp_path / "other.zip", [transcript()], bytes(32))
    with open_archive(tmp_path / "other.zip") as content:
        assert content.fingerprint != fingerprint(SEED)


@pytest.mark.parametrize(
    "name", [MANIFEST, SIGNATURE, PUBLIC_KEY, "conversations/0"], ids=["manifest", "signature", "key", "conversation"]
)
def test_a_missing_or_changed_entry_is_named(file, name):
    with pytest.raises(InvalidInput):
        read(rebuilt(file, {name: None}))
    with zipfile.ZipFile(file) as opened:
        data = bytearray(opened.read(name))
    data[-1] ^= 1
    with pytest.raises(InvalidInput, match=rf"{name}|{SIGNATURE}"):
        read(rebuilt(file, {name: bytes(data)}))


def test_one_of_a_later_kind_of_zip_is_refused_in_one_line(file):
    data = bytearray(file.read_bytes())
    data[data.index(b"PK\x01\x02") + 6] = 200  # the version that it says it takes to read it
    file.write_bytes(data)
    with pytest.raises(InvalidInput, match="no archive of edged's"):
        read(file)


def test_what_goes_wrong_while_it_is_read_is_not_said_of_it(file):
    with pytest.raises(OSError, match="elsewhere"), open_archive(file):
        raise OSError("elsewhere")


def test_nobody_else_can_read_it_from_its_first_byte_on(tmp_path):
    seen = []

    def transcripts():
        seen.append((tmp_path / "new.zip").stat().st_mode & 0o777)
        yield transcript()

    old = os.umask(0)
    try:
        write_archive(tmp_path / "new.zip", transcripts(), SEED)
    finally:
        os.umask(old)
    assert seen == [0o600]


def test_additional_entries_are_refused(file):
    with pytest.raises(InvalidInput, match="lists"):
        read(rebuilt(file, {"../../etc/cron.d/evil": b"boo"}))


def test_compressed_entries_are_refused_so_nothing_grows(file):
    with pytest.raises(InvalidInput, match="compressed"):
        read(rebuilt(file, {"conversations/0": bytes(10_000_000)}, compression=zipfile.ZIP_DEFLATED))


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "../evil", "sha256": "0" * 64, "bytes": 1},
        {"name": "/etc/passwd", "sha256": "0" * 64, "bytes": 1},
        {"name": "conversations/0", "sha256": 7, "bytes": 1},
        {"name": "conversations/0", "sha256": "0" * 64, "bytes": "1"},
        {"name": ["conversations/0"], "sha256": "0" * 64, "bytes": 1},
        {"name": "conversations/0"},
        "conversations/0",
        None,
    ],
)
def test_a_hostile_manifest_with_a_good_signature_is_refused(file, entry):
    head = {"format": archive.FORMAT, "version": archive.VERSION, "files": [entry]}
    with pytest.raises(InvalidInput):
        read(rebuilt(file, {**signed(head), "conversations/1": None}))


@pytest.mark.parametrize("head", [[], "x", {"files": []}, {"format": archive.FORMAT, "version": 2, "files": []}])
def test_another_form_of_archive_is_refused(file, head):
    with pytest.raises(InvalidInput):
        read(rebuilt(file, {**signed(head), "conversations/0": None, "conversations/1": None}))


def test_a_conversation_that_is_none_is_refused(file):
    data = b"\xff" * 50
    sums = {"name": "conversations/0", "sha256": archive.hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    head = {"format": archive.FORMAT, "version": archive.VERSION, "files": [sums]}
    with pytest.raises(InvalidInput, match="no conversation"):
        read(rebuilt(file, {**signed(head), "conversations/0": data, "conversations/1": None}))


def test_two_entries_of_one_name_are_refused(file):
    buffer = io.BytesIO(file.read_bytes())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer, "a") as opened:
        opened.writestr("conversations/0", b"another")
    file.write_bytes(buffer.getvalue())
    with pytest.raises(InvalidInput, match="same name"):
        read(file)


def test_an_endless_table_of_contents_is_refused_before_it_is_read(tmp_path):
    """All that follows the claims of the last records is holes: read, it would take the memory."""
    path = tmp_path / "bomb.zip"
    size = 3 * 1024**3
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2**25, 2**25, size, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, size, 1)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    with path.open("wb") as stream:
        stream.seek(size)
        stream.write(end_64 + locator + end)
    with pytest.raises(InvalidInput, match="lists more"):
        read(path)
