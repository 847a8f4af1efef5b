"""Draws the pictures of clients/phone/README.md: `python -m tests.phone.screenshots`."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page, expect

from edged.v1 import voice_pb2 as voice
from tests.phone.browser import Colours, chromium, phone
from tests.phone.scripted_daemon import SECRET, ScriptedDaemon, served_files
from tests.phone.voice_script import VoiceScript

FOLDER = Path(__file__).parents[2] / "clients" / "phone" / "screenshots"
COLOURS = 64
"""Of the palette, so that a picture stays below 60 kB."""
FINGERPRINT = "3F2A9C04D1E85B7760AF12C93E48D05B6A71F0C2984D3E15B7CA60F2819D4E3B"
LIGHT: tuple[Colours, str] = ("light", "en-US")
DARK: tuple[Colours, str] = ("dark", "zh-CN")


async def draw(
    browser: Browser,
    daemon: ScriptedDaemon,
    name: str,
    look: tuple[Colours, str],
    path: str,
    act: Callable[[Page], Awaitable[None]],
) -> None:
    """One picture, after the app at this path was made to show something."""
    context = await phone(browser, colours=look[0], locale=look[1], service_workers="block")
    await daemon.serve(context)
    page = await context.new_page()
    await page.goto(daemon.origin + path)
    await act(page)
    await page.wait_for_timeout(300)
    picture = Image.open(io.BytesIO(await page.screenshot(animations="disabled")))
    picture.convert("RGB").quantize(COLOURS).save(FOLDER / f"{name}.png", optimize=True)
    daemon.confirmed.set()  # whoever waits for the operator waits no longer
    await context.close()


async def compare(page: Page) -> None:
    await page.locator("button[type=submit]").click()
    await expect(page.locator(".short-string")).to_be_visible()


async def ask(page: Page) -> None:
    await page.locator("textarea").fill("What is the capital of France?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".assistant strong")).to_be_visible()


async def talk(page: Page, daemon: ScriptedDaemon) -> None:
    await page.locator("[aria-pressed]").first.tap()
    await expect(page.locator(".lamp.on")).to_be_visible()
    script = VoiceScript()
    script.answer(daemon.sockets[-1], seconds=1)
    script.tell(daemon.sockets[-1], state_changed={"state": voice.VOICE_STATE_LISTENING})
    script.tell(daemon.sockets[-1], partial_transcript={"text": "and how many people live"})
    await expect(page.locator(".partial")).to_be_visible()


async def search(page: Page) -> None:
    await page.get_by_role("searchbox").fill("capital")
    await expect(page.locator("mark")).to_be_visible()


def seen(selector: str) -> Callable[[Page], Awaitable[None]]:
    async def wait(page: Page) -> None:
        await expect(page.locator(selector).first).to_be_visible()

    return wait


async def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    with served_files() as origin:
        async with chromium() as browser:
            link = f"/#pair={SECRET}&fp={FINGERPRINT}"
            await draw(browser, ScriptedDaemon(origin, is_paired=False), "pairing-light", LIGHT, link, compare)
            await draw(browser, ScriptedDaemon(origin, is_paired=False), "pairing-dark-zh", DARK, "/", seen(".code"))
            await draw(browser, ScriptedDaemon(origin), "chat-light", LIGHT, "/", ask)
            await draw(browser, ScriptedDaemon(origin), "chat-dark-zh", DARK, "/", ask)
            for name, look in (("voice-light", LIGHT), ("voice-dark-zh", DARK)):
                daemon = ScriptedDaemon(origin)
                await draw(browser, daemon, name, look, "/", lambda page, daemon=daemon: talk(page, daemon))  # type: ignore[misc]
            await draw(browser, ScriptedDaemon(origin), "conversations-light", LIGHT, "/#/conversations", search)
            await draw(browser, ScriptedDaemon(origin), "device-light", LIGHT, "/#/device", seen(".promise"))
            await draw(browser, ScriptedDaemon(origin), "device-dark-zh", DARK, "/#/device", seen(".promise"))
            await draw(browser, ScriptedDaemon(origin), "install-light", LIGHT, "/#/install", seen("details"))


if __name__ == "__main__":
    asyncio.run(main())
