"""`edged chat` on a terminal: a pseudo-terminal types, a scripted engine answers."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.events import MessageState, ReasoningDelta
from tests.cli.conftest import ScriptedDaemon
from tests.e2e.program import EDGED
from tests.server.scripted import WAIT, says

SECONDS = 20


class Terminal:
    """A chat at the other end of a pseudo-terminal."""

    def __init__(self, *arguments: str) -> None:
        self._descriptor, theirs = pty.openpty()
        # setsid makes it the controlling terminal, which Ctrl-C needs; pty.fork is not for programs with threads.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *EDGED, "chat", *arguments],
            env={**os.environ, "TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self.screen = ""

    def type(self, text: str | bytes) -> None:
        os.write(self._descriptor, text.encode() if isinstance(text, str) else text)

    def wait_for(self, text: str) -> None:
        """Until this appears after what was waited for before."""
        deadline = time.monotonic() + SECONDS
        while text not in self.screen:
            assert time.monotonic() < deadline, f"{text!r} not in {self.screen!r}"
            if select.select([self._descriptor], [], [], 0.1)[0]:
                self.screen += self._read()
        self.screen = self.screen.partition(text)[2]

    def interrupt_prompt(self, reply: str) -> None:
        """Ctrl-C at the prompt, until the reply appears."""
        self.type("\x03")
        # CPython sleeps through a signal that comes just before it waits for keys, until the next signal.
        while not select.select([self._descriptor], [], [], 3)[0]:
            self.type("\x03")
        self.wait_for(reply)

    def leave(self) -> None:
        """Ctrl-D at the prompt: what is waited for before this has to be a prompt, as Linux loses one between two."""
        self.type("\x04")

    def exit_code(self) -> int:
        deadline = time.monotonic() + SECONDS
        while not select.select([self._descriptor], [], [], 0.1)[0] or self._read():
            if time.monotonic() > deadline:  # a test has failed in the middle of an answer
                self._process.kill()
        os.close(self._descriptor)
        return self._process.wait(SECONDS)

    def _read(self) -> str:
        try:
            return os.read(self._descriptor, 4096).decode(errors="replace")
        except OSError:  # what a pseudo-terminal's end looks like on Linux
            return ""


@pytest.fixture
def terminal(daemon: ScriptedDaemon) -> Iterator[Terminal]:
    terminal = Terminal()
    terminal.wait_for("> ")
    yield terminal
    terminal.leave()
    assert terminal.exit_code() == 0


def wait_until_stored(daemon: ScriptedDaemon, state: MessageState) -> None:
    deadline = time.monotonic() + SECONDS
    while not daemon.memory.closings or daemon.memory.closings[-1].state is not state:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("stop", ["\x03", "/stop\n"], ids=["ctrl-c", "/stop"])
def test_answer_is_stopped_and_the_chat_goes_on(stop: str, daemon: ScriptedDaemon, terminal: Terminal) -> None:
    daemon.model.script = [*says("Once upon")[:1], WAIT, *says(" a time")]
    terminal.type("Tell me a story\n")
    terminal.wait_for("Once upon")
    terminal.type(stop)
    terminal.wait_for("(stopped)")
    terminal.wait_for("> ")
    wait_until_stored(daemon, MessageState.CANCELLED)
    assert daemon.memory.closings[-1].text == "Once upon"
    daemon.model.script = says("Paris.")
    terminal.type("And the capital of France?\n")
    terminal.wait_for("Paris.")
    terminal.wait_for("> ")


def test_thinking_is_cut_short(daemon: ScriptedDaemon, terminal: Terminal) -> None:
    daemon.model.script = [ReasoningDelta(text="On the one hand"), WAIT, *says("Yes.")]
    terminal.type("Shall I?\n")
    terminal.wait_for("On the one hand")
    terminal.type("/answer\n")
    stop = daemon.model.requests[0].stop_thinking
    assert stop is not None and stop.wait(SECONDS)
    daemon.release()
    terminal.wait_for("Yes.")
    terminal.wait_for("> ")
    terminal.type("/answer\n")
    terminal.wait_for("Nothing is being thought about.")
    terminal.wait_for("> ")


def test_line_typed_during_an_answer_is_asked_next(daemon: ScriptedDaemon, terminal: Terminal) -> None:
    daemon.model.script = [*says("One")[:1], WAIT, *says(" done")]
    terminal.type("first\n")
    terminal.wait_for("One")
    terminal.type("second\n")
    terminal.wait_for("second")
    daemon.release()
    terminal.wait_for("> second")
    terminal.wait_for("done")
    terminal.wait_for("> ")
    assert [request.messages[-1].text for request in daemon.model.requests] == ["first", "second"]


def test_line_that_is_not_utf8_during_an_answer_is_refused(daemon: ScriptedDaemon, terminal: Terminal) -> None:
    daemon.model.script = [*says("One")[:1], WAIT, *says(" done")]
    terminal.type("first\n")
    terminal.wait_for("One")
    terminal.type(b"caf\xe9\n")
    terminal.wait_for("edged: the line is not valid UTF-8")
    assert "Traceback" not in terminal.screen
    daemon.release()
    terminal.wait_for("done")
    terminal.wait_for("> ")
    assert len(daemon.model.requests) == 1


def test_pasted_lines_are_one_message(daemon: ScriptedDaemon, terminal: Terminal) -> None:
    terminal.type("\x1b[200~two\rlines\x1b[201~\n")
    terminal.wait_for("Paris.")
    terminal.wait_for("> ")
    assert daemon.model.requests[0].messages[-1].text == "two\nlines"


def test_mistake_does_not_end_the_chat(terminal: Terminal) -> None:
    terminal.type("/serch\n")
    terminal.wait_for("edged: no command /serch")
    terminal.wait_for("> ")


def test_deletion_is_asked_about(daemon: ScriptedDaemon, terminal: Terminal) -> None:
    terminal.type("hello\n")
    terminal.wait_for("Paris.")
    terminal.wait_for("> ")
    terminal.type("/delete\n")
    terminal.wait_for("[y/N] ")
    terminal.type("\n")
    terminal.wait_for("> ")
    assert daemon.memory.messages
    terminal.type("/delete\n")
    terminal.wait_for("[y/N] ")
    terminal.type("y\n")
    terminal.wait_for("Deleted.")
    terminal.wait_for("> ")
    assert not daemon.memory.messages


def test_second_interrupt_at_the_prompt_leaves(daemon: ScriptedDaemon) -> None:
    terminal = Terminal()
    terminal.wait_for("> ")
    terminal.interrupt_prompt("Ctrl-C again")
    terminal.wait_for("> ")
    terminal.interrupt_prompt("edged: stopped")
    assert terminal.exit_code() == 130


def test_nothing_typed_lands_in_a_file(daemon: ScriptedDaemon, home: Path) -> None:
    terminal = Terminal()
    terminal.wait_for("> ")
    terminal.type("a secret about lighthouses\n")
    terminal.wait_for("Paris.")
    terminal.wait_for("> ")
    terminal.leave()
    assert terminal.exit_code() == 0
    files = [path for path in home.rglob("*") if path.is_file()]
    assert not [path for path in files if b"lighthouse" in path.read_bytes()]
