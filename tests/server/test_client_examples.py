"""The programs in clients/python do what their first lines say."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from edged.audio.pcm import to_bytes
from edged.client import Client
from edged.client.daemons import PairedDaemons
from edged.errors import UnsupportedPart
from edged.events import Image, Text
from edged.records import PairingCandidate
from tests.cli.lan_daemon import LanDaemon
from tests.pipeline.stages import speech
from tests.server import conversing
from tests.server.conftest import Daemon

EXAMPLES = Path(__file__).resolve().parents[2] / "clients" / "python"
NAMES = sorted(path.name for path in EXAMPLES.glob("*.py"))
USAGE = {"picture.py": ("picture.png", "What?"), "talk.py": ("question.wav", "answer.wav"), "status.py": ()}
"""What follows the address, where that is not one word."""
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)


async def run(name: str, *arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_ask_and_conversations(daemon: Daemon) -> None:
    code, out, err = await run("ask.py", daemon.address, "What is the capital of France?")
    assert (code, out) == (0, "Paris.\n")
    assert "[conversation c1]" in err
    assert (await run("conversations.py", daemon.address))[1] == "c1  2026-01-02 03:04  untitled\n"
    assert (await run("conversations.py", daemon.address, "capital", "of"))[1].startswith("c1  user: What is")


async def test_a_picture(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(PICTURE)
    assert (await run("picture.py", daemon.address, str(file), "What is it?"))[:2] == (0, "Paris.\n")
    parts = (Image(data=PICTURE, media_type="image/png"), Text(text="What is it?"))
    assert daemon.model.requests[0].messages[0].parts == parts
    daemon.model.refusal = UnsupportedPart("tiny reads no pictures")
    assert await run("picture.py", daemon.address, str(file), "What?") == (1, "", "tiny reads no pictures\n")


async def test_status_and_devices(daemon: Daemon) -> None:
    code, out, _ = await run("status.py", daemon.address)
    assert code == 0 and out.splitlines()[0].endswith(": serving, tiny on script")
    assert out.endswith("0 connections refused\n0 devices paired\n")


async def test_a_recording_is_answered_aloud(run_dir: Path) -> None:
    question, answer = run_dir / "question.wav", run_dir / "answer.wav"
    with wave.open(str(question), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(to_bytes(speech(1.5)))
    async with talking(run_dir / "s") as daemon:
        code, out, err = await run("talk.py", f"unix:{run_dir}/s", str(question), str(answer))
    assert (code, err) == (0, "")
    assert out == "understood: What is the capital of France?\nanswered in 0.6 s of sound\n"
    assert 1.4 < daemon.composer.speech.seconds[0] < 1.6
    with wave.open(str(answer)) as heard:
        assert heard.getnframes() == 600


@asynccontextmanager
async def talking(socket: Path) -> AsyncIterator[conversing.Daemon]:
    daemon = conversing.Daemon(socket)
    await daemon.server.start(socket)
    daemon.server.serve()
    yield daemon
    await daemon.server.drain(0)


@pytest.fixture
def lan(run_dir: Path) -> Iterator[LanDaemon]:
    daemon = LanDaemon(run_dir, run_dir / "s")
    yield daemon
    daemon.end()


async def test_pairing(lan: LanDaemon, run_dir: Path) -> None:
    async with Client(f"unix:{run_dir}/s") as operator:
        offer = await operator.devices.open_pairing()
        joining = asyncio.create_task(run("pair.py", str(run_dir / "keys"), lan.web_address, offer.code))
        async with aclosing(operator.devices.watch_pairing(offer.pairing_id)) as events:
            candidate = await anext(events)
            assert isinstance(candidate, PairingCandidate)
            await operator.devices.confirm_pairing(offer.pairing_id, candidate.short_string)
        code, out, err = await joining
    assert (code, err) == (0, "")
    assert out.startswith(f"The daemon's operator must see {candidate.short_string}.\nPaired with ")
    assert "; may chat, history, voice.\nIt is edged " in out
    (name,) = PairedDaemons(run_dir / "keys").names()
    assert (run_dir / "keys" / name / "identity.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", NAMES)
async def test_failures_are_one_line(name: str, run_dir: Path) -> None:
    for file in ("question.wav", "picture.png"):
        (run_dir / file).write_bytes(b"")
    if name == "pair.py":
        words: tuple[str, ...] = (str(run_dir), "127.0.0.1:1", "123456")
    else:
        words = (f"unix:{run_dir}/s", *(_in(run_dir, word) for word in USAGE.get(name, ("Hello",))))
    code, out, err = await run(name, *words)
    assert (code, out.strip(), err.count("\n")) == (1, "", 1), err
    assert (await run(name))[0] == 2


def _in(folder: Path, word: str) -> str:
    return str(folder / word) if "." in word else word


@pytest.mark.parametrize("name", NAMES)
def test_they_import_what_clients_may(name: str) -> None:
    source = (EXAMPLES / name).read_text()
    allowed = {"edged.events", "edged.voice_events", "edged.errors"}
    imported = set(re.findall(r"from (edged\S*)", source))
    assert all(module in allowed or module.startswith("edged.client") for module in imported)
    assert len(source.splitlines()) <= 60
