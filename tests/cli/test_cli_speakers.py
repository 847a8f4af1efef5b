from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from edged.audio.pcm import SAMPLE_RATE, Pcm
from edged.cli.recording import recorded
from edged.cli.speakers import SENTENCES
from edged.errors import DeviceUnavailable, InvalidInput
from tests.cli.conftest import Edged, ScriptedDaemon
from tests.pipeline.people import recording
from tests.pipeline.stages import LOUD, LoudnessActivity, silence, speech


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Three sentences of one voice."""
    names = []
    for number in range(3):
        file = tmp_path / f"sentence {number}.wav"
        file.write_bytes(recording(3000, 1.5 + number).data)
        names.append(str(file))
    return names


def test_a_voice_from_files(daemon: ScriptedDaemon, edged: Edged, files: list[str]) -> None:
    done = edged("speakers", "enrol", "Anna", *files)
    assert (done.exit_code, done.stdout) == (0, "Anna is enrolled.\n")
    assert "voice.identify_speakers is off" in done.stderr
    assert list(daemon.people.known) == ["Anna"]


def test_no_hint_where_speakers_are_identified(
    daemon: ScriptedDaemon, edged: Edged, files: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGED_VOICE__IDENTIFY_SPEAKERS", "true")
    assert edged("speakers", "enrol", "Anna", *files).stderr == ""


def test_list(daemon: ScriptedDaemon, edged: Edged, files: list[str]) -> None:
    assert edged("speakers", "list").stdout == "Nobody is enrolled.\n"
    assert json.loads(edged("speakers", "list", "--json").stdout) == []
    edged("speakers", "enrol", "Anna", *files)
    lines = edged("speakers", "list").stdout.splitlines()
    assert lines[0].split() == ["NAME", "ENROLLED"] and lines[1].startswith("Anna  2026-01-0")
    (person,) = json.loads(edged("speakers", "list", "--json").stdout)
    assert person == {"name": "Anna", "created_at": "2026-01-02T03:04:05+00:00"}


def test_delete_needs_yes_where_nobody_can_be_asked(daemon: ScriptedDaemon, edged: Edged, files: list[str]) -> None:
    edged("speakers", "enrol", "Anna", *files)
    asked = edged("speakers", "delete", "Anna")
    assert asked.exit_code == 2 and "--yes" in asked.stderr and "Anna" in daemon.people.known
    assert edged("speakers", "delete", "Anna", "--yes").stdout == "Deleted Anna.\n"
    assert daemon.people.known == {}
    again = edged("speakers", "delete", "Anna", "--yes")
    assert (again.exit_code, again.stderr) == (1, "edged: nobody named Anna is enrolled\n")


def test_what_is_wrong_is_one_line(daemon: ScriptedDaemon, edged: Edged, files: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no recording")
    for arguments, line in (
        (files[:2], "3 to 10 recordings are needed, not 2"),
        ([*files, str(tmp_path / "text.wav")], f"{tmp_path / 'text.wav'}: not a WAV, FLAC, Ogg or MP3 recording"),
        ([*files, str(tmp_path / "none.wav")], f"{tmp_path / 'none.wav'}: not a file"),
    ):
        done = edged("speakers", "enrol", "Anna", *arguments)
        assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"edged: {line}\n")
    assert daemon.people.known == {}


def test_a_name_that_is_no_text(daemon: ScriptedDaemon, edged: Edged, files: list[str]) -> None:
    assert "not valid UTF-8" in edged("speakers", "enrol", b"\xff", *files).stderr


class Reader:
    """Stands for the microphone: somebody reads one sentence after the other."""

    failure: Exception | None = None
    is_open = False
    closed = 0

    def __init__(self, device: str) -> None:
        pass

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def open(self) -> None:
        if self.failure:
            raise self.failure
        Reader.is_open = True

    async def close(self) -> None:
        Reader.is_open = False
        Reader.closed += 1

    async def __aiter__(self) -> AsyncIterator[Pcm]:
        while True:
            for piece in in_frames(silence(0.5), speech(2.0), silence(2.0)):
                yield piece
                await asyncio.sleep(0)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> type[Reader]:
    module = sys.modules["edged.cli.recording"]
    monkeypatch.setattr(module, "Microphone", Reader)
    monkeypatch.setattr(module, "SileroVad", lambda path: LoudnessActivity())
    monkeypatch.setattr(Reader, "failure", None)
    monkeypatch.setattr(Reader, "closed", 0)
    return Reader


def test_a_voice_from_the_microphone(daemon: ScriptedDaemon, edged: Edged, reader: type[Reader]) -> None:
    done = edged("speakers", "enrol", "Anna")
    assert (done.exit_code, done.stdout) == (0, "Anna is enrolled.\n")
    assert all(sentence in done.stderr for sentence in SENTENCES)
    assert list(daemon.people.known) == ["Anna"]
    assert all(2.5 < seconds < 4.5 for seconds in daemon.encoder.heard)
    assert (reader.is_open, reader.closed) == (False, 1)


def test_a_microphone_that_does_not_open(
    daemon: ScriptedDaemon, edged: Edged, reader: type[Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "failure", DeviceUnavailable("no microphone"))
    done = edged("speakers", "enrol", "Anna")
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (1, "edged: no microphone")
    assert (reader.is_open, reader.closed) == (False, 1)


def test_without_the_extra(daemon: ScriptedDaemon, edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "edged.cli.recording", None)
    done = edged("speakers", "enrol", "Anna")
    assert done.exit_code == 1 and "make setup EXTRAS=voice" in done.stderr


def in_frames(*sounds: Pcm) -> list[Pcm]:
    whole = np.concatenate(sounds)
    return [whole[start : start + 160] for start in range(0, len(whole), 160)]


async def frames(*sounds: Pcm) -> AsyncIterator[Pcm]:
    for frame in in_frames(*sounds):
        yield frame


async def test_a_sentence_ends_with_a_pause() -> None:
    pcm = await recorded(
        frames(silence(1.0), speech(1.0), silence(0.5), speech(1.0), silence(5.0)), LoudnessActivity(), lambda: False
    )
    assert len(pcm) / SAMPLE_RATE == pytest.approx(4.7, abs=0.1)
    assert np.count_nonzero(pcm == LOUD) == 2 * SAMPLE_RATE


async def test_a_sentence_ends_with_enter() -> None:
    heard = 0.0

    async def counted() -> AsyncIterator[Pcm]:
        nonlocal heard
        async for frame in frames(speech(10.0)):
            heard += len(frame) / SAMPLE_RATE
            yield frame

    pcm = await recorded(counted(), LoudnessActivity(), lambda: heard > 3.0)
    assert len(pcm) / SAMPLE_RATE == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize("is_entered", [False, True])
async def test_nobody_speaks(is_entered: bool) -> None:
    with pytest.raises(InvalidInput, match="nobody was heard"):
        await recorded(frames(silence(30.0)), LoudnessActivity(), lambda: is_entered)
