from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import click
import pytest

from edged.cli.ask import ask
from edged.engine.sampling import _RANGES
from edged.events import Audio, ContextTrimmed, Image, ReasoningDelta, Role, Text
from tests.cli.conftest import Edged, ScriptedDaemon
from tests.e2e.program import EDGED
from tests.server.scripted import says

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 32
WAV = b"RIFF\0\0\0\0WAVEfmt "
FLAC = b"fLaC" + b"\0" * 32
ADDRESS = "this is an address, and edged fetches nothing: save the file first, then name that"


def test_text_goes_to_stdout_and_ends_its_line(daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("ask", "What is the capital of France?")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "Paris.\n", "")


def test_a_device_that_a_running_daemon_knows_nothing_of_is_remarked(
    daemon: ScriptedDaemon, edged: Edged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGED_ENGINE__DEVICE", "cuda")
    done = edged("ask", "What is the capital of France?")
    assert (done.exit_code, done.stdout) == (0, "Paris.\n")
    assert "EDGED_ENGINE__DEVICE does not reach the daemon that runs already" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_demo_size_model_is_remarked_to_whoever_sits_at_the_terminal(daemon: ScriptedDaemon) -> None:
    ours, theirs = pty.openpty()
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": theirs}
    done = subprocess.run([*EDGED, "ask", "Hello"], timeout=60, check=True, **streams)
    os.close(theirs)
    said = os.read(ours, 4096).decode()
    os.close(ours)
    assert done.stdout == b"Paris.\n"
    assert said.startswith("edged: tiny is a demo-size model (") and said.count("\n") == 1


def test_json_is_one_object_with_the_agreed_keys(daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("ask", "--json", "What is the capital of France?")
    assert json.loads(done.stdout) == {
        "text": "Paris.",
        "reasoning": "",
        "finish_reason": "stop",
        "conversation_id": "c1",
        "model": "tiny",
        "usage": {"prompt_tokens": 7, "completion_tokens": 2, "cached_tokens": 3, "reasoning_tokens": 0},
        "metrics": {"ttft_ms": 12.5, "prompt_tps": 100.0, "generation_tps": 50.0, "peak_bytes": 2**33},
    }


def test_thinking_and_trimming_are_told_on_stderr(daemon: ScriptedDaemon, edged: Edged) -> None:
    daemon.model.script = [ContextTrimmed(dropped_messages=3), ReasoningDelta(text="Hm, "), *says("Paris.\n")]
    done = edged("ask", "--think", "Where?")
    assert done.stdout == "Paris.\n"
    assert done.stderr == "edged: the conversation outgrew the context: left out its 3 oldest messages\nHm, \n"
    assert daemon.model.requests[0].enable_thinking


def test_what_a_model_says_cannot_command_the_terminal(daemon: ScriptedDaemon, edged: Edged) -> None:
    daemon.model.script = says("\x1b]0;owned\x07red\x1b[31m\tline\r\n\x9b2J")
    assert edged("ask", "Hello").stdout == "]0;ownedred[31m\tline\n2J\n"
    assert "\x1b[31m" in json.loads(edged("ask", "--json", "Hello").stdout)["text"]


def test_options_reach_the_engine(daemon: ScriptedDaemon, edged: Edged) -> None:
    sampling = {"--temperature": "0.5", "--top-k": "7", "--top-p": "0.25", "--min-p": "0.125", "--seed": "9"}
    penalties = {"--repetition-penalty": "1.5", "--frequency-penalty": "-1", "--presence-penalty": "0.5"}
    options = [word for pair in (sampling | penalties).items() for word in pair]
    done = edged("ask", *options, "--max-tokens", "3", "--stop", "a", "--stop", "b", "--system", "Be brief.", "Hello")
    assert done.exit_code == 0, done.output
    request = daemon.model.requests[0]
    used = request.sampling
    assert (used.temperature, used.top_k, used.top_p, used.min_p, used.seed) == (0.5, 7, 0.25, 0.125, 9)
    assert (used.repetition_penalty, used.frequency_penalty, used.presence_penalty) == (1.5, -1.0, 0.5)
    assert (used.max_tokens, used.stop) == (3, ("a", "b"))
    assert [(message.role, message.text) for message in request.messages] == [
        (Role.SYSTEM, "Be brief."),
        (Role.USER, "Hello"),
    ]


def test_what_is_left_out_is_the_daemons_choice(daemon: ScriptedDaemon, edged: Edged) -> None:
    edged("ask", "Hello")
    assert daemon.model.requests[0].sampling.top_k == 40  # the scripted daemon's own default


def test_conversation_goes_on(daemon: ScriptedDaemon, edged: Edged) -> None:
    edged("ask", "My cat is Biscuit.")
    edged("ask", "--conversation", "c1", "What is my cat?")
    assert [message.text for message in daemon.model.requests[1].messages][::2] == [
        "My cat is Biscuit.",
        "What is my cat?",
    ]


def test_question_from_stdin(daemon: ScriptedDaemon, edged: Edged) -> None:
    edged("ask", "-", stdin="two\nlines ü\n")
    assert daemon.model.requests[0].messages[-1].text == "two\nlines ü\n"


def test_picture_is_known_by_its_bytes(daemon: ScriptedDaemon, edged: Edged, tmp_path: Path) -> None:
    picture = tmp_path / "no-extension"
    picture.write_bytes(PNG)
    assert edged("ask", "--image", str(picture), "What is this?").exit_code == 0
    assert daemon.model.requests[0].messages[-1].parts == (
        Image(data=PNG, media_type="image/png"),
        Text(text="What is this?"),
    )


def test_files_come_in_the_order_given_and_before_the_text(
    daemon: ScriptedDaemon, edged: Edged, tmp_path: Path
) -> None:
    files = {"a": PNG + b"a", "b": WAV, "c": PNG + b"c", "d": FLAC}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    a, b, c, d = (str(tmp_path / name) for name in files)
    done = edged("ask", "--image", a, f"--audio={b}", "Which?", "--image", c, "--max-tokens", "3", "--audio", d)
    assert done.exit_code == 0, done.output
    assert daemon.model.requests[0].messages[-1].parts == (
        Image(data=files["a"], media_type="image/png"),
        Audio(data=files["b"], media_type="audio/wav"),
        Image(data=files["c"], media_type="image/png"),
        Audio(data=files["d"], media_type="audio/flac"),
        Text(text="Which?"),
    )


@pytest.mark.parametrize("words", [[], [""], ["  "]])
def test_a_recording_may_ask_for_itself(words: list[str], daemon: ScriptedDaemon, edged: Edged, tmp_path: Path) -> None:
    (tmp_path / "question").write_bytes(WAV)
    assert edged("ask", "--audio", str(tmp_path / "question"), *words).exit_code == 0
    assert daemon.model.requests[0].messages[-1].parts == (Audio(data=WAV, media_type="audio/wav"),)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ask", ""], "the question is empty"),
        (["ask", " \n"], "the question is empty"),
        (["ask", b"caf\xe9"], r"not valid UTF-8: 'caf\udce9'"),
        (["ask", "--system", b"\xff", "hello"], r"not valid UTF-8: '\udcff'"),
        (["ask", "--image", "/etc/passwd", "hello"], "/etc/passwd: not a PNG, JPEG, WebP or GIF picture"),
        (["ask", "--image", "/dev/zero", "hello"], "/dev/zero: not a file"),
        (["ask", "--audio", "/etc/passwd", "hello"], "/etc/passwd: not a WAV, FLAC, Ogg or MP3 recording"),
        (["ask", "--audio", "/no/such", "hello"], "/no/such: not a file"),
        (["ask", "--image", "https://a.b/c.png", "hello"], ADDRESS),
        (["see", "http://a.b/c.png"], ADDRESS),
        (["ocr", "HTTP://a.b/c.png"], ADDRESS),
        (["models", "import", "https://a.b/engine.tar"], ADDRESS),
        (["ask", "--image", "/etc/passwd"], "/etc/passwd: not a PNG, JPEG, WebP or GIF picture"),
    ],
)
def test_bad_input_is_one_line_and_starts_no_daemon(
    arguments: list[str | bytes], message: str, edged: Edged, home: Path
) -> None:
    done = edged(*arguments)
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"edged: {message}\n")
    assert not (home / "state").exists()


def test_stdin_must_be_utf8(edged: Edged) -> None:
    done = edged("ask", "-", stdin=b"abc\xff")
    assert (done.exit_code, done.stderr) == (1, "edged: stdin is not valid UTF-8 at byte 4\n")


def test_stdin_without_end_is_not_read_to_its_end(edged: Edged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_DAEMON__MAX_MESSAGE_BYTES", str(2**20))
    done = edged("ask", "-", stdin=b"a" * (2**20 + 1))
    expected = "edged: stdin holds more than 1048576 bytes (daemon.max_message_bytes)\n"
    assert (done.exit_code, done.stderr) == (1, expected)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--model", "nosuch", "hello"], "nosuch"),
        (["--conversation", "nosuch", "hello"], "conversation"),
    ],
)
def test_refusals_of_the_daemon_are_one_line(
    arguments: list[str], named: str, daemon: ScriptedDaemon, edged: Edged
) -> None:
    done = edged("ask", *arguments)
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("edged: ") and done.stderr.count("\n") == 1 and named in done.stderr


def test_text_so_far_stays_when_the_engine_fails(daemon: ScriptedDaemon, edged: Edged) -> None:
    daemon.model.script = [*says("Pa")[:1], RuntimeError("boom")]
    done = edged("ask", "Hello")
    assert (done.exit_code, done.stdout) == (1, "Pa\n")
    assert done.stderr.startswith("edged: internal error")


@pytest.mark.parametrize(("name", "bounds"), _RANGES.items())
def test_ranges_are_those_of_the_daemon(name: str, bounds: tuple[float, float], edged: Edged) -> None:
    option = next(option for option in ask.params if option.name == name)
    assert isinstance(option.type, (click.IntRange, click.FloatRange))
    assert (option.type.min, option.type.max) == bounds
    done = edged("ask", f"--{name.replace('_', '-')}", str(bounds[1] + 1), "hello")
    assert (done.exit_code, done.stdout) == (2, "")


@pytest.mark.parametrize(
    "arguments", [["ask"], ["ask", "--max-tokens", "many", "x"], ["ask", "--nosuch", "x"], ["nosuch"]]
)
def test_wrong_usage_is_2(arguments: list[str], edged: Edged) -> None:
    done = edged(*arguments)
    assert done.exit_code == 2 and "Usage: edged" in done.stderr
