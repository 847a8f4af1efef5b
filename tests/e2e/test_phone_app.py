"""A phone and the real daemon: paired, asked, talked with, shown something, and revoked.

The phone is Chromium. It hears a file that Piper read aloud and sees a film of one word; what it plays is written down
by Whisper.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
import soxr
from PIL import Image, ImageDraw, ImageFont
from playwright.async_api import BrowserContext, Page, WebSocket, expect

from edged.audio.pcm import SAMPLE_RATE
from edged.speech.weights import whisper_folder
from edged.speech.whisper import Whisper
from edged.v1 import assistant_pb2
from tests.e2e.program import Home, short_folder
from tests.phone.browser import SECONDS, Complaints, chromium, phone, require_accessible
from tests.speech.voices import in_a_quiet_room, spoken

pytestmark = pytest.mark.alone

ENGINES = Path(__file__).parents[2] / "build" / "engines"
WORD = "cat"
TAP = """
window.heard = [];
const start = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (at) {
  window.heard.push(new Int16Array(this.buffer.getChannelData(0).map((sample) => 32767 * sample)));
  window.heardRate = this.buffer.sampleRate;
  return start.call(this, at);
};
"""
"""Keeps what the page hands to the loudspeaker."""
HEARD = """() => {
  const bytes = window.heard.flatMap((piece) => [...new Uint8Array(piece.buffer)]);
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}"""


def free_port() -> str:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return str(listener.getsockname()[1])


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    """A daemon with its default models that listens on the LAN, which is this machine."""
    lan = {
        "EDGED_LAN__ENABLED": "true",
        "EDGED_LAN__HOST": "127.0.0.1",
        "EDGED_LAN__GRPC_PORT": free_port(),
        "EDGED_LAN__WEB_PORT": free_port(),
        "EDGED_LAN__ANNOUNCE": "false",
        "EDGED_SAMPLING__TEMPERATURE": "0",
        "EDGED_ENGINE__THREADS": "2",
    }
    with short_folder() as folder:
        home = Home(folder, ENGINES, "smollm2-135m", lan)
        with home.daemon():
            yield home


@pytest.fixture(scope="module")
def question(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the phone's microphone hears, once."""
    path = tmp_path_factory.mktemp("microphone") / "question.wav"
    sound = in_a_quiet_room(spoken("What is the capital of France?"), 0.8)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(sound.astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What its camera sees: a word on paper, again and again."""
    paper = Image.new("RGB", (448, 448), (235, 235, 225))
    ImageDraw.Draw(paper).text((80, 160), WORD, fill=(20, 20, 60), font=ImageFont.load_default(128))
    folder = tmp_path_factory.mktemp("camera")
    paper.save(folder / "frame.jpg", quality=95)
    (folder / "film.mjpeg").write_bytes((folder / "frame.jpg").read_bytes() * 30)
    return folder / "film.mjpeg"


@asynccontextmanager
async def a_phone(home: Home, *arguments: str) -> AsyncIterator[tuple[BrowserContext, Page]]:
    """One whose owner has accepted the browser's warning, at the daemon's page."""
    async with chromium("--ignore-certificate-errors", *arguments) as browser:
        context = await phone(browser, ignore_https_errors=True)
        await context.add_init_script(TAP)
        page = await context.new_page()
        complaints = Complaints(page)
        elsewhere: list[str] = []
        origin = f"https://127.0.0.1:{home.extra['EDGED_LAN__WEB_PORT']}"
        context.on(
            "request",
            lambda asked: elsewhere.append(asked.url) if not asked.url.startswith((origin, "blob:")) else None,
        )
        await page.goto(origin)
        yield context, page
        await context.close()
        assert complaints.heard == []
        assert elsewhere == []


async def edged(home: Home, *arguments: str) -> dict[str, str]:
    done = await asyncio.to_thread(home.run, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[0]) if "--json" in arguments else {}


async def let_in(home: Home, page: Page, *scopes: str) -> str:
    """Pair by the link, with the operator's word; the device's id."""
    offer = await edged(home, "pair", "--json", *(word for scope in scopes for word in ("--scope", scope)))
    await page.goto(page.url.split("#")[0] + "#" + offer["link"].split("#")[1])
    await expect(page.locator(".fingerprint")).to_contain_text(offer["fingerprint"][:23])
    assert offer["secret"] not in page.url
    await page.get_by_role("button", name="Pair", exact=True).click()
    await expect(page.locator(".short-string")).to_be_visible()
    await require_accessible(page)
    shown = await page.locator(".short-string").inner_text()
    device = await edged(home, "pair", "--confirm", shown, "--json")
    await expect(page.get_by_role("navigation")).to_be_visible()
    return device["id"]


async def ask(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.get_by_role("button", name="Send").click()


async def answered(page: Page) -> str:
    """The last answer, when it has come to its end."""
    last = page.locator(".assistant").last
    await expect(last.get_by_role("button", name="Copy")).to_be_visible(timeout=1000 * SECONDS)
    return await last.locator(".markdown").last.inner_text()


class Frames:
    """What goes over the WebSockets of a page."""

    def __init__(self, page: Page) -> None:
        self.received: list[assistant_pb2.ConverseResponse] = []
        self.sent: list[assistant_pb2.ConverseRequest] = []
        page.on("websocket", self._follow)

    def _follow(self, websocket: WebSocket) -> None:
        websocket.on(
            "framereceived", lambda data: self.received.append(assistant_pb2.ConverseResponse.FromString(data))
        )
        websocket.on("framesent", lambda data: self.sent.append(assistant_pb2.ConverseRequest.FromString(data)))

    @property
    def spoken_bytes(self) -> int:
        return sum(len(one.event.spoken_audio.data) for one in self.received if one.event.HasField("spoken_audio"))

    @property
    def played_seconds(self) -> float:
        reports = [one.playback.played_seconds for one in self.sent if one.HasField("playback")]
        return reports[-1] if reports else 0.0


async def test_a_phone_is_paired_asks_and_finds_it_again(home: Home) -> None:
    async with a_phone(home) as (context, page):
        await let_in(home, page)
        (cookie,) = await context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (
            "__Host-edged",
            True,
            True,
            "Strict",
        )
        await ask(page, "What is the capital of France?")
        said = await answered(page)
        assert "Paris" in said
        await require_accessible(page)
        await page.reload()
        assert await answered(page) == said

        await page.get_by_role("link", name="Conversations").click()
        await page.get_by_role("searchbox").fill("capital")
        await expect(page.locator("mark").first).to_have_text("capital")
        await require_accessible(page)
        await page.get_by_role("link", name="Device").click()
        await expect(page.locator(".promise")).to_have_text("Nothing.")
        await require_accessible(page)


async def test_an_answer_can_be_stopped_and_what_there_is_of_it_is_kept(home: Home) -> None:
    async with a_phone(home) as (_, page):
        await let_in(home, page)
        await ask(page, "Tell me a very long story about a dragon.")
        await expect(page.locator(".assistant .markdown > div").first).to_be_visible(timeout=1000 * SECONDS)
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator(".assistant")).to_contain_text("Stopped.")
        said = await page.locator(".assistant .markdown").inner_text()
        await page.reload()
        await expect(page.locator(".assistant")).to_contain_text("Stopped.")
        assert (await answered(page)).startswith(said[:20])


async def test_a_question_that_is_spoken_is_answered_aloud(home: Home, question: Path) -> None:
    async with a_phone(home, f"--use-file-for-fake-audio-capture={question}%noloop") as (_, page):
        frames = Frames(page)
        await let_in(home, page)
        button = page.get_by_role("button", name="Hold to talk")
        await button.dispatch_event("pointerdown", {"button": 0, "pointerId": 1})
        await expect(page.locator(".microphone-state")).to_have_text("Microphone on")
        with wave.open(str(question)) as file:
            await asyncio.sleep(file.getnframes() / file.getframerate() + 0.3)
        await page.get_by_role("button", name="Release to ask").dispatch_event("pointerup", {"pointerId": 1})
        await expect(page.locator(".user")).to_contain_text("capital of France", timeout=1000 * SECONDS)
        assert "Paris" in await answered(page)
        async with asyncio.timeout(SECONDS):
            while not frames.spoken_bytes or frames.played_seconds < 1:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        heard = np.frombuffer(base64.b64decode(await page.evaluate(HEARD)), "<i2")
        rate = await page.evaluate("window.heardRate")
    samples = soxr.resample(heard.astype(np.float32) / 32768, rate, 16_000).astype(np.float32)
    words = await asyncio.to_thread(Whisper(whisper_folder()).transcribe, samples[: 20 * 16_000])
    assert "paris" in words.text.lower()


async def take_picture(page: Page) -> None:
    await page.get_by_role("button", name="Take a picture").click()
    await page.get_by_role("dialog").get_by_role("button", name="Take a picture").click()
    await expect(page.locator(".attached img")).to_be_visible()


async def test_what_the_camera_sees_is_read(home: Home, film: Path) -> None:
    async with a_phone(home, f"--use-file-for-fake-video-capture={film}") as (_, page):
        await let_in(home, page)
        await page.get_by_label("Model").select_option("autoglm-phone-nano")
        await take_picture(page)
        await ask(page, "What is written in the picture?")
        assert WORD in await answered(page)
        await page.reload()
        await expect(page.locator(".user img")).to_be_visible()
        await page.get_by_label("Model").select_option("")
        await take_picture(page)
        await ask(page, "And this?")
        assert await answered(page)  # by a model that reads text alone, and was told


async def test_who_is_revoked_is_out_at_once(home: Home, question: Path) -> None:
    async with a_phone(home, f"--use-file-for-fake-audio-capture={question}%noloop") as (_, page):
        frames = Frames(page)
        device = await let_in(home, page)
        await ask(page, "What is the capital of France?")
        await answered(page)
        await page.get_by_role("button", name="Start hands-free talking").tap()
        async with asyncio.timeout(SECONDS):
            while not frames.received:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await edged(home, "devices", "revoke", device, "--yes")
        await expect(page.locator(".notice")).to_contain_text("no longer paired")  # nobody touched the phone
        assert "Paris" not in await page.content()
        await page.reload()
        await expect(page.get_by_label("Six-digit code")).to_be_visible()


async def test_what_was_not_granted_is_not_offered(home: Home) -> None:
    async with a_phone(home) as (_, page):
        await let_in(home, page, "chat")
        await expect(page.get_by_label("Message", exact=True)).to_be_visible()
        assert await page.get_by_role("button", name="Hold to talk").count() == 0
        assert await page.get_by_role("link", name="Conversations").count() == 0
        await ask(page, "What is the capital of France?")
        assert "Paris" in await answered(page)


async def test_a_wrong_code_is_told(home: Home) -> None:
    async with a_phone(home) as (_, page):
        offer = await edged(home, "pair", "--json")
        wrong = f"{(int(offer['code']) + 1) % 1_000_000:06d}"
        await page.get_by_label("Six-digit code").fill(wrong)
        await page.get_by_role("button", name="Pair", exact=True).click()
        await expect(page.locator(".problem")).to_contain_text("That was not the code")
        await page.get_by_label("Six-digit code").fill(offer["code"])
        await page.get_by_role("button", name="Pair", exact=True).click()
        await expect(page.locator(".short-string")).to_be_visible()


async def test_the_shell_opens_without_the_daemon(home: Home) -> None:
    async with a_phone(home) as (context, page):
        await let_in(home, page)
        await page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        await context.set_offline(True)
        await page.reload()
        await expect(page.locator(".banner")).to_contain_text("The daemon is not reachable.")
        await context.set_offline(False)
        await expect(page.locator(".banner")).to_be_hidden(timeout=1000 * SECONDS)
        await expect(page.get_by_role("navigation")).to_be_visible()
        kept = await page.evaluate(
            "caches.keys().then((names) => caches.open(names[0])).then((cache) => cache.keys())"
            ".then((keys) => keys.map((key) => new URL(key.url).pathname))"
        )
        assert "/" in kept and not [path for path in kept if path.startswith("/edged.v1")]
