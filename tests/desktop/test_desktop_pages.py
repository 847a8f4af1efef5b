"""What the app shows of the daemon, in which language, on how small a terminal, and when there is none."""

from __future__ import annotations

import string
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from clients.desktop.strings import TEXTS, language_of
from edged.config import ClientConfig, Config
from edged.records import Enforcement, PrivacyStatus
from tests.desktop.conftest import Open
from tests.server.conftest import Daemon
from tests.server.scripted import says


async def test_status_says_what_is_on_and_what_left(daemon: Daemon, window: Open) -> None:
    control = Enforcement(name="egress guard", active=True, detail="no connection but to itself")
    daemon.server.privacy = lambda: PrivacyStatus(enforcements=(control,), refused_connections=3, content_logging=False)
    async with window() as seen:
        await seen.until("| ready")
        await seen.press("f8")
        await seen.until("Status and privacy: this machine", "tiny on script, context 4096", "NOT encrypted")
        await seen.until(
            "on   egress guard: no connection but to itself", "Sent to anybody but paired devices: nothing"
        )
        await seen.until("Attempts refused: 3", "microphone: none", "esc Back")
        await seen.press("escape")
        await seen.until("| ready", gone="Status and privacy")


async def test_what_is_not_enforced_is_not_promised(daemon: Daemon, window: Open) -> None:
    async with window() as seen:
        await seen.until("| ready")
        await seen.press("f8")
        await seen.until("Sent to anybody but paired devices: not enforced")


async def test_a_daemon_that_goes_and_comes_back(daemon: Daemon, run_dir: Path, window: Open) -> None:
    async with window() as seen:
        await seen.until("| ready")
        await daemon.server.drain(0)
        await seen.until("The daemon is not reachable: this machine", "Enter tries again")
        again = Daemon(run_dir / "s")
        await again.server.start(again.socket)
        again.server.serve()
        await seen.press("enter")
        await seen.until("| ready", gone="not reachable")
        await again.server.drain(0)


async def test_a_daemon_elsewhere_that_is_not_paired(daemon: Daemon, window: Open) -> None:
    async with window() as seen:
        await seen.until("| ready")
        await seen.press("ctrl+o")
        await seen.until("Which daemon?", "this machine")
        await seen.press("enter")
        await seen.until("| ready", gone="Which daemon?")


async def test_a_daemon_elsewhere_by_a_name_that_nobody_paired(window: Open, config: Config) -> None:
    async with window(config=replace(config, client=ClientConfig(daemon="attic"))) as seen:
        await seen.until("The daemon is not reachable: attic", "no daemon named 'attic' is paired with this machine")


async def test_what_was_said_is_scrolled_from_where_one_writes(daemon: Daemon, window: Open) -> None:
    daemon.model.script = says(*(f"line {number}\n\n" for number in range(40)))
    async with window(size=(80, 24)) as seen:
        await seen.until("| ready")
        await seen.type("Count")
        await seen.press("enter")
        await seen.until("line 39", "2 tokens")
        await seen.press("pageup", "pageup", "pageup", "pageup", "pageup", "pageup")
        await seen.until("you:", "line 0", gone="line 39")
        await seen.press(*["pagedown"] * 6)
        await seen.until("line 39")


@pytest.mark.parametrize(
    ("words", "code", "said"), [(("--help",), 0, "F1 lists the keys"), (("--x",), 2, "No such option")]
)
def test_the_program(words: tuple[str, ...], code: int, said: str) -> None:
    command = [sys.executable, "-P", "-m", "clients.desktop", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code and said in done.stdout + done.stderr


async def test_keys_are_listed(daemon: Daemon, window: Open) -> None:
    async with window() as seen:
        await seen.until("| ready")
        await seen.press("f1")
        await seen.until("F2      begin to record", "Ctrl+Q  leave")
        await seen.press("escape")
        await seen.until(gone="F2      begin")


@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
async def test_small_terminals(daemon: Daemon, window: Open, size: tuple[int, int]) -> None:
    async with window(size=size) as seen:
        await seen.until("this machine | ready", "Write here", "f1 Keys", "^l List")
        await seen.type("Hello")
        await seen.press("enter")
        await seen.until("Paris.")
        await seen.press("ctrl+l")
        await seen.until("untitled")
        await seen.press("enter")
        await seen.until("Paris.", "Write here")
        assert all(len(line) <= size[0] for line in seen.text.splitlines())


async def test_chinese(daemon: Daemon, window: Open) -> None:
    async with window("zh") as seen:
        await seen.until("本机", "就绪", "还没有对话", "f2 说话")
        await seen.type("hi")
        await seen.press("enter")
        await seen.until("你:", "助手:", "Paris.", "2 个词元")


async def test_light_and_dark(daemon: Daemon, window: Open) -> None:
    async with window() as seen:
        await seen.until("| ready")
        assert seen.app.current_theme.dark
        await seen.press("ctrl+t")
        assert not seen.app.current_theme.dark


def test_both_languages_say_the_same() -> None:
    for key, (english, chinese) in TEXTS.items():
        fields = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, chinese)]
        assert fields[0] == fields[1] and english and chinese, key


def test_no_text_is_left_over() -> None:
    sources = "".join(path.read_text() for path in Path("clients/desktop").glob("*.py") if path.name != "strings.py")
    for key in TEXTS:
        assert f'"{key}"' in sources or f"'{key}'" in sources or key.startswith(("key.", "help.")), key


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "zh_TW"}, "zh"),
    ],
)
def test_the_locale_names_the_language(environ: dict[str, str], language: str) -> None:
    assert language_of(environ) == language
