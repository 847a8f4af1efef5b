"""`edged phone` beside a real server with a scripted engine, and a phone of shell scripts behind a fake adb."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import _NamedTextIOWrapper
from hypothesis import given
from hypothesis import strategies as st

from edged.cli.adb import chosen
from edged.cli.phone_apps import name_of, packages_of
from edged.cli.phone_input import is_typable, shell_line, typing
from edged.errors import DeviceUnavailable
from edged.events import GenerationEvent, GenerationRequest, ReasoningDelta, TextDelta
from edged.records import ModelInfo
from tests.cli.conftest import Edged, ScriptedDaemon
from tests.cli.fake_phone import SERIAL, FakePhone
from tests.e2e.program import EDGED
from tests.pipeline.phone_screen import Lines, ScriptedSight, png
from tests.server.scripted import END, WAIT, ScriptedModel

DONE = 'finish(message="Sent it.")'


class StepModel(ScriptedModel):
    """Says one thing after the other, thinking a little before each."""

    actions: tuple[str, ...] = ()
    is_demo = False

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        said = self.actions[len(self.requests)]
        self.script = [WAIT] if said == WAIT else [ReasoningDelta(text="Hm"), TextDelta(text=said), *END]
        async for event in super().generate(request):
            yield event

    def models(self) -> list[ModelInfo]:
        return [replace(model, is_demo=self.is_demo, reads=("text", "images")) for model in super().models()]


class Driving:
    """A phone, a daemon, and `edged phone` between them."""

    def __init__(self, phone: FakePhone, daemon: ScriptedDaemon, sight: ScriptedSight, edged: Edged) -> None:
        self.phone, self.daemon, self.sight, self._edged = phone, daemon, sight, edged
        assert isinstance(daemon.model, StepModel)
        self.model = daemon.model

    def __call__(self, *actions: str, options: tuple[str, ...] = (), answer: str | None = None) -> tuple[int, str, str]:
        """Exit code, stdout, stderr. answer: at a terminal, empty for Ctrl-D; None where there is no terminal."""
        self.model.actions = actions
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_NamedTextIOWrapper, "isatty", lambda file: file.name == "<stdin>" and answer is not None)
            done = self._edged("phone", "Say hello", *options, stdin=answer or "")
        return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePhone:
    monkeypatch.setattr("edged.cli.phone_task.SETTLE_SECONDS", 0)
    folder = tmp_path / "phone"
    folder.mkdir()
    return FakePhone(folder, monkeypatch)


@pytest.fixture
def driving(phone: FakePhone, home: Path, edged: Edged) -> Iterator[Driving]:
    sight = ScriptedSight({})
    daemon = ScriptedDaemon(home / "socket", model=StepModel(), sight=sight)  # type: ignore[arg-type]
    daemon.begin()
    yield Driving(phone, daemon, sight, edged)
    daemon.end()


def test_a_task_is_driven_to_its_end(driving: Driving) -> None:
    driving.phone.has_app("com.tencent.mm")
    code, out, err = driving(
        'do(action="Launch", app="微信")',
        'do(action="Tap", element=[500,250])',
        'do(action="Double Tap", element=[0,0])',
        'do(action="Long Press", element=[500,500])',
        'do(action="Swipe", start=[500,900], end=[500,100])',
        'do(action="Type", text="hello there")',
        'do(action="Back")',
        'do(action="Wait", duration="0 seconds")',
        'do(action="Note", message="True")',
        'do(action="Home")',
        DONE,
    )
    assert (code, out) == (0, "Sent it.\n"), err
    assert driving.phone.done() == [
        ["monkey", "-p", "com.tencent.mm", "-c", "android.intent.category.LAUNCHER", "1"],
        ["input", "tap", "54", "60"],
        ["input", "tap", "0", "0"],
        ["input", "tap", "0", "0"],
        ["input", "swipe", "54", "120", "54", "120", "1000"],
        ["input", "swipe", "54", "216", "54", "24", "500"],
        ["input", "text", "hello%sthere"],
        ["input", "keyevent", "KEYCODE_BACK"],
        ["input", "keyevent", "KEYCODE_HOME"],
    ]
    assert "2. Tap at 54, 60 in 微信" in err and "3. Tap twice at 0, 0 in" in err
    assert "5. Swipe from 54, 216 to 54, 24 in" in err and '6. Type "hello there" in' in err
    assert len(driving.model.requests[-1].messages) == 1 + 2 * 10 + 1
    assert driving.daemon.memory.messages == {}


def test_json_lines(driving: Driving) -> None:
    code, out, _ = driving('do(action="Launch", app="Nowhere")', DONE, options=("--json",))
    first, last = map(json.loads, out.splitlines())
    assert code == 0
    assert first == {
        "step": 1,
        "app": "微信",
        "thinking": "Hm",
        "action": {"kind": "Launch", "app": "Nowhere"},
        "confirmation": "",
        "failure": "no app of this name is known; open it from the home screen",
    }
    assert last["action"] == {"kind": "Finish", "message": "Sent it."}
    assert "no app of this name" in driving.model.requests[1].messages[-1].text


@pytest.mark.parametrize(
    ("lines", "action"),
    [
        ({"Pay now": (500, 250)}, 'do(action="Tap", element=[500,250])'),
        ({"删除": (500, 250)}, 'do(action="Long Press", element=[500,250])'),
        ({}, 'do(action="Tap", element=[1,1], message="sends it")'),
        ({}, 'do(action="Type", text="hi\\n")'),
    ],
)
def test_a_person_is_asked_before_what_is_sensitive(driving: Driving, lines: Lines, action: str) -> None:
    driving.sight.lines = lines
    code, _, err = driving(action, DONE, answer="n\n")
    assert code == 1 and "Do it? [y/N]" in err and "was not done" in err
    assert driving.phone.done() == []
    driving.model.requests.clear()
    for answer, has_asked in (("", True), (None, False)):
        code, _, err = driving(action, DONE, answer=answer)
        assert code == 1 and ("[y/N]" in err) == has_asked and driving.phone.done() == []
        assert err.splitlines()[-1].startswith("edged: nobody is there to answer") and "--yes" in err
        driving.model.requests.clear()
    assert driving(action, DONE, answer="y\n")[0] == 0
    asked = len(driving.phone.done())
    driving.model.requests.clear()
    code, _, err = driving(action, DONE, options=("--yes",))
    assert code == 0 and "Do it?" not in err
    assert len(driving.phone.done()) == 2 * asked > 0


def test_what_needs_hands_is_not_agreed_to_by_an_option(driving: Driving) -> None:
    action = 'do(action="Take_over", message="log in")'
    code, _, err = driving(action, DONE, options=("--yes",))
    assert code == 1 and "log in" in err and "by hand" in err
    driving.model.requests.clear()
    assert driving(action, DONE, answer="\n")[0] == 0


def test_every_step_of_a_demo_model_is_asked_for(driving: Driving) -> None:
    driving.model.is_demo = True
    code, _, err = driving('do(action="Home")', DONE, answer="n\n")
    assert "Go to the home screen? Asked before every step of a demo-size model. Do it? [y/N]" in err
    assert code == 1 and driving.phone.done() == []


def test_a_person_is_told_what_stands_at_the_place(driving: Driving) -> None:
    driving.sight.lines = {"Total 12.00": (500, 215), "Pay\x9b now": (500, 250)}
    _, _, err = driving('do(action="Tap", element=[500,248])', DONE, answer="n\n")
    assert 'Tap "Pay now" (at 54, 59)? Asked because the screen says "Pay now" there. Do it? [y/N]' in err


def test_an_empty_task_is_refused_before_anything_else(driving: Driving, edged: Edged) -> None:
    done = edged("phone", " ")
    assert done.exit_code == 1 and done.stderr.count("\n") == 1 and "say what is to be done" in done.stderr


def test_it_gives_up(driving: Driving) -> None:
    code, out, err = driving(*['do(action="Back")'] * 3, options=("--max-steps", "2"))
    assert (code, out) == (1, "") and "not finished after 2 steps" in err
    assert len(driving.phone.done()) == 2


def test_a_malformed_action_touches_nothing(driving: Driving) -> None:
    code, _, err = driving('do(action="Back")do(action="Home")')
    assert code == 1 and err.count("\n") == 1 and "more than one action" in err
    assert driving.phone.done() == []


def test_other_letters_need_a_keyboard_app(driving: Driving) -> None:
    action = 'do(action="Type", text="你好")'
    code, _, err = driving(action, DONE)
    assert code == 1 and "ADBKeyboard" in err and 'not "你好"' in err
    driving.phone.has_keyboard()
    driving.model.requests.clear()
    assert driving(action, DONE)[0] == 0
    (broadcast,) = driving.phone.done("am")
    assert base64.b64decode(broadcast[-1]).decode() == "你好"
    assert [call[-1] for call in driving.phone.done("ime") if call[1] == "set"] == [
        "com.android.adbkeyboard/.AdbIME",
        "com.example.keys/.Keys",
    ], "the owner's own keyboard comes back"


def test_a_protected_screen(driving: Driving) -> None:
    (driving.phone.folder / "screen.png").write_bytes(b"")
    code, _, err = driving(DONE)
    assert code == 1 and "no picture of its screen" in err and driving.model.requests == []


def test_a_screenshot_without_end(driving: Driving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGED_DAEMON__MAX_MESSAGE_BYTES", "65536")
    (driving.phone.folder / "screen.png").write_bytes(png() + bytes(200_000))
    code, _, err = driving(DONE)
    assert code == 1 and "more than 65536 bytes" in err


def test_a_phone_that_does_not_answer(driving: Driving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edged.cli.adb.ADB_SECONDS", 0.2)
    (driving.phone.folder / "bin" / "screencap").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    code, _, err = driving(DONE)
    assert code == 1 and "did not answer" in err


def test_without_adb(edged: Edged, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = edged("phone", "Say hello")
    assert done.exit_code == 1 and "apt-get install adb" in done.stderr and done.stderr.count("\n") == 1


LISTED = "* daemon not running; starting now at tcp:5037\n* daemon started successfully\nList of devices attached\n"


@pytest.mark.parametrize(
    ("rows", "serial", "advice"),
    [
        ((), "", "plug one in"),
        ((), "X", "plug one in"),
        (("X\tunauthorized",), "", "allow it"),
        (("X\toffline",), "", "plug it in again"),
        (("X\tno permissions (user in plugdev group); see [http]",), "", "android-sdk-platform-tools-common"),
        (("X\tdevice", "Y\tdevice"), "", "--serial, X or Y"),
        (("X\tdevice",), "Z", "no phone Z"),
        (("X\tdevice", "Y\tunauthorized"), "Y", "allow it"),
    ],
)
def test_what_to_do_about_a_phone_that_cannot_be_driven(rows: tuple[str, ...], serial: str, advice: str) -> None:
    with pytest.raises(DeviceUnavailable) as raised:
        chosen(LISTED + "".join(f"{row}\n" for row in rows), serial)
    assert advice in raised.value.message and "\n" not in raised.value.message


@pytest.mark.parametrize("serial", ["", "X"])
def test_the_phone_that_can_be(serial: str) -> None:
    assert chosen(f"{LISTED}X\tdevice\nY\toffline\n\n", serial) == "X"


def test_apps() -> None:
    assert packages_of(" wechat ") == packages_of("微信") == ("com.tencent.mm",)
    assert packages_of("org.example.notes") == ("org.example.notes",)
    assert packages_of("; rm -rf /") == packages_of("a.b; c") == packages_of("") == ()
    assert name_of("com.android.settings") == "Settings" and name_of("org.example.notes") == "org.example.notes"


typable = st.text(
    alphabet=st.characters(min_codepoint=32, max_codepoint=126) | st.sampled_from("\n\t%s'\""), max_size=40
)


def typed(text: str) -> str:
    """What Android's `input` makes of the words that follow it: in `text`, %s is a blank."""
    told = ""
    for _, kind, word in typing(text):
        if kind == "keyevent":
            told += {"KEYCODE_ENTER": "\n", "KEYCODE_TAB": "\t"}[word]
            continue
        follows_percent = False
        for character in word:
            if follows_percent and character == "s":
                told, follows_percent = f"{told[:-1]} ", False
                continue
            told += character
            follows_percent = character == "%"
    return told


@given(typable)
def test_what_is_typed_arrives(text: str) -> None:
    assert is_typable(text) and typed(text) == text


@pytest.mark.parametrize("text", ["100%s sure", "50% off", "%%s", "%s", "a %s", "$(reboot)", "`id`", "'; id #", '"'])
def test_texts_that_mean_something_to_shells(text: str) -> None:
    assert typed(text) == text


@pytest.mark.parametrize("text", ["é", "你", "\x1b[0m", "\x00", "\r"])
def test_what_cannot_be_typed(text: str) -> None:
    assert not is_typable(text)


@given(st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), min_size=1))
def test_a_shell_takes_each_word_as_it_is(words: list[str]) -> None:
    """A POSIX shell is the judge; the phone's is one."""
    line = shell_line([("printf", "%s\\0", *words)])
    shown = subprocess.run(["/bin/sh", "-c", line], capture_output=True, timeout=20, check=True).stdout
    assert shown.decode().split("\0")[:-1] == words


def test_what_a_model_types_is_no_command(driving: Driving) -> None:
    evil = "'; touch /tmp/edged-was-here; $(reboot) `reboot` && reboot | x > y"
    written = evil.replace("\\", "\\\\").replace('"', '\\"')
    assert driving(f'do(action="Type", text="{written}")', DONE)[0] == 0
    (call,) = driving.phone.done()
    assert call[:2] == ["input", "text"] and call[2].replace("%s", " ") == evil
    assert not Path("/tmp/edged-was-here").exists()


@pytest.mark.parametrize("while_asking", [True, False])
def test_ctrl_c_stops_it(driving: Driving, while_asking: bool) -> None:
    """At a question to the person, and while the model is asked."""
    model = driving.model
    model.actions = ('do(action="Take_over", message="log in")' if while_asking else WAIT, DONE)
    command = [*EDGED, "phone", "Say hello"]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        if while_asking:
            assert process.stderr
            asked = b""
            while b"Press Enter" not in asked:
                asked += (piece := process.stderr.read1())  # type: ignore[attr-defined]
                assert piece, asked
        else:
            deadline = time.monotonic() + 20
            while not model.running:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        errors = b""
        while process.returncode is None:  # one signal just before the read of an answer interrupts nothing
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                _, errors = process.communicate(timeout=5)
    assert process.returncode == 130 and errors.endswith(b"edged: stopped\n") and b"Traceback" not in errors
    assert driving.phone.done() == []
    driving.daemon.release()
    os.close(ours)
    os.close(theirs)


def test_a_serial_number_chooses(driving: Driving) -> None:
    driving.phone.lists("other\tdevice", f"{SERIAL}\tdevice")
    assert "several phones" in driving(DONE)[2]
    assert driving(DONE, options=("--serial", SERIAL))[0] == 0
