from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.errors import CameraOff, DeviceUnavailable, EdgedError
from edged.events import Image, Text
from edged.records import CameraFrame, CameraState, CameraStatus
from tests.cli.conftest import Edged, ScriptedDaemon

JPEG = b"\xff\xd8\xff" + b"what it sees"
NONE = "edged: this daemon has no camera: name one as camera.source in edged.toml and start it again\n"


class Eye:
    """Sees the same picture all the time."""

    def __init__(self) -> None:
        self.state = CameraState.CLOSED
        self.failure: EdgedError | None = None

    async def snapshot(self) -> CameraFrame:
        if self.state is CameraState.OFF:
            raise CameraOff("the camera is switched off: `edged camera on` allows it to open")
        if self.failure:
            raise self.failure
        return CameraFrame(jpeg=JPEG, taken_at=datetime(2026, 11, 27, tzinfo=UTC))

    async def frames(self, max_per_second: float) -> AsyncGenerator[CameraFrame, None]:
        yield await self.snapshot()

    def status(self) -> CameraStatus:
        obstacle = self.failure.message if self.failure else ""
        return CameraStatus(state=self.state, source="/dev/video0", obstacle=obstacle)

    async def changes(self) -> AsyncGenerator[CameraStatus, None]:
        yield self.status()

    async def switch(self, is_on: bool) -> None:
        self.state = CameraState.CLOSED if is_on else CameraState.OFF


@pytest.fixture
def eye() -> Eye:
    return Eye()


@pytest.fixture
def seeing(home: Path, eye: Eye) -> Iterator[ScriptedDaemon]:
    daemon = ScriptedDaemon(home / "socket", camera=eye)
    daemon.begin()
    daemon.model.can_see = True
    yield daemon
    daemon.end()


def test_what_the_camera_sees_comes_before_files_and_words(
    seeing: ScriptedDaemon, edged: Edged, tmp_path: Path
) -> None:
    (tmp_path / "png").write_bytes(b"\x89PNG\r\n\x1a\n")
    done = edged("ask", "--image", str(tmp_path / "png"), "--camera", "What do you see?")
    assert (done.exit_code, done.stdout) == (0, "Paris.\n"), done.output
    assert seeing.model.requests[0].messages[-1].parts == (
        Image(data=JPEG, media_type="image/jpeg"),
        Image(data=b"\x89PNG\r\n\x1a\n", media_type="image/png"),
        Text(text="What do you see?"),
    )


def test_a_look_may_ask_for_itself(seeing: ScriptedDaemon, edged: Edged) -> None:
    assert edged("ask", "--camera").exit_code == 0
    assert seeing.model.requests[0].messages[-1].parts == (Image(data=JPEG, media_type="image/jpeg"),)


def test_switched_off_nothing_is_asked(seeing: ScriptedDaemon, edged: Edged) -> None:
    assert edged("camera", "off").stdout == "the camera is off\n"
    done = edged("ask", "--camera", "What do you see?")
    line = "edged: the camera is switched off: `edged camera on` allows it to open\n"
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", line)
    assert not seeing.model.requests
    assert edged("camera", "on").stdout == "the camera is on; it opens when somebody wants a picture\n"
    assert edged("ask", "--camera", "What do you see?").exit_code == 0


def test_a_camera_that_is_lost_is_one_line(seeing: ScriptedDaemon, eye: Eye, edged: Edged) -> None:
    eye.failure = DeviceUnavailable("the camera is not there: is it plugged in?")
    done = edged("ask", "--camera", "What do you see?")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"edged: {eye.failure.message}\n")


def test_without_a_camera(daemon: ScriptedDaemon, edged: Edged) -> None:
    for arguments in (("ask", "--camera", "What do you see?"), ("camera", "off"), ("camera", "on")):
        done = edged(*arguments)
        assert (done.exit_code, done.stdout, done.stderr) == (1, "", NONE)
    assert not daemon.model.requests
    assert "Camera" not in edged("status").stdout
    assert "camera none: camera.source is empty" in edged("privacy", "report").stdout


def test_the_switch_starts_no_daemon(home: Path, edged: Edged) -> None:
    done = edged("camera", "off")
    assert done.exit_code == 1 and "no daemon is running" in done.stderr and not (home / "state").exists()


def test_its_state_is_shown(seeing: ScriptedDaemon, eye: Eye, edged: Edged) -> None:
    eye.state, eye.failure = CameraState.OPEN, DeviceUnavailable("a bee sits on it")
    said = edged("status").stdout
    assert "Camera\n  OPEN /dev/video0\n  a bee sits on it\n" in said
    assert json.loads(edged("status", "--json").stdout)["camera"]["state"] == "open"
    assert "camera OPEN\n" in edged("privacy", "report").stdout
    assert json.loads(edged("privacy", "report", "--json").stdout)["camera"] == "open"
