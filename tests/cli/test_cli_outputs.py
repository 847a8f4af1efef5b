"""`edged ask` for answers of a form."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.events import OutputFormat, OutputKind
from tests.cli.conftest import Edged, ScriptedDaemon

SCHEMA = '{"type": "object"}'


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (["--json-schema", SCHEMA], OutputFormat(kind=OutputKind.JSON_SCHEMA, text=SCHEMA)),
        (["--json-schema", f" \n{SCHEMA}"], OutputFormat(kind=OutputKind.JSON_SCHEMA, text=f" \n{SCHEMA}")),
        (["--regex", "[0-9]+"], OutputFormat(kind=OutputKind.REGEX, text="[0-9]+")),
        (["--regex", ""], OutputFormat(kind=OutputKind.REGEX, text="")),
        (["--choice", "yes", "--choice", "nö"], OutputFormat(kind=OutputKind.CHOICES, choices=("yes", "nö"))),
        ([], None),
    ],
)
def test_the_form_reaches_the_engine(
    daemon: ScriptedDaemon, edged: Edged, options: list[str], output: OutputFormat | None
) -> None:
    done = edged("ask", *options, "Well?")
    assert done.exit_code == 0, done.output
    assert daemon.model.requests[0].output == output


def test_a_schema_from_a_file(daemon: ScriptedDaemon, edged: Edged, tmp_path: Path) -> None:
    (tmp_path / "schema.json").write_text('{"enum": ["ü"]}', encoding="utf-8")
    done = edged("ask", "--json-schema", str(tmp_path / "schema.json"), "Well?")
    assert done.exit_code == 0, done.output
    assert daemon.model.requests[0].output == OutputFormat(kind=OutputKind.JSON_SCHEMA, text='{"enum": ["ü"]}')


def test_a_limit_of_thinking(daemon: ScriptedDaemon, edged: Edged) -> None:
    assert edged("ask", "--think", "--max-reasoning-tokens", "0", "Well?").exit_code == 0
    assert edged("ask", "--think", "Well?").exit_code == 0
    assert [request.max_reasoning_tokens for request in daemon.model.requests] == [0, None]


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--json-schema", "/nowhere"], 1, "/nowhere: No such file or directory; --json-schema takes a file, or"),
        (["--json-schema", ""], 1, "--json-schema takes a file"),
        (["--json-schema", "/dev"], 1, "/dev: Is a directory"),
        (["--json-schema", "a\0b"], 1, "not a text file"),
        (["--json-schema", "{}", "--regex", "a"], 2, "--json-schema and --regex exclude each other"),
        (["--regex", "a", "--choice", "b"], 2, "--regex and --choice exclude each other"),
    ],
)
def test_what_is_refused_is_said_in_a_line(edged: Edged, options: list[str], code: int, message: str) -> None:
    done = edged("ask", *options, "Well?")
    assert (done.exit_code, message in done.stderr) == (code, True), done.stderr
