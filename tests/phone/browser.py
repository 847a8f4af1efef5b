"""A phone: Chromium with a small screen that is touched, a camera and a microphone made of files."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

PHONE = Path(__file__).parents[2] / "edged" / "server" / "web" / "phone"
"""The app as it is built."""
AXE = Path(__file__).parents[2] / "clients" / "phone" / "node_modules" / "axe-core" / "axe.min.js"
WIDTH, HEIGHT = 360, 780
"""CSS pixels of a small phone."""
SECONDS = 30.0
"""Far more than anything here takes; only a hang reaches it."""

Colours = Literal["light", "dark"]


@asynccontextmanager
async def chromium(*arguments: str) -> AsyncIterator[Browser]:
    """A browser that gives its camera and microphone to whoever asks. Skips where there is none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs a browser: apt-get install chromium fonts-noto-cjk")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                "--autoplay-policy=user-gesture-required",
                *arguments,
            ],
        )
        try:
            yield browser
        finally:
            await browser.close()


async def phone(
    browser: Browser, *, colours: Colours = "light", locale: str = "en-US", **options: Any
) -> BrowserContext:
    """A new phone, on which nothing is stored."""
    context = await browser.new_context(
        viewport={"width": WIDTH, "height": HEIGHT},
        device_scale_factor=1,
        is_mobile=True,
        has_touch=True,
        color_scheme=colours,
        locale=locale,
        user_agent="Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36",
        **options,
    )
    context.set_default_timeout(1000 * SECONDS)
    return context


class Complaints:
    """What a page had to complain about: scripts that broke, and everything that its policy forbade."""

    def __init__(self, page: Page) -> None:
        self.heard: list[str] = []
        page.on("pageerror", lambda error: self.heard.append(str(error)))
        page.on("console", self._take)

    def _take(self, message: Any) -> None:
        # A refused call and a daemon that is away are part of the tests.
        expected = ("Failed to load resource", "WebSocket connection", "Service Worker")
        if message.type == "error" and not any(words in message.text for words in expected):
            self.heard.append(message.text)


async def require_accessible(page: Page) -> None:
    """No serious problem for axe, nothing wider than the screen, and nothing too small to touch."""
    if not AXE.exists():
        pytest.skip("needs axe-core: npm ci --prefix clients/phone")
    # Playwright's own evaluation is not bound by the page's policy, which forbids to add scripts.
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    serious = [
        (violation["id"], [node["html"][:160] for node in violation["nodes"]])
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
    ]
    assert serious == []
    assert await page.evaluate("document.documentElement.scrollWidth") <= WIDTH
    assert await page.evaluate(_TOO_SMALL) == []


_TOO_SMALL = """[...document.querySelectorAll('button, select, input:not([type=file]), textarea, summary')]
    .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
    .filter(([, box]) => box.width > 0 && (box.width < 24 || box.height < 24))
    .map(([html]) => html)"""
"""Touch targets below the 24 pixels of WCAG 2.2."""
