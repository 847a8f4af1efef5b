"""`edged talk`: Enter, a question, Enter, its answer; devices and the daemon's ears are scripted."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

import pytest

from edged.cli.generation import generation_from
from edged.client import push_to_talk
from edged.config import load_config
from edged.errors import DeviceUnavailable
from tests.audio.scripted_devices import Desk
from tests.server import conversing
from tests.server.scripted import until

talk = importlib.import_module("edged.cli.talk")  # the package calls the command so
GENERATION = generation_from(talk.talk.make_context("talk", []).params)
"""Without options."""


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk()
    monkeypatch.setattr(push_to_talk, "own_devices", desk)
    return desk


async def conversation(folder: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one question, at the keyboard."""

    async def keys() -> None:
        await asyncio.sleep(0)

    async def heard() -> None:
        await until(lambda: desk.microphone.frames > 60)

    async def answered() -> None:
        await until(lambda: desk.speaker.played)

    steps = iter([(keys, "\n"), (heard, "\n"), (answered, "")])

    async def typed_line() -> str:
        wait, line = next(steps)
        await wait()
        return line

    monkeypatch.setattr(talk, "typed_line", typed_line)
    daemon = conversing.Daemon(folder / "socket")
    await daemon.server.start(daemon.socket)
    daemon.server.serve()
    try:
        await talk._talk(load_config(), "", GENERATION)
    finally:
        await daemon.server.drain(0)


async def test_a_question_and_its_answer(
    home: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await conversation(home, desk, monkeypatch)
    said = capsys.readouterr()
    assert said.out == "you: What is the capital of France?\nedged: Paris.\n"
    assert said.err.startswith("edged: Enter: speak; Enter again: ask; Ctrl-D: leave\n")
    assert desk.speaker.cuts and not desk.is_open


async def test_a_microphone_that_does_not_open_ends_it(home: Path, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.microphone.failure = DeviceUnavailable("no microphone; `edged doctor` lists what there is")
    with pytest.raises(ExceptionGroup) as caught:
        await conversation(home, desk, monkeypatch)
    assert caught.group_contains(DeviceUnavailable, depth=1)
    assert not desk.is_open
