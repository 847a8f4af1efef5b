"""Talking in a real browser: what the page sends of the microphone, and what it does with what comes back."""

from __future__ import annotations

import asyncio
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from edged.v1 import assistant_pb2 as assistant
from edged.v1 import voice_pb2 as voice
from tests.phone.browser import Complaints, chromium, phone, require_accessible
from tests.phone.scripted_daemon import ScriptedDaemon, served_files
from tests.phone.voice_script import VoiceScript

pytestmark = pytest.mark.alone

TONE_HERTZ = 1000
TAP = """
window.played = {samples: 0, stopped: 0, sources: []};
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (at) {
  window.played.samples += this.buffer.length;
  return start.call(this, at);
};
const stop = AudioBufferSourceNode.prototype.stop;
AudioBufferSourceNode.prototype.stop = function () {
  window.played.stopped += 1;
  return stop.call(this);
};
"""
"""Counts what the page hands to the loudspeaker."""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with served_files() as origin:
        yield origin


@pytest.fixture
def microphone(tmp_path: Path) -> Path:
    """A file that Chromium hears for ever: a tone."""
    path = tmp_path / "tone.wav"
    samples = (8000 * np.sin(2 * np.pi * TONE_HERTZ * np.arange(48_000) / 48_000)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes(samples.tobytes())
    return path


@asynccontextmanager
async def app(microphone: Path, daemon: ScriptedDaemon) -> AsyncIterator[Page]:
    async with chromium(f"--use-file-for-fake-audio-capture={microphone}") as browser:
        context = await phone(browser, service_workers="block")
        await daemon.serve(context)
        await context.add_init_script(TAP)
        page = await context.new_page()
        complaints = Complaints(page)
        await page.goto(daemon.origin)
        await expect(page.locator("textarea")).to_be_visible()
        yield page
        assert complaints.heard == []


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    deadline = time.monotonic() + 30
    while True:
        found = condition()
        if found if isinstance(found, bool) else await found:
            return
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


def kinds(daemon: ScriptedDaemon) -> list[str | None]:
    return [request.WhichOneof("request") for request in daemon.spoken]


def said(daemon: ScriptedDaemon) -> np.ndarray:
    pieces = [request.audio.data for request in daemon.spoken if request.WhichOneof("request") == "audio"]
    assert all(0 < len(piece) <= 2560 for piece in pieces)
    return np.frombuffer(b"".join(pieces), "<i2").astype(float)


def reports(daemon: ScriptedDaemon) -> list[float]:
    return [request.playback.played_seconds for request in daemon.spoken if request.HasField("playback")]


async def played(page: Page) -> float:
    """Seconds that were handed to the loudspeaker."""
    rate = await page.evaluate("new AudioContext().sampleRate")
    return float(await page.evaluate("window.played.samples")) / float(rate)


async def test_holding_the_button_asks_and_the_answer_is_heard(microphone: Path, origin: str) -> None:
    script = VoiceScript()

    def on_spoken(socket: WebSocketRoute, request: assistant.ConverseRequest) -> None:
        if request.WhichOneof("request") == "button" and not request.button.is_pressed:
            script.answer(socket)

    daemon = ScriptedDaemon(origin, on_spoken=on_spoken)
    async with app(microphone, daemon) as page:
        box = await page.get_by_role("button", name="Hold to talk").bounding_box()
        assert box
        await page.mouse.move(box["x"] + 10, box["y"] + 10)
        await page.mouse.down()
        await expect(page.locator(".microphone-state")).to_have_text("Microphone on")
        await until(lambda: len(said(daemon)) > 16_000)
        await require_accessible(page)
        await page.mouse.up()
        await expect(page.locator(".microphone-state")).to_have_text("Microphone off")
        await expect(page.locator(".user")).to_contain_text("What is the capital of France?")
        await expect(page.locator(".assistant strong")).to_have_text("nothing")
        await until(lambda: 1.9 < (reports(daemon) or [0.0])[-1] < 2.1)
        assert 1.95 < await played(page) < 2.05
        assert page.url == f"{origin}/#/chat/c1"

    opening = daemon.spoken[0].open
    assert (opening.mode, opening.encoding) == (voice.VOICE_MODE_PUSH_TO_TALK, voice.AUDIO_ENCODING_PCM16)
    heard = [kind for kind in kinds(daemon) if kind != "playback"]
    assert heard[:2] == ["open", "button"] and heard[-1] == "button"
    assert set(heard[2:-1]) == {"audio"}  # all of it between the two
    assert sorted(reports(daemon)) == reports(daemon)
    # The tone came through as it was, at 16 kHz.
    sound = said(daemon)[8_000:16_000]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    assert abs(spectrum.argmax() * 16_000 / len(sound) - TONE_HERTZ) < 5


async def test_who_speaks_hands_free_interrupts(microphone: Path, origin: str) -> None:
    daemon, script = ScriptedDaemon(origin), VoiceScript()
    async with app(microphone, daemon) as page:
        await page.get_by_role("button", name="Start hands-free talking").tap()
        await expect(page.locator(".microphone-state")).to_have_text("Microphone on")
        await until(lambda: len(said(daemon)) > 3_200)
        opening = daemon.spoken[0].open
        assert (opening.mode, opening.is_echo_cancelled) == (voice.VOICE_MODE_OPEN, True)
        (socket,) = daemon.sockets
        script.tell(socket, state_changed={"state": voice.VOICE_STATE_LISTENING})
        script.tell(socket, partial_transcript={"text": "what is the"})
        await expect(page.locator(".turn-state")).to_have_text("Listening")
        await expect(page.locator(".partial")).to_have_text("what is the")
        await require_accessible(page)
        script.answer(socket, seconds=10)
        await until(lambda: bool(reports(daemon)) and reports(daemon)[-1] > 0.5)
        script.tell(socket, interrupted={"heard": "Paris,"})
        await expect(page.locator(".assistant .markdown")).to_have_text("Paris,")
        await until(lambda: page.evaluate("window.played.stopped > 0"))
        assert await played(page) < 6  # the rest was never handed over
        count = len(reports(daemon))
        await asyncio.sleep(0.6)
        assert len(reports(daemon)) == count  # nothing is played, nothing is reported
        await page.get_by_role("button", name="End hands-free talking").tap()
        await expect(page.locator(".voice")).to_be_hidden()
        sent = len(daemon.spoken)
        await asyncio.sleep(0.3)
        assert len(daemon.spoken) == sent


async def test_a_broken_connection_is_taken_up_again(microphone: Path, origin: str) -> None:
    daemon, script = ScriptedDaemon(origin), VoiceScript()
    async with app(microphone, daemon) as page:
        await page.get_by_role("button", name="Start hands-free talking").tap()
        await until(lambda: len(said(daemon)) > 3_200)
        script.tell(daemon.sockets[0], final_transcript={"text": "One."})
        await expect(page.locator(".user")).to_have_count(1)
        await daemon.sockets[0].close(code=4014, reason="the daemon is restarting")
        await until(lambda: len(daemon.sockets) == 2 and kinds(daemon).count("open") == 2)
        again = [request.open for request in daemon.spoken if request.HasField("open")][1]
        assert (again.session_id, again.last_sequence) == ("s1", 1)
        script.tell(daemon.sockets[1], final_transcript={"text": "Two."})
        await expect(page.locator(".user")).to_have_text(["You\n\nOne.", "You\n\nTwo."], use_inner_text=True)


async def test_the_first_thing_that_a_finger_does_may_be_to_hold_the_button(microphone: Path, origin: str) -> None:
    """A touch is no permission to make sound before it ends; the microphone is."""
    daemon = ScriptedDaemon(origin)
    async with app(microphone, daemon) as page:
        box = await page.get_by_role("button", name="Hold to talk").bounding_box()
        assert box
        finger = {"x": box["x"] + 20, "y": box["y"] + 20}
        devtools = await page.context.new_cdp_session(page)
        await devtools.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [finger]})
        await expect(page.locator(".microphone-state")).to_have_text("Microphone on")
        await until(lambda: len(said(daemon)) > 16_000)
        slipped = {"x": 10, "y": 10}
        await devtools.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [slipped]})
        await expect(page.locator(".microphone-state")).to_have_text("Microphone on")
        await devtools.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        await expect(page.locator(".microphone-state")).to_have_text("Microphone off")
        await until(lambda: kinds(daemon).count("button") == 2)


async def test_the_button_works_from_the_keyboard_and_for_screen_readers(microphone: Path, origin: str) -> None:
    daemon = ScriptedDaemon(origin)
    async with app(microphone, daemon) as page:
        talk = page.locator(".talk")
        await talk.focus()
        await page.keyboard.down("Space")
        await expect(page.locator(".microphone-state")).to_have_text("Microphone on")
        await page.keyboard.up("Space")
        await expect(page.locator(".microphone-state")).to_have_text("Microphone off")
        await talk.evaluate("button => button.click()")
        await expect(page.locator(".microphone-state")).to_have_text("Microphone on")
        await talk.evaluate("button => button.click()")
        await expect(page.locator(".microphone-state")).to_have_text("Microphone off")
        await until(lambda: kinds(daemon).count("button") == 4)


async def test_a_session_that_ends_says_why(microphone: Path, origin: str) -> None:
    daemon = ScriptedDaemon(origin)
    async with app(microphone, daemon) as page:
        await page.get_by_role("button", name="Start hands-free talking").tap()
        await until(lambda: len(said(daemon)) > 0)
        await daemon.sockets[0].close(code=4009, reason="a part of the voice extra is not installed")
        await expect(page.locator(".problem")).to_contain_text("a part of the voice extra is not installed")
        await expect(page.locator(".voice")).to_be_hidden()
