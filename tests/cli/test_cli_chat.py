from __future__ import annotations

from pathlib import Path

import pytest

from edged.cli.answer import CUT_OFF
from edged.events import Audio, Finished, FinishReason, Image, Measured, Role, Text
from tests.cli.conftest import Edged, ScriptedDaemon
from tests.cli.test_cli_ask import PNG, WAV
from tests.server.scripted import METRICS, USAGE, says


def chat(edged: Edged, *lines: str) -> list[str]:
    """What a piped session prints."""
    done = edged("chat", stdin="".join(f"{line}\n" for line in lines))
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()


def test_script_is_told_on_stderr_what_the_model_is_good_for(daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("chat")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr.startswith("edged: tiny is a demo-size model") and done.stderr.count("\n") == 1


def test_turns_go_on_in_one_conversation_until_new(daemon: ScriptedDaemon, edged: Edged) -> None:
    assert chat(edged, "One", "", "Two", "/new", "Three") == ["Paris.", "", "Paris.", "", "Paris."]
    heard = [[message.text for message in request.messages] for request in daemon.model.requests]
    assert heard == [["One"], ["One", "Paris.", "Two"], ["Three"]]


def test_resume_and_continue(daemon: ScriptedDaemon, edged: Edged) -> None:
    edged("ask", "My cat is Biscuit.")
    assert chat(edged, "/resume c1", "What is my cat?") == ["Paris."]
    assert [message.text for message in daemon.model.requests[-1].messages][::2] == [
        "My cat is Biscuit.",
        "What is my cat?",
    ]
    assert edged("chat", "--continue", stdin="And now?\n").stdout == "Paris.\n"
    assert len(daemon.memory.messages) == 1
    edged("chat", stdin="Something else\n")
    assert len(daemon.memory.messages) == 2


def test_system_holds_from_the_next_message_on(daemon: ScriptedDaemon, edged: Edged) -> None:
    chat(edged, "One", "/system Be brief.", "Two", "Three")
    systems = [
        [message.text for message in request.messages if message.role is Role.SYSTEM]
        for request in daemon.model.requests
    ]
    assert systems == [[], ["Be brief."], ["Be brief."]]


def test_system_prompt_is_shown_and_removed(daemon: ScriptedDaemon, edged: Edged) -> None:
    none = "No system prompt of its own: the daemon's default holds."
    pending = chat(edged, "/system", "/system Be brief.", "/system", "/system -", "/system")
    assert pending == [none, "Be brief.", none]
    assert chat(edged, "/system Be brief.", "One", "/system") == ["Paris.", "Be brief."]
    chat(edged, "/system Be brief.", "/system -", "Two")
    assert not [
        message for message in daemon.model.requests[-1].messages if message.role is Role.SYSTEM and message.text
    ]


def test_continue_where_nothing_was_said_and_beside_a_conversation(daemon: ScriptedDaemon, edged: Edged) -> None:
    assert "no conversation to go on with" in edged("chat", "--continue").stderr
    assert edged("chat", "--continue", "--conversation", "c1").exit_code == 2


def test_search_export_delete(daemon: ScriptedDaemon, edged: Edged, tmp_path: Path) -> None:
    file = tmp_path / "chat.md"
    printed = chat(edged, "My cat is Biscuit.", "/search Biscuit", "/search elephant", f"/export {file}", "/delete")
    assert printed[1].startswith("c1  user: ")
    assert printed[2:] == ["Nothing found.", f"Wrote {file}.", "Deleted."]
    assert "My cat is Biscuit." in file.read_text(encoding="utf-8")
    assert daemon.memory.messages == {}


def test_model_is_switched(daemon: ScriptedDaemon, edged: Edged) -> None:
    listed = chat(edged, "/model")
    assert [line.split()[0] for line in listed if line.endswith("(answers now)")] == ["tiny"] and len(listed) == 2
    assert edged("chat", stdin="/model nosuch\n").exit_code == 1


def test_attached_files_go_with_the_next_message(daemon: ScriptedDaemon, edged: Edged, tmp_path: Path) -> None:
    png, wav = tmp_path / "sign of ours.png", tmp_path / "word.wav"
    png.write_bytes(PNG)
    wav.write_bytes(WAV)
    chat(edged, f"/attach {png}", f"/attach {wav}", "What is it?", "And now?", f"/attach {png}", "/attach -", "Hm")
    asked = [request.messages[-1].parts for request in daemon.model.requests]
    picture, recording = Image(data=PNG, media_type="image/png"), Audio(data=WAV, media_type="audio/wav")
    assert asked == [
        (picture, recording, Text(text="What is it?")),
        (Text(text="And now?"),),
        (Text(text="Hm"),),
    ]


def test_help_lists_every_command(daemon: ScriptedDaemon, edged: Edged) -> None:
    printed = "\n".join(chat(edged, "/help"))
    for word in ("/new", "/search WORDS", "/export [FILE]", "/delete", "/stop", "/system [TEXT]", "/quit"):
        assert word in printed


def test_quit_ends_the_session(daemon: ScriptedDaemon, edged: Edged) -> None:
    assert chat(edged, "/quit", "never asked") == []
    assert daemon.model.requests == []


def test_cut_off_answer_is_said_to_be(daemon: ScriptedDaemon, edged: Edged) -> None:
    ending = [Measured(usage=USAGE, metrics=METRICS), Finished(finish_reason=FinishReason.LENGTH)]
    daemon.model.script = [*says("Pa")[:1], *ending]
    done = edged("chat", stdin="Hello\n")
    assert done.stdout == "Pa\n" and done.stderr.endswith(f"\n({CUT_OFF})\n")
    assert edged("ask", "Hello").stderr == f"edged: {CUT_OFF}\n"
    assert edged("ask", "--json", "Hello").stderr == ""
    assert "\nassistant (cut off):\nPa\n" in edged("conversations", "show", "c1").stdout
    assert "\n## Assistant (cut off)\n" in edged("conversations", "show", "c1", "--markdown").stdout


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/attach", "/attach needs the file of a picture or a recording"),
        ("/attach /nowhere.png", "/nowhere.png: not a file"),
        (f"/attach {__file__}", f"{__file__}: not a picture or a recording"),
        ("/serch cat", 'no command /serch (did you mean "/search"?); /help lists them'),
        ("/resume", "/resume needs the ID of a conversation; /conversations lists them"),
        ("/export", "no conversation yet: say something, or /resume one"),
        ("/delete", "no conversation yet: say something, or /resume one"),
    ],
)
def test_a_script_ends_at_its_first_error(line: str, message: str, daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("chat", stdin=f"{line}\nnever asked\n")
    assert done.exit_code == 1 and done.stderr.splitlines()[1:] == [f"edged: {message}"]
    assert daemon.model.requests == []


def test_line_that_is_not_utf8(daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("chat", stdin=b"caf\xe9\n")
    assert done.exit_code == 1 and done.stderr.endswith("\nedged: the line is not valid UTF-8\n")
