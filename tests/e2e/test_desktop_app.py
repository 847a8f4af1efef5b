"""The desktop app in a real terminal (tmux), with a daemon and the default engine: what somebody sees and types."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import SECONDS, Home, short_folder

# A busy machine draws and takes keys late: beside other tests these would wait for each other.
pytestmark = pytest.mark.alone
ENGINES = Path(__file__).parents[2] / "build/engines"
DEFAULT = "smollm2-135m"
APP = f"{sys.executable} -P -m clients.desktop"


class Terminal:
    """A window of tmux with the app in it."""

    def __init__(self, home: Home, columns: int, rows: int, **environ: str) -> None:
        self._tmux = ["tmux", "-S", str(home.folder / "tmux"), "-f", "/dev/null"]
        self._environ = {**home.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color", **environ}
        # The program that runs stays when the app ends, so that its last screen can be looked at.
        self._run("new-session", "-d", "-x", str(columns), "-y", str(rows), f"{APP}; echo left with $?; sleep 600")

    def press(self, *keys: str) -> None:
        self._run("send-keys", *keys)

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)

    def fill(self, text: str) -> None:
        """Into the field that was just drawn, which takes keys only a moment later."""
        deadline = time.monotonic() + SECONDS
        while text not in self.screen:
            assert time.monotonic() < deadline, self.screen
            self.press("C-u")
            self.type(text)
            time.sleep(0.5)

    @property
    def screen(self) -> str:
        return self._run("capture-pane", "-p")

    def until(self, *words: str, gone: str = "") -> str:
        """The screen, once it shows all of them and nothing that is to be gone."""
        deadline = time.monotonic() + SECONDS
        while not all(word in (screen := self.screen) for word in words) or (gone and gone in screen):
            assert time.monotonic() < deadline, f"waited in vain for {words} (gone: {gone!r}) in\n{screen}"
            time.sleep(0.1)
        return screen

    def close(self) -> None:
        self._run("kill-server")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], env=self._environ, capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def user() -> Iterator[Home]:
    if not shutil.which("tmux"):
        pytest.skip("tmux is not installed (apt-get install tmux)")
    if not (ENGINES / DEFAULT).is_dir():
        pytest.skip("the default engine is not built (make setup)")
    with short_folder() as folder:
        yield Home(folder, ENGINES, engine=DEFAULT, extra={"EDGED_SAMPLING__MAX_TOKENS": "48"})


def test_a_sitting(user: Home) -> None:
    with user.daemon():
        terminal = Terminal(user, 100, 30)
        try:
            first = terminal.until(f"this machine | ready | {DEFAULT} (demo size", "Write here", "f1 Keys")
            assert "No conversation yet" in first and len(first.splitlines()) == 30
            terminal.type("What is the capital of France?")
            terminal.press("Enter")
            terminal.until("you:", "What is the capital of France?", "assistant:", "Paris", "a second", "| ready")
            terminal.press("C-l")
            terminal.until("r Rename")
            terminal.press("r")
            terminal.until("Another title")
            terminal.fill("Capitals")
            terminal.press("Enter")
            terminal.until("Capitals", gone="Another title")
            terminal.press("F8")
            status = terminal.until(
                "Status and privacy", "Sent to anybody but paired devices: nothing", "encrypted, key in"
            )
            assert f"Engine: {DEFAULT} on " in status and "Attempts refused: 0" in status
            terminal.press("Escape")
            terminal.until("r Rename", gone="Status and privacy")
            terminal.press("d")
            terminal.until('Delete "Capitals" for good?')
            time.sleep(0.5)
            terminal.press("y")
            terminal.until("No conversation yet", gone="Capitals")
            terminal.press("C-q")
            terminal.until("left with 0")
        finally:
            terminal.close()
    assert user.run("conversations", "list").stdout == "No conversations.\n"


def test_a_daemon_of_its_own_and_one_that_dies(user: Home) -> None:
    """Without a daemon the app starts one, which ends with it; where one is killed, it says so and tries again."""
    terminal = Terminal(user, 60, 20, LC_ALL="zh_CN.UTF-8")
    try:
        terminal.until(f"本机 | 就绪 | {DEFAULT}", "f1 按键", "no daemon is running")
        pid = int((user.state / "edged.lock").read_text())
        subprocess.run(["kill", "-9", str(pid)], check=True)
        terminal.until("无法连接服务", "回车重试")
        terminal.press("Enter")
        terminal.until("本机", "就绪", gone="无法连接服务")
        terminal.type("Hello")
        terminal.press("Enter")
        terminal.until("你:", "助手:")
        again = int((user.state / "edged.lock").read_text())
        assert again != pid
        terminal.press("C-q")
        terminal.until("left with 0")
        assert not Path(f"/proc/{again}").exists()
    finally:
        terminal.close()
