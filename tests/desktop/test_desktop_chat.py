"""Writing with the assistant."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from textual import events

from clients.desktop.attachments import pasted_file
from clients.desktop.chat import SHOWN_MESSAGES
from edged.client import Client
from edged.errors import QueueFull
from edged.events import Finished, FinishReason, Image, Measured, MessageState, ReasoningDelta, Text, TextDelta
from tests.desktop.conftest import Open
from tests.server.conftest import Daemon
from tests.server.scripted import END, METRICS, USAGE, WAIT, says, until

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)
LENGTH = (Measured(usage=USAGE, metrics=METRICS), Finished(finish_reason=FinishReason.LENGTH))


async def test_an_answer_streams_as_markdown_and_commands_no_terminal(daemon: Daemon, window: Open) -> None:
    pieces = [TextDelta(text=text) for text in ("# Cap", "ital\n\nIt is **Par", "is**.\x1b]0;x\x07")]
    daemon.model.script = [*pieces[:2], WAIT, pieces[2], *END]
    async with window() as seen:
        await seen.until("this machine | ready | tiny (demo size", "A new conversation begins")
        await seen.type("What is it?")
        await seen.press("enter")
        await seen.until("you:", "What is it?", "assistant:", "Capital", "Par", "| answering")
        daemon.model.release.set()
        await seen.until("It is Paris.", "2 tokens, 50 a second", "| ready", "untitled")
        assert "# Capital" not in seen.text and "**" not in seen.text and "\x1b" not in seen.text
        daemon.model.script = says("Yes.")
        await seen.type("Sure?")
        await seen.press("enter")
        await seen.until("Yes.")
    assert [len(said) for said in daemon.memory.messages.values()] == [4]


async def test_escape_stops_the_computation(daemon: Daemon, window: Open) -> None:
    daemon.model.script = [TextDelta(text="One"), WAIT]
    async with window() as seen:
        await seen.until("| ready")
        await seen.type("Count")
        await seen.press("enter")
        await seen.until("One", "| answering")
        await seen.type("more")
        await seen.press("enter")
        await seen.told("Stop the answer first")
        await seen.press("escape")
        await seen.until("stopped", "| ready", "untitled")
        await until(lambda: daemon.memory.closings)
    assert daemon.memory.closings[0].state is MessageState.CANCELLED
    assert daemon.model.stopped_early == 1


async def test_thinking_and_what_was_cut_off_are_told_in_words(daemon: Daemon, window: Open) -> None:
    daemon.model.script = [ReasoningDelta(text="hm, "), ReasoningDelta(text="France"), TextDelta(text="Par"), *LENGTH]
    async with window() as seen:
        await seen.until("| ready")
        await seen.type("Where?")
        await seen.press("enter")
        await seen.until("thinking: hm, France", "Par", "cut off: the longest answer")


async def test_a_refusal_is_shown_and_survived(daemon: Daemon, window: Open) -> None:
    daemon.model.refusal = QueueFull("8 requests are waiting; try again later")
    async with window() as seen:
        await seen.until("| ready")
        await seen.type("Hello")
        await seen.press("enter")
        await seen.told("8 requests are waiting")
        await seen.until("you:", "8 requests are waiting", "| ready")


async def test_enter_sends_and_ctrl_j_breaks_the_line(daemon: Daemon, window: Open) -> None:
    async with window() as seen:
        await seen.until("| ready")
        await seen.press("enter", "a", "ctrl+j", "b", "enter")
        await seen.until("Paris.")
    assert [message.text for message in daemon.model.requests[0].messages] == ["a\nb"]


async def test_a_picture_by_path_by_paste_and_taken_back(daemon: Daemon, window: Open, run_dir: Path) -> None:
    picture = run_dir / "a cat.png"
    picture.write_bytes(PICTURE)
    async with window() as seen:
        await seen.until("| ready")
        await seen.press("f5")
        await seen.until("File of a picture or a recording")
        await seen.type(str(picture))
        await seen.press("enter")
        await seen.until("Goes with your next message: a cat.png")
        await seen.press("escape")
        await seen.until(gone="a cat.png")
        seen.app.focused.post_message(events.Paste(f"'{picture}' "))
        await seen.until("Goes with your next message: a cat.png")
        await seen.type("What is it?")
        await seen.press("enter")
        await seen.until("[image/png, 48 B]", "Paris.", gone="Goes with")
        await seen.press("f5")
        await seen.type(str(run_dir / "none"))
        await seen.press("enter")
        await seen.told("not a file")
    assert daemon.model.requests[0].messages[0].parts[0] == Image(data=PICTURE, media_type="image/png")


async def test_a_picture_from_the_clipboard(
    daemon: Daemon, window: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "picture").write_bytes(PICTURE)
    tool = tmp_path / "wl-paste"
    tool.write_text(f'#!/bin/sh\n[ "$1" = --list-types ] && echo image/png && exit\ncat {tmp_path}/picture\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    async with window() as seen:
        await seen.until("| ready")
        await seen.press("ctrl+v")
        await seen.until("Goes with your next message: picture from the clipboard")
        await seen.press("escape")
        tool.write_text("#!/bin/sh\nexit 1\n")
        seen.app.copy_to_clipboard("copied here")
        await seen.press("ctrl+v")
        await seen.until("copied here")


@pytest.mark.parametrize(
    "text", ["hello", "/no/such/file", "a\n/etc/passwd", "\0", "file://", "~nobody-is-called-so/x", "/"]
)
def test_text_that_is_no_file_stays_text(text: str) -> None:
    assert pasted_file(text) is None


def test_paths_as_terminals_paste_them(tmp_path: Path) -> None:
    file = tmp_path / "a b"
    file.touch()
    for text in (str(file), f"'{file}'", str(file).replace(" ", "\\ "), f"file://{tmp_path}/a%20b\n"):
        assert pasted_file(text) == file


async def test_the_model_is_chosen(daemon: Daemon, window: Open) -> None:
    async with window() as seen:
        await seen.until("| ready")
        await seen.press("f4")
        await seen.until("Which model answers?", "tiny (default)", "other")
        await seen.press("down", "enter")
        await seen.until("| ready | other")


async def test_of_a_long_conversation_the_end_is_shown_first(daemon: Daemon, window: Open) -> None:
    async with Client(daemon.address) as client:
        for number in range(SHOWN_MESSAGES // 2 + 1):
            async for _ in client.ask([Text(text=f"question {number}.")], conversation_id="c1" if number else ""):
                pass
    async with window(size=(100, 200)) as seen:
        await seen.until("| ready", "untitled")
        await seen.press("ctrl+l", "enter")
        await seen.until("Show 2 earlier messages", "question 1.", "question 20.", gone="question 0.")
        seen.app.query_one("ChatLog Button").press()
        await seen.until("question 0.", gone="earlier messages")
