"""Every screen of the phone app in a real browser, with a scripted daemon for a network."""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from PIL import Image
from playwright.async_api import Browser, Download, Page, expect

from edged.v1 import device_pb2
from tests.phone.browser import Colours, Complaints, chromium, phone, require_accessible
from tests.phone.scripted_daemon import CODE, SAID, SECRET, Refused, ScriptedDaemon, served_files

FINGERPRINT = ":".join(["AB"] * 32)
LOOKS: list[tuple[Colours, str]] = [("light", "en-US"), ("dark", "zh-CN")]
PAIR = re.compile("^(Pair|配对)$")

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One for all tests, each of which has a phone of its own in it."""
    async with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    with served_files() as origin:
        yield origin


@asynccontextmanager
async def app(browser: Browser, daemon: ScriptedDaemon, path: str = "/", **options: Any) -> AsyncIterator[Page]:
    """The app at this path; in the end it must have complained of nothing and asked nobody else."""
    context = await phone(browser, service_workers="block", **options)
    await daemon.serve(context)
    page = await context.new_page()
    complaints = Complaints(page)
    await page.goto(daemon.origin + path)
    yield page
    await context.close()
    assert complaints.heard == []
    assert daemon.unknown == []


async def ask(page: Page, question: str) -> None:
    await page.get_by_label("Message", exact=True).fill(question)
    await page.get_by_role("button", name="Send").click()


async def contents(download: Download) -> str:
    return await asyncio.to_thread((await download.path()).read_text, "utf-8")


@pytest.mark.parametrize(("colours", "locale"), LOOKS)
async def test_a_scanned_link_pairs(browser: Browser, origin: str, colours: Colours, locale: str) -> None:
    daemon = ScriptedDaemon(origin, is_paired=False)
    async with app(browser, daemon, f"/#pair={SECRET}&fp={FINGERPRINT}", colours=colours, locale=locale) as page:
        assert page.url == f"{origin}/"
        await expect(page.locator(".fingerprint")).to_contain_text("AB:AB:AB")
        await require_accessible(page)
        await page.get_by_role("button", name=PAIR).click()
        await expect(page.locator(".short-string")).to_have_text(re.compile(r"\d{4}-\d{4}"))
        assert await page.locator(".short-string").inner_text() == daemon.short_string
        await require_accessible(page)
        daemon.confirmed.set()
        await expect(page.get_by_role("navigation")).to_be_visible()
        assert await page.evaluate("Object.keys(localStorage).sort().join()") == "language,model,theme"


async def test_typed_codes_pair_and_wrong_ones_do_not(browser: Browser, origin: str) -> None:
    daemon = ScriptedDaemon(origin, is_paired=False)
    async with app(browser, daemon) as page:
        code, pair = page.get_by_label("Six-digit code"), page.get_by_role("button", name="Pair", exact=True)
        await code.fill("12")
        await pair.click()
        await expect(page.get_by_role("alert")).to_have_text("The code has six digits.")
        await code.fill("111 111")
        await pair.click()
        await expect(page.locator(".problem")).to_contain_text("That was not the code")
        await code.fill(CODE)
        daemon.confirmed.set()
        await pair.click()
        await expect(page.get_by_role("navigation")).to_be_visible()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("failed_precondition", "No pairing is open"),
        ("resource_exhausted", "Scan the link instead"),
        ("permission_denied", "not the device"),
        ("deadline_exceeded", "Nobody confirmed"),
    ],
)
async def test_why_pairing_failed_is_said_in_words(
    browser: Browser, origin: str, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    async def refuse(_self: ScriptedDaemon, _: bytes) -> None:
        raise Refused(code, "no")

    monkeypatch.setattr(ScriptedDaemon, "_StartPairing", refuse)
    async with app(browser, ScriptedDaemon(origin, is_paired=False)) as page:
        await page.get_by_label("Six-digit code").fill(CODE)
        await page.get_by_role("button", name="Pair", exact=True).click()
        await expect(page.locator(".problem")).to_contain_text(words)


@pytest.mark.parametrize(("colours", "locale"), LOOKS)
async def test_an_answer_is_formatted_and_there_after_a_reload(
    browser: Browser, origin: str, colours: Colours, locale: str
) -> None:
    async with app(browser, ScriptedDaemon(origin), colours=colours, locale=locale) as page:
        await page.locator("textarea").fill("What is the capital of France?")
        await page.keyboard.press("Enter")
        await expect(page.locator(".assistant strong")).to_have_text("Paris")
        await expect(page.locator(".assistant ol li")).to_have_count(2)
        await page.locator(".reasoning summary").click()
        await expect(page.locator(".reasoning em")).to_have_text("France")
        await expect(page.locator("[aria-live=polite]")).to_contain_text("It lies on the Seine.")
        await require_accessible(page)
        assert page.url == f"{origin}/#/chat/c1"
        await page.reload()
        await expect(page.locator(".assistant strong")).to_have_text("Paris")
        await expect(page.locator(".user")).to_contain_text("What is the capital of France?")


async def test_a_hostile_answer_loads_and_runs_nothing(browser: Browser, origin: str) -> None:
    hostile = [
        "![x](https://evil.test/pixel.png) <img src=https://evil.test/2 onerror='document.title=1'> **bold**",
        "<style>@import 'https://evil.test/3';</style><script>document.title = 1</script>",
        "<p style='background:url(https://evil.test/4)'>x</p> [y](javascript:document.title=1)",
    ]
    async with app(browser, ScriptedDaemon(origin, answer="\n\n".join(hostile))) as page:
        await ask(page, "hello")
        await expect(page.locator(".assistant strong")).to_have_text("bold")
        assert await page.locator(".assistant img, .assistant style, .assistant [style]").count() == 0
        for link in await page.locator(".assistant a").all():
            assert str(await link.get_attribute("href")).startswith("https://")
        assert await page.title() == "edged"


async def test_what_failed_can_be_tried_again(browser: Browser, origin: str) -> None:
    daemon = ScriptedDaemon(origin, problem=Refused("resource_exhausted", "16 requests are waiting; try again later"))
    async with app(browser, daemon) as page:
        await ask(page, "hello")
        await expect(page.locator(".problem")).to_contain_text("16 requests are waiting; try again later")
        await require_accessible(page)
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator(".assistant strong")).to_have_text("Paris")
        assert await page.locator("article").count() == 2


async def test_pictures_are_made_small_before_they_are_sent(browser: Browser, origin: str, tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1500), "teal").save(tmp_path / "big.png")
    (tmp_path / "text.png").write_text("no picture")
    daemon = ScriptedDaemon(origin)
    async with app(browser, daemon) as page:
        gallery = page.locator("input[type=file]")
        await gallery.set_input_files(tmp_path / "text.png")
        await expect(page.locator(".problem")).to_contain_text("no picture")
        await gallery.set_input_files(tmp_path / "big.png")
        await expect(page.locator(".attached img")).to_be_visible()
        await require_accessible(page)
        await ask(page, "What is this?")
        await expect(page.locator(".assistant strong")).to_be_visible()
        await expect(page.locator(".user img")).to_be_visible()
        await page.reload()  # from the daemon, this time
        await expect(page.locator(".user img")).to_be_visible()
    (sent,) = daemon.pictures
    picture = Image.open(io.BytesIO(sent))
    assert (picture.format, picture.size) == ("JPEG", (2048, 1024))


async def test_the_camera_takes_pictures_and_is_off_again(browser: Browser, origin: str) -> None:
    daemon = ScriptedDaemon(origin)
    async with app(browser, daemon) as page:
        await page.get_by_role("button", name="Take a picture").click()
        viewfinder = page.get_by_role("dialog", name="Take a picture")
        await expect(viewfinder.locator("video")).to_be_visible()
        await require_accessible(page)
        tracks = await page.evaluate_handle("document.querySelector('video').srcObject.getTracks()")
        await viewfinder.get_by_role("button", name="Take a picture").click()
        await expect(page.locator(".attached img")).to_be_visible()
        assert await tracks.evaluate("tracks => tracks.map((track) => track.readyState)") == ["ended"]
        await ask(page, "What do you see?")
        await expect(page.locator(".assistant strong")).to_be_visible()
    (sent,) = daemon.pictures
    assert Image.open(io.BytesIO(sent)).format == "JPEG"


@pytest.mark.parametrize(("colours", "locale"), LOOKS)
async def test_conversations_are_listed_and_found(browser: Browser, origin: str, colours: Colours, locale: str) -> None:
    async with app(browser, ScriptedDaemon(origin), "/#/conversations", colours=colours, locale=locale) as page:
        await expect(page.locator(".title")).to_have_text(["The capital of France", "晚饭吃什么？"])
        await require_accessible(page)
        await page.get_by_role("searchbox").fill("capital")
        await expect(page.locator("mark")).to_have_text("capital")
        await page.get_by_role("searchbox").fill("nothing")
        await expect(page.locator(".empty")).to_be_visible()
        await page.get_by_role("searchbox").fill("")
        await page.locator(".found a").first.click()
        await expect(page.locator(".assistant strong")).to_have_text("Paris")


async def test_conversations_are_renamed_exported_and_deleted(browser: Browser, origin: str) -> None:
    daemon = ScriptedDaemon(origin)
    async with app(browser, daemon, "/#/conversations") as page:
        actions = page.get_by_role("button", name="Actions for The capital of France")
        await actions.click()
        await require_accessible(page)
        async with page.expect_download() as markdown:
            await page.get_by_role("dialog").get_by_role("button", name="Export as Markdown").click()
        assert (await markdown.value).suggested_filename == "The-capital-of-France.md"
        text = await contents(await markdown.value)
        assert text.startswith("# The capital of France\n") and SAID in text
        async with page.expect_download() as exported:
            await page.get_by_role("button", name="Export as JSON").click()
        both = json.loads(await contents(await exported.value))
        assert [one["conversation"]["id"] for one in both] == ["c1", "c2"]

        await actions.click()
        await page.get_by_label("New title").fill("Paris")
        await page.get_by_role("button", name="Rename").click()
        await expect(page.locator(".title").first).to_have_text("Paris")

        await page.get_by_role("button", name="Actions for Paris").click()
        await page.get_by_role("button", name="Delete").click()
        assert "c1" in daemon.titles  # asked once more
        await require_accessible(page)
        await page.get_by_role("button", name="Delete").click()
        await expect(page.locator(".title")).to_have_text(["晚饭吃什么？"])
        assert "c1" not in daemon.titles


@pytest.mark.parametrize(("colours", "locale"), LOOKS)
async def test_the_device_page_says_what_is_on(browser: Browser, origin: str, colours: Colours, locale: str) -> None:
    async with app(browser, ScriptedDaemon(origin), "/#/device", colours=colours, locale=locale) as page:
        await expect(page.locator(".promise")).to_have_text(re.compile("Nothing.|没有。"))
        await expect(page.locator(".enforcements li")).to_have_count(2)
        await expect(page.locator("dd", has_text="Anna's phone")).to_be_visible()
        await require_accessible(page)


@pytest.mark.parametrize(("colours", "locale"), LOOKS)
async def test_how_to_install_is_told_before_pairing_too(
    browser: Browser, origin: str, colours: Colours, locale: str
) -> None:
    async with app(browser, ScriptedDaemon(origin, is_paired=False), colours=colours, locale=locale) as page:
        await page.get_by_role("link", name=re.compile("Install the app|安装此应用")).click()
        await expect(page.locator("details[open] summary")).to_have_text("Android")
        await expect(page.locator("a[href='/ca.crt']")).to_be_visible()
        await require_accessible(page)


async def test_language_and_colours_can_be_chosen_and_stay(browser: Browser, origin: str) -> None:
    async with app(browser, ScriptedDaemon(origin), "/#/device") as page:
        ground = "getComputedStyle(document.body).backgroundColor"
        before = await page.evaluate(ground)
        await page.get_by_label("Colours").select_option("dark")
        await page.get_by_label("Language").select_option("zh")
        await expect(page.locator("h1")).to_have_text("设备")
        await page.reload()
        await expect(page.locator("h1")).to_have_text("设备")
        assert await page.evaluate(ground) != before
        assert await page.locator("html").get_attribute("lang") == "zh-Hans"
        await require_accessible(page)


async def test_a_daemon_that_is_away_is_missed_and_found_again(browser: Browser, origin: str) -> None:
    daemon = ScriptedDaemon(origin)
    async with app(browser, daemon) as page:
        await expect(page.locator("textarea")).to_be_visible()
        daemon.is_away = True
        await ask(page, "hello")
        await expect(page.locator(".banner")).to_contain_text("The daemon is not reachable.")
        await require_accessible(page)
        daemon.is_away = False
        await expect(page.locator(".banner")).to_be_hidden()
        await page.get_by_role("button", name="Try again").click()
        await expect(page.locator(".assistant strong")).to_have_text("Paris")


async def test_who_is_revoked_comes_back_to_pairing_and_sees_nothing_more(browser: Browser, origin: str) -> None:
    daemon = ScriptedDaemon(origin)
    async with app(browser, daemon) as page:
        await ask(page, "hello")
        await expect(page.locator(".assistant strong")).to_have_text("Paris")
        daemon.is_paired = False
        await ask(page, "and now?")
        await expect(page.locator(".notice")).to_contain_text("no longer paired")
        assert "Paris" not in await page.content()


async def test_what_a_device_may_not_do_is_not_shown(browser: Browser, origin: str) -> None:
    async with app(browser, ScriptedDaemon(origin, scopes=[device_pb2.SCOPE_VOICE])) as page:
        await expect(page.get_by_role("button", name="Hold to talk")).to_be_visible()
        await expect(page.locator("textarea")).to_have_count(0)
        await expect(page.get_by_role("link", name="Conversations")).to_have_count(0)
        await require_accessible(page)
    async with app(browser, ScriptedDaemon(origin, scopes=[device_pb2.SCOPE_CHAT, device_pb2.SCOPE_HISTORY])) as page:
        await expect(page.locator("textarea")).to_be_visible()
        await expect(page.get_by_role("button", name="Hold to talk")).to_have_count(0)
