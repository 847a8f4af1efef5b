"""The list of conversations: searched, renamed, exported, deleted, gone on with."""

from __future__ import annotations

from pathlib import Path

from edged.client import Client
from edged.events import Text
from tests.desktop.conftest import Open
from tests.server.conftest import Daemon


async def ask(daemon: Daemon, *questions: str) -> None:
    """Each in a conversation of its own."""
    async with Client(daemon.address) as client:
        for question in questions:
            async for _ in client.ask([Text(text=question)]):
                pass


async def test_going_on_with_one(daemon: Daemon, window: Open) -> None:
    await ask(daemon, "Where is Paris?", "Where is Rome?")
    async with window() as seen:
        await seen.until("| ready", "2026-01-02")
        await seen.press("ctrl+l", "down", "enter")
        await seen.until("you:", "Where is Rome?", "assistant:", "Paris.")
        await seen.type("And now?")
        await seen.press("enter")
        await seen.until("And now?", "2 tokens")
        await seen.press("ctrl+n")
        await seen.until("A new conversation begins", gone="And now?")
    assert [len(said) for said in daemon.memory.messages.values()] == [2, 4]


async def test_search_finds_what_was_said(daemon: Daemon, window: Open) -> None:
    await ask(daemon, "Where is Paris?", "Where is Rome?")
    async with window() as seen:
        await seen.until("| ready", "2026-01-02")
        await seen.press("shift+tab", "shift+tab", "shift+tab")
        await seen.type("Rome")
        await seen.press("enter")
        await seen.until("Where is Rome?", gone="2026-01-02")
        await seen.press("enter")
        await seen.until("you:")
        await seen.press("ctrl+l", "escape")
        await seen.until("2026-01-02")


async def test_nothing_found_is_said(daemon: Daemon, window: Open) -> None:
    async with window() as seen:
        await seen.until("| ready", "No conversation yet")
        seen.app.query_one("ConversationList Input").focus()
        await seen.type("Oslo")
        await seen.press("enter")
        await seen.until("Nothing found")


async def test_rename_export_delete(daemon: Daemon, window: Open, run_dir: Path) -> None:
    await ask(daemon, "Where is Paris?")
    file = run_dir / "paris.md"
    async with window() as seen:
        await seen.until("| ready", "untitled")
        assert "Rename" not in seen.text
        await seen.press("ctrl+l")
        await seen.until("r Rename", "e Export", "d Delete")
        await seen.press("r")
        await seen.until("Another title", "untitled")
        await seen.press("ctrl+u")
        await seen.type("France")
        await seen.press("enter")
        await seen.until("France", gone="untitled")
        await seen.press("e")
        await seen.until("Export to the file", "~/c1.md")
        await seen.press("ctrl+u")
        await seen.type(str(file))
        await seen.press("enter")
        await seen.told("Wrote")
        await seen.press("e", "ctrl+u")
        await seen.type(str(file))
        await seen.press("enter")
        await seen.told("exists already")
        await seen.press("d")
        await seen.until('Delete "France" for good?')
        await seen.press("n", "d", "y")
        await seen.told("Deleted; nothing of it is left.")
        await seen.until("No conversation yet", gone="France")
    assert file.read_text().startswith("# France\n") and "Where is Paris?" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0
    assert not daemon.memory.messages


async def test_more_than_a_page(daemon: Daemon, window: Open) -> None:
    await ask(daemon, *(f"Question {number}" for number in range(52)))
    async with window() as seen:
        await seen.until("| ready", "untitled")
        await seen.press("ctrl+l", "end")
        await seen.until("... more")
        await seen.press("enter")
        await seen.until("untitled", gone="... more")
        shown = seen.app.query_one("ConversationList OptionList")
        assert shown.option_count == 52
