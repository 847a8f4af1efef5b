"""Where errors end: one line on stderr and an exit code, whatever went wrong."""

from __future__ import annotations

import errno
import importlib.metadata
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import click

from edged.errors import EdgedError


class Failure(click.ClickException):
    """Prints `edged: message` on stderr; exit code 1."""

    def show(self, file: IO[Any] | None = None) -> None:
        """What click calls to print it."""
        click.echo(f"edged: {self.message}", file=file, err=True)


class Stopped(Failure):
    """Ctrl-C, with the exit code that shells give for SIGINT."""

    exit_code = 130


class ErrorBorder(click.Group):
    """A group whose commands fail with one line. Usage errors exit with 2, Ctrl-C with 130, all others with 1.

    click itself turns a closed pipe into a silent exit.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were given, not by name."""
        return list(self.commands)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept --debug anywhere before a lone --."""
        options = args[: args.index("--")] if "--" in args else args
        if "--debug" in options:
            rest = args[len(options) :]
            args = ["--debug", *(word for word in options if word != "--debug"), *rest]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command; with --debug errors keep their traceback."""
        if ctx.params["debug"]:
            return super().invoke(ctx)
        with errors_in_one_line():
            return super().invoke(ctx)


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Turn every error into `Failure`, but those that click handles better."""
    try:
        yield
    except click.Abort as exc:
        if isinstance(exc.__context__, (KeyboardInterrupt, EOFError)):
            raise Stopped("stopped") from exc
        raise Failure("nothing was changed") from exc
    except (click.ClickException, click.exceptions.Exit):
        raise
    except KeyboardInterrupt as exc:
        raise Stopped("stopped") from exc
    except EdgedError as exc:
        raise Failure(exc.message) from exc
    except ImportError as exc:
        raise Failure(_missing_package(exc)) from exc
    except OSError as exc:
        if exc.errno == errno.EPIPE:
            raise
        raise Failure(_os_error(exc)) from exc
    except Exception as exc:
        # The process border: nothing above this line could show it.
        detail = " ".join(str(exc).split())[:200]
        raise Failure(f"unexpected {type(exc).__name__}: {detail} (--debug shows where)") from exc


def _os_error(exc: OSError) -> str:
    reason = exc.strerror or str(exc)
    return f"{os.fsdecode(exc.filename)}: {reason}" if exc.filename else reason


def _missing_package(exc: ImportError) -> str:
    """Which extra holds the module that could not be imported."""
    module = (exc.name or "").partition(".")[0]
    extra = _extra_of(module)
    if extra is None:
        return f"cannot import {exc.name}: {exc} (--debug shows where)"
    return f"{module} is not installed: pip install 'edged[{extra}]'"


def _extra_of(module: str) -> str | None:
    """The first extra of this installation that requires the module's distribution."""
    distribution = _DISTRIBUTIONS.get(module, module).replace("_", "-")
    for requirement in importlib.metadata.requires("edged") or ():
        name, _, marker = requirement.partition(";")
        if name.startswith(distribution) and "extra ==" in marker:
            return marker.rsplit("==", 1)[1].strip(" \"'")
    return None


_DISTRIBUTIONS = {"grpc_health": "grpcio-health-checking"}
"""Modules whose distribution has another name (past - for _)."""
