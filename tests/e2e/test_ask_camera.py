"""A daemon under guard with a camera on loopback: what it sees, whom it refuses, and what it may reach."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.client import Client
from edged.events import Image
from tests.e2e.program import Home, short_folder
from tests.sensing_artefact import sensing_artefact
from tests.vision.mjpeg_camera import MjpegCamera, number_in

ENGINES = Path(__file__).parents[2] / "build" / "engines"
MOST_AGE_SECONDS = 0.3
MOST_QUESTIONS = 5
OFF = "edged: the camera is switched off: `edged camera on` allows it to open\n"


@pytest.fixture
def network_camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera()
    yield camera
    camera.unplug()


@pytest.fixture
def seeing(tmp_path: Path, network_camera: MjpegCamera) -> Iterator[Home]:
    sensing_artefact(tmp_path / "engines")
    with short_folder() as folder:
        source = network_camera.url.replace("http://", "http://anna:secret@")
        yield Home(folder, tmp_path / "engines", engine="sensing", extra={"EDGED_CAMERA__SOURCE": source})


def ask(home: Home, *more: str) -> dict[str, object]:
    done = home.run("ask", "--json", "--camera", "--max-tokens", "4", *more, "What do you see?")
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


async def test_the_model_is_shown_the_newest_picture(seeing: Home, network_camera: MjpegCamera) -> None:
    """However long the answer takes, the picture is one that was taken after the question and before the answer."""
    with seeing.daemon() as daemon:
        before = network_camera.number
        answer = await asyncio.to_thread(ask, seeing)
        after = network_camera.number
        async with Client(seeing.address) as client:
            transcript = await client.get_conversation(str(answer["conversation_id"]))
        report = seeing.run("privacy", "report").stdout
        daemon.stop()
        log = daemon.log.read_text()
    (picture,) = [part for part in transcript.messages[0].parts if isinstance(part, Image)]
    assert answer["text"] and before < number_in(picture.data) <= after
    assert not any(word in log for word in ("secret", "anna", str(network_camera.port)))
    assert f"TCP connect only to port {network_camera.port} (camera.source)" in report or "OFF landlock" in report
    assert "and the camera's (camera.source)" in report and ("camera OPEN" in report or "camera closed" in report)


async def test_the_picture_is_younger_than_300_ms_when_the_question_is_taken(
    seeing: Home, network_camera: MjpegCamera
) -> None:
    """By the number that is drawn in it, and through the whole program; of several questions, as machines are busy."""
    ages: list[float] = []
    with seeing.daemon():
        async with Client(seeing.address) as client:
            while len(ages) < MOST_QUESTIONS and min(ages, default=MOST_AGE_SECONDS) >= MOST_AGE_SECONDS:
                answer = await asyncio.to_thread(ask, seeing)
                (question, *_) = (await client.get_conversation(str(answer["conversation_id"]))).messages
                (picture,) = [part for part in question.parts if isinstance(part, Image)]
                assert question.created_at
                since = datetime.now(UTC) - question.created_at
                ages.append(network_camera.age_of(picture.data) - since.total_seconds())
    assert min(ages) < MOST_AGE_SECONDS, ages


def test_a_camera_that_dies_is_named_and_back_it_is_used(seeing: Home, network_camera: MjpegCamera) -> None:
    with seeing.daemon():
        ask(seeing)
        network_camera.unplug()
        refused = seeing.run("ask", "--camera", "What do you see?")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("edged: the camera ") and "Traceback" not in refused.stderr
        assert json.loads(seeing.run("status", "--json").stdout)["store"]["conversations"] == 1
        network_camera.plug_in()
        ask(seeing)


def test_the_nano_says_what_it_sees(network_camera: MjpegCamera) -> None:
    """A model that `make setup` builds, beside a default one that reads text alone."""
    with short_folder() as folder:
        home = Home(folder, ENGINES, engine="smollm2-135m", extra={"EDGED_CAMERA__SOURCE": network_camera.url})
        with home.daemon():
            answer = ask(home, "--model", "autoglm-phone-nano")
    assert answer["text"] and answer["model"] == "autoglm-phone-nano"
    assert network_camera.requests


def test_camera_off_is_refused_on_every_path(seeing: Home, network_camera: MjpegCamera) -> None:
    with seeing.daemon():
        ask(seeing)
        assert seeing.run("camera", "off").stdout == "the camera is off\n"
        asked = len(network_camera.requests)
        refused = seeing.run("ask", "--camera", "What do you see?")
        assert (refused.returncode, refused.stdout, refused.stderr) == (1, "", OFF)
        status = json.loads(seeing.run("status", "--json").stdout)
        assert status["camera"]["state"] == "off" and status["store"]["conversations"] == 1
        assert len(network_camera.requests) == asked and not network_camera.is_watched
        assert seeing.run("camera", "on").returncode == 0
        ask(seeing)


def test_a_daemon_that_is_killed_leaves_no_camera_open(seeing: Home, network_camera: MjpegCamera) -> None:
    with seeing.daemon() as daemon:
        ask(seeing)
        assert network_camera.is_watched
        daemon.kill()
        until_left(network_camera)


def test_a_daemon_started_for_one_question_opens_and_closes_it(seeing: Home, network_camera: MjpegCamera) -> None:
    assert ask(seeing)["text"]
    until_left(network_camera)


def until_left(network_camera: MjpegCamera) -> None:
    end = time.monotonic() + 20
    while network_camera.is_watched:
        assert time.monotonic() < end, "the camera is still looked through"
        time.sleep(0.05)
