"""What the daemon does for its memory: secrets read once and quoted nowhere, retention kept and written down."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from edged.config import Config, load_config
from edged.daemon.database import keep_retention, key_source, retention
from edged.daemon.secret import first_line, read_secret
from edged.errors import ConfigError, StoreFull
from edged.events import Text
from edged.records import OPERATOR
from edged.store import AsyncStore, Retention


def config_of(tmp_path: Path, **environ: str) -> Config:
    return load_config({"HOME": str(tmp_path), **environ})


def test_a_credential_is_read_where_systemd_put_it(tmp_path):
    (tmp_path / "edged.key").write_text("ab" * 32 + "\n")
    (tmp_path / "edged.passphrase").write_text("several words\nand another line\n")
    given = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert read_secret(config_of(tmp_path, EDGED_STORE__KEY="credential", **given)) == "ab" * 32
    assert read_secret(config_of(tmp_path, EDGED_STORE__KEY="passphrase", **given)) == "several words"
    assert read_secret(config_of(tmp_path, EDGED_STORE__KEY="file", **given)) == ""
    assert read_secret(config_of(tmp_path, EDGED_STORE__KEY="credential")) == ""
    source = key_source(config_of(tmp_path, EDGED_STORE__KEY="credential", **given), "hidden words")
    assert (source.kind, source.secret) == ("credential", "hidden words")
    assert "hidden" not in repr(source)


def test_a_named_file_goes_before_a_credential(tmp_path):
    (tmp_path / "edged.passphrase").write_text("words of the credential")
    (tmp_path / "words").write_text("words of the file")
    given = {"CREDENTIALS_DIRECTORY": str(tmp_path), "EDGED_STORE__PASSPHRASE_FILE": str(tmp_path / "words")}
    assert read_secret(config_of(tmp_path, EDGED_STORE__KEY="passphrase", **given)) == "words of the file"


@pytest.mark.parametrize(
    "data",
    [b"", b"\n\n", b"   \nhidden", b"hidden" * 1000, b"hidden \xff\xfe"],
    ids=["empty", "blank", "blank line", "long", "not text"],
)
def test_what_is_no_secret_is_refused_and_not_quoted(tmp_path, data):
    (tmp_path / "words").write_bytes(data)
    with pytest.raises(ConfigError, match="words") as caught:
        first_line(tmp_path / "words")
    assert "hidden" not in str(caught.value) and "\n" not in caught.value.message
    assert caught.value.__cause__ is None


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        first_line(tmp_path / "words")


def test_retention_as_configured(tmp_path):
    assert retention(config_of(tmp_path)) == Retention()
    named = {"DAYS": "30", "DEVICE_DAYS": "7", "MEDIA_DAYS": "2", "MAX_MB": "500"}
    named |= {"DEVICE_MAX_MB": "50", "MEDIA_MAX_MB": "9"}
    kept = retention(config_of(tmp_path, **{f"EDGED_RETENTION__{key}": value for key, value in named.items()}))
    day = timedelta(days=1)
    assert kept == Retention(
        all=30 * day,
        devices=7 * day,
        media=2 * day,
        max_bytes=500 * 1024**2,
        devices_max_bytes=50 * 1024**2,
        media_max_bytes=9 * 1024**2,
    )


async def test_retention_is_kept_and_written_down(tmp_path, caplog):
    config = config_of(tmp_path, EDGED_STORE__KEY="file", EDGED_RETENTION__DAYS="30")
    store = await AsyncStore.open(tmp_path / "state", key_source(config, ""), retention(config))
    for text in ("old", "new"):
        turn = await store.open_turn(
            conversation_id="", parts=(Text(text=text),), system_prompt=None, model="tiny", reader=OPERATOR
        )
        store._store._answering.clear()
        if text == "old":
            with store._store._writing() as db:
                db.execute("UPDATE conversations SET updated_at = updated_at - ?", (31 * 86_400 * 10**6,))
    notes: asyncio.Queue[str] = asyncio.Queue()
    keeping = asyncio.create_task(keep_retention(store, notes.put))
    assert "deleted: 1" in await asyncio.wait_for(notes.get(), 10)
    assert [one.id for one in (await store.list(reader=OPERATOR))[0]] == [turn.conversation_id]
    keeping.cancel()
    await asyncio.wait({keeping})
    await store.close()


async def test_a_full_disk_does_not_end_the_daemon(caplog):
    class Full:
        async def expire(self) -> int:
            raise StoreFull("the disk is full")

    async def note(_: str) -> None:
        raise AssertionError

    keeping = asyncio.create_task(keep_retention(Full(), note))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not keeping.done() and "could not be deleted" in caplog.text
    keeping.cancel()
    await asyncio.wait({keeping})


def test_what_somebody_types_is_not_shown():
    """On a terminal of its own, as a program started there has it."""
    ours, theirs = pty.openpty()
    program = (
        "from edged.daemon.secret import ask_passphrase as ask; print(len(ask('Secret: ', twice=True)), 'characters')"
    )
    with subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-c", program], stdin=theirs, stdout=theirs, stderr=theirs
    ) as child:
        os.close(theirs)
        shown = b""
        for prompt in (b"Secret:", b"again:"):
            while prompt not in shown:
                shown += os.read(ours, 1000)
            os.write(ours, b"hidden words\n")
        while b"characters" not in shown:
            shown += os.read(ours, 1000)
        assert child.wait(10) == 0
    os.close(ours)
    assert b"12 characters" in shown and b"hidden" not in shown
