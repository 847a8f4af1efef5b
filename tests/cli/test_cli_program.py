"""The real program in processes of its own, with a tiny engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import EDGED, SECONDS, Home, short_folder
from tests.tiny_artefact import tiny_artefact


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engines")
    tiny_artefact(folder, "tiny")
    tiny_artefact(folder, "slow", slow_ms=10)
    return folder


@pytest.fixture
def user(engines: Path) -> Iterator[Home]:
    with short_folder() as folder:
        yield Home(folder, engines)


def test_follow_up_reuses_what_was_computed(user: Home) -> None:
    with user.daemon():
        first = json.loads(user.run("ask", "--json", "--max-tokens", "8", "Hello there").stdout)
        go_on = ("--conversation", first["conversation_id"])
        second = json.loads(user.run("ask", "--json", "--max-tokens", "8", *go_on, "And again").stdout)
    assert second["conversation_id"] == first["conversation_id"]
    assert second["usage"]["cached_tokens"] > 0 == first["usage"]["cached_tokens"]
    assert second["usage"]["prompt_tokens"] >= first["usage"]["prompt_tokens"] + first["usage"]["completion_tokens"]


def test_chat_starts_a_daemon_and_what_was_said_stays(user: Home) -> None:
    done = subprocess.run(
        [*EDGED, "chat", "--max-tokens", "4"],
        env=user.environ,
        input="My cat is Biscuit.\n/search Biscuit\n",
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
    )
    started, demo, cut_off = done.stderr.splitlines()
    assert started == "edged: no daemon is running, started one for this command (`edged serve` keeps one)"
    assert demo.startswith("edged: tiny is a demo-size model") and cut_off.startswith("(cut off")
    assert "edged" not in done.stdout
    found = json.loads(user.run("conversations", "search", "Biscuit", "--json").stdout)
    shown = json.loads(user.run("conversations", "show", found[0]["conversation"]["id"], "--json").stdout)
    assert [message["role"] for message in shown["messages"]] == ["user", "assistant"]


def test_interrupted_answer_is_kept_as_cancelled(user: Home) -> None:
    with user.daemon():
        command = [*EDGED, "ask", "--model", "slow", "--max-tokens", "1000", "Hello"]
        with subprocess.Popen(
            command, env=user.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as asking:
            assert asking.stdout and asking.stderr
            assert asking.stdout.read(1)
            asking.send_signal(signal.SIGINT)
            assert asking.wait(SECONDS) == 130
            assert asking.stderr.read() == "edged: stopped\n"
        listed = json.loads(user.run("conversations", "list", "--json").stdout)
        shown = json.loads(user.run("conversations", "show", listed[0]["id"], "--json").stdout)
        assert shown["messages"][1]["state"] == "cancelled" and shown["messages"][1]["text"]


def test_reader_that_leaves_ends_the_answer_quietly(user: Home) -> None:
    reader, writer = os.pipe()
    command = [*EDGED, "ask", "--model", "slow", "--max-tokens", "1000", "Hello"]
    with user.daemon(), subprocess.Popen(command, env=user.environ, stdout=writer, stderr=subprocess.PIPE) as asking:
        os.close(writer)
        assert os.read(reader, 1)
        os.close(reader)
        assert asking.wait(SECONDS) == 1
        assert asking.stderr and asking.stderr.read() == b""
