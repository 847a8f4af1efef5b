"""A real daemon's memory: what was deleted or never kept is in no file, and backups are taken while it works."""

from __future__ import annotations

import asyncio
import json
import os
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from edged.client import Client
from edged.daemon.database import key_source
from edged.errors import RemoteError
from edged.events import Image, Part, Started, Text
from edged.records import OPERATOR
from edged.store import ConversationStore
from tests.e2e.program import EDGED, SECONDS, Home

SECRET = "Xylophonzauberei"


def files_with(folder: Path, *needles: bytes) -> list[str]:
    """All files of a user's, sockets aside, that hold one of these."""
    files = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    return [str(file) for file, data in files.items() if any(needle in data for needle in needles)]


def picture() -> tuple[bytes, bytes]:
    """A noisy PNG, and bytes of it that no other file has by chance."""
    rows = b"".join(b"\0" + os.urandom(64 * 3) for _ in range(64))
    chunks = [(b"IHDR", struct.pack(">2I5B", 64, 64, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return data, data[100:140]


async def ask(client: Client, text: str, *parts: Part, incognito: bool = False, conversation_id: str = "") -> str:
    """Id of the conversation, once the answer is complete."""
    asked = client.ask(
        (*parts, Text(text=text)),
        sampling={"max_tokens": 4},
        incognito=incognito,
        conversation_id=conversation_id,
    )
    events = [event async for event in asked]
    assert isinstance(events[0], Started)
    return events[0].conversation_id


async def test_what_was_deleted_or_never_kept_is_in_no_file_while_the_daemon_goes_on(home: Home) -> None:
    noise, pixels = picture()
    shown = Image(data=noise, media_type="image/png")
    needles = (SECRET.encode(), SECRET.lower().encode(), pixels)
    with home.daemon() as daemon:
        async with Client(home.address) as client:
            files = sorted(path.name for path in home.state.iterdir())
            private = await ask(client, f"My secret is {SECRET}.", shown, incognito=True)
            assert private == await ask(client, "What is it?", conversation_id=private)
            assert files_with(home.folder, *needles) == []
            assert sorted(path.name for path in home.state.iterdir()) == files
            assert (await client.list_conversations()).conversations == ()
            secret = await ask(client, f"My secret is {SECRET}.", shown)
            kept = await ask(client, "An ordinary question")
            await client.delete(private)
            with pytest.raises(RemoteError, match="no such incognito"):
                await ask(client, "And now?", incognito=True, conversation_id=private)
            assert (await client.search(SECRET)).hits
            await client.delete(secret)
            assert files_with(home.folder, *needles) == []
            assert [one.id for one in (await client.list_conversations()).conversations] == [kept]
        daemon.stop()
    assert files_with(home.folder, *needles) == []


async def test_a_backup_is_taken_while_the_daemon_answers_and_nothing_else_touches_its_files(home: Home) -> None:
    backup = home.folder / "backup"
    with home.daemon(EDGED_RETENTION__DAYS="30") as daemon:
        async with Client(home.address) as client:
            await ask(client, "before")
            taking = asyncio.create_task(asyncio.to_thread(home.run, "backup", str(backup), "--json"))
            answered = 1
            while not taking.done():
                await ask(client, f"question {answered}")
                answered += 1
            assert "30 days" in (await client.status()).store.retention
        made = taking.result()
        assert made.returncode == 0, made.stderr
        refused = home.run("wipe", "--yes")
        assert (refused.returncode, "already uses" in refused.stderr) == (1, True)
        daemon.stop()
    restored = home.folder / "restored"
    assert home.run("restore", str(backup), EDGED_STATE_DIR=str(restored)).returncode == 0
    store = ConversationStore.open(restored, key_source(home.config, ""))
    titles = [store.get(name, reader=OPERATOR).conversation.title for name in store.ids(reader=OPERATOR)]
    store.close()
    assert titles == ["before", *(f"question {number}" for number in range(1, len(titles)))]
    assert 1 <= len(titles) == json.loads(made.stdout)["conversations"] <= answered


async def greet(home: Home) -> None:
    async with Client(home.address) as client:
        await ask(client, "hello")


def test_a_passphrase_encrypts_a_plain_database_and_shows_nowhere(home: Home) -> None:
    """It comes from systemd for the daemon, by a descriptor for a command."""
    words = "correct horse battery staple"
    plain = ConversationStore(home.state / "edged.db", None)
    plain.open_turn(conversation_id="", parts=(Text(text=SECRET),), system_prompt=None, model="tiny", reader=OPERATOR)
    plain.close()
    assert files_with(home.folder, SECRET.encode())
    (home.folder / "credentials").mkdir()
    (home.folder / "credentials" / "edged.passphrase").write_text(words)
    home.extra["EDGED_STORE__KEY"] = "passphrase"
    with home.daemon(CREDENTIALS_DIRECTORY=str(home.folder / "credentials")) as daemon:
        asyncio.run(greet(home))
        daemon.stop()
        assert words not in daemon.log.read_text()
    (home.folder / "credentials" / "edged.passphrase").unlink()
    assert files_with(home.folder, words.encode(), SECRET.encode()) == []
    none = home.run("conversations", "list")
    assert (none.returncode, "store.passphrase_file" in none.stderr) == (1, True), none.stderr
    reader, writer = os.pipe()
    os.write(writer, words.encode() + b"\n")
    os.close(writer)
    done = subprocess.run(
        [*EDGED, "conversations", "export", "--archive", str(home.folder / "archive.zip")],
        env={**home.environ, "EDGED_STORE__PASSPHRASE_FILE": f"/dev/fd/{reader}"},
        pass_fds=[reader],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    os.close(reader)
    assert (done.returncode, "2 conversations" in done.stderr) == (0, True), done.stderr
