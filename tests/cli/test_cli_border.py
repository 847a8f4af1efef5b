from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from edged.cli.border import ErrorBorder
from edged.errors import NotFound
from tests.e2e.program import EDGED


def program(error: BaseException) -> click.Group:
    """A program whose only command raises."""

    @click.group(cls=ErrorBorder)
    @click.option("--debug", is_flag=True)
    def main(debug: bool) -> None: ...

    @main.command()
    @click.argument("words", nargs=-1)
    def fail(words: tuple[str, ...]) -> None:
        raise error

    return main


LOST = "No module named it"
DAEMON = "is not installed: pip install 'edged[daemon]'"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (NotFound("no conversation x"), "no conversation x"),
        (PermissionError(13, "Permission denied", "/root/x"), "/root/x: Permission denied"),
        (ModuleNotFoundError(LOST, name="onnxruntime.capi"), f"onnxruntime {DAEMON}"),
        (ModuleNotFoundError(LOST, name="sqlite_utils"), f"sqlite_utils {DAEMON}"),
        (ModuleNotFoundError(LOST, name="grpc_health"), f"grpc_health {DAEMON}"),
        (ImportError("no name q", name="nosuch"), "cannot import nosuch: no name q (--debug shows where)"),
        (ZeroDivisionError("by\nzero"), "unexpected ZeroDivisionError: by zero (--debug shows where)"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_every_error_is_one_line(error: Exception, line: str) -> None:
    done = CliRunner().invoke(program(error), ["fail"])
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", f"edged: {line}\n")


@pytest.mark.parametrize("arguments", [["--debug", "fail"], ["fail", "--debug"], ["fail", "word", "--debug"]])
def test_debug_lets_the_error_through(arguments: list[str]) -> None:
    done = CliRunner().invoke(program(NotFound("no conversation x")), arguments)
    assert isinstance(done.exception, NotFound)


def test_debug_after_two_dashes_is_a_word() -> None:
    done = CliRunner().invoke(program(NotFound("no conversation x")), ["fail", "--", "--debug"])
    assert done.stderr == "edged: no conversation x\n"


def test_interrupt_is_clean() -> None:
    done = CliRunner().invoke(program(KeyboardInterrupt()), ["fail"])
    assert (done.exit_code, done.stdout, done.stderr.strip()) == (130, "", "edged: stopped")


def test_closed_pipe_is_silent(home: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*EDGED, "doctor"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_config_error_names_the_nearest_section(home: Path) -> None:
    (home / "edged.toml").write_text("[serverr]\nx=1\n")
    environ = {**os.environ, "EDGED_CONFIG": str(home / "edged.toml"), "EDGED_DAEMON__TCP": ""}
    done = subprocess.run([*EDGED, "ask", "hello"], env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("edged: ") and "serverr" in done.stderr and done.stderr.count("\n") == 1


def test_program_has_a_version() -> None:
    done = subprocess.run([sys.executable, "-m", "edged", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("edged 0.")
