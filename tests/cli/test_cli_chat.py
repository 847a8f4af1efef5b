from __future__ import annotations

from pathlib import Path

import pytest

from edged.events import Finished, FinishReason, Measured, Role
from tests.cli.conftest import Edged, ScriptedDaemon
from tests.server.scripted import METRICS, USAGE, says


def chat(edged: Edged, *lines: str) -> list[str]:
    """What a piped session prints after its three lines of greeting."""
    done = edged("chat", stdin="".join(f"{line}\n" for line in lines))
    assert done.exit_code == 0, done.output
    return done.stdout.splitlines()[3:]


def test_first_line_says_what_the_model_is_good_for(daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("chat")
    assert done.exit_code == 0
    first, second, _ = done.stdout.splitlines()
    assert first.startswith("tiny is a demo-size model")
    assert "edged models import" in second and "python -m engines build" in second


def test_turns_go_on_in_one_conversation_until_new(daemon: ScriptedDaemon, edged: Edged) -> None:
    assert chat(edged, "One", "", "Two", "/new", "Three") == ["Paris."] * 3
    heard = [[message.text for message in request.messages] for request in daemon.model.requests]
    assert heard == [["One"], ["One", "Paris.", "Two"], ["Three"]]


def test_resume_and_continue(daemon: ScriptedDaemon, edged: Edged) -> None:
    edged("ask", "My cat is Biscuit.")
    assert "My cat is Biscuit." in chat(edged, "/resume c1", "What is my cat?")
    assert [message.text for message in daemon.model.requests[-1].messages][::2] == [
        "My cat is Biscuit.",
        "What is my cat?",
    ]
    edged("chat", "--continue", stdin="And now?\n")
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


def test_search_export_delete(daemon: ScriptedDaemon, edged: Edged, tmp_path: Path) -> None:
    file = tmp_path / "chat.md"
    printed = chat(edged, "My cat is Biscuit.", "/search Biscuit", "/search elephant", f"/export {file}", "/delete")
    assert printed[1].startswith("c1  user: ")
    assert printed[2:] == ["Nothing found.", f"Wrote {file}.", "Deleted."]
    assert "My cat is Biscuit." in file.read_text(encoding="utf-8")
    assert daemon.memory.messages == {}


def test_model_is_switched(daemon: ScriptedDaemon, edged: Edged) -> None:
    assert chat(edged, "/model")[0].startswith("tiny ")
    assert edged("chat", stdin="/model nosuch\n").exit_code == 1


def test_help_lists_every_command(daemon: ScriptedDaemon, edged: Edged) -> None:
    printed = "\n".join(chat(edged, "/help"))
    for word in ("/new", "/search WORDS", "/export [FILE]", "/delete", "/stop", "/system TEXT", "/quit"):
        assert word in printed


def test_quit_ends_the_session(daemon: ScriptedDaemon, edged: Edged) -> None:
    assert chat(edged, "/quit", "never asked") == []
    assert daemon.model.requests == []


def test_cut_off_answer_is_said_to_be(daemon: ScriptedDaemon, edged: Edged) -> None:
    ending = [Measured(usage=USAGE, metrics=METRICS), Finished(finish_reason=FinishReason.LENGTH)]
    daemon.model.script = [*says("Pa")[:1], *ending]
    assert chat(edged, "Hello") == ["Pa", "(cut off: --max-tokens or the end of the context)"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("/serch cat", 'no command /serch (did you mean "/search"?); /help lists them'),
        ("/resume", "/resume needs the ID of a conversation; /conversations lists them"),
        ("/export", "no conversation yet: say something, or /resume one"),
        ("/delete", "no conversation yet: say something, or /resume one"),
    ],
)
def test_a_script_ends_at_its_first_error(line: str, message: str, daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("chat", stdin=f"{line}\nnever asked\n")
    assert (done.exit_code, done.stderr) == (1, f"edged: {message}\n")
    assert daemon.model.requests == []


def test_line_that_is_not_utf8(daemon: ScriptedDaemon, edged: Edged) -> None:
    done = edged("chat", stdin=b"caf\xe9\n")
    assert (done.exit_code, done.stderr) == (1, "edged: the line is not valid UTF-8\n")
