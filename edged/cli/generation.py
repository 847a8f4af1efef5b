"""The options of `ask` and `chat` that say how an answer is generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from edged.cli.parameters import utf8
from edged.errors import InvalidInput
from edged.events import OutputFormat, OutputKind, SamplingOptions

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(slots=True, kw_only=True)
class Generation:
    """How answers are to be generated; what is empty is left to the daemon."""

    model: str
    sampling: SamplingOptions
    enable_thinking: bool | None
    max_reasoning_tokens: int | None
    system_prompt: str | None
    incognito: bool


def generation_options(command: Command) -> Command:
    """Add the options; the command receives them by name and hands them to `generation_from`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def generation_from(options: dict[str, Any]) -> Generation:
    """What the options of `generation_options` said."""
    sampling = {name: options[name] for name in _SAMPLING if options[name] is not None}
    if options["stop"]:
        sampling["stop"] = options["stop"]
    return Generation(
        model=options["model"],
        sampling=cast(SamplingOptions, sampling),
        enable_thinking=True if options["think"] else None,
        max_reasoning_tokens=options["max_reasoning_tokens"],
        system_prompt=options["system"],
        incognito=options["incognito"],
    )


def output_options(command: Command) -> Command:
    """Add the options that say what form the answer has; the command hands them to `output_from`."""
    for option in reversed(_OUTPUT):
        command = option(command)
    return command


def output_from(options: dict[str, Any]) -> OutputFormat | None:
    """What the options of `output_options` said. Raises InvalidInput, click.UsageError."""
    given = [name for name in ("json_schema", "regex", "choice") if options[name] not in (None, ())]
    if len(given) > 1:
        names = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise click.UsageError(f"{names} exclude each other.")
    match given:
        case ["json_schema"]:
            return OutputFormat(kind=OutputKind.JSON_SCHEMA, text=_schema(options["json_schema"]))
        case ["regex"]:
            return OutputFormat(kind=OutputKind.REGEX, text=options["regex"])
        case ["choice"]:
            return OutputFormat(kind=OutputKind.CHOICES, choices=options["choice"])
        case _:
            return None


def _schema(text: str) -> str:
    """The text, which begins as an object does, or what the file of that name holds."""
    if text.lstrip().startswith("{"):
        return text
    try:
        with Path(text).open(encoding="utf-8") as file:
            return file.read(_MAX_SCHEMA_CHARACTERS + 1)  # one too many is refused by the daemon
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not a text file"
        raise InvalidInput(f"{text}: {reason}; --json-schema takes a file, or a schema that begins with {{") from None


_MAX_SCHEMA_CHARACTERS = 1024 * 1024

_SAMPLING = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "seed",
    "max_tokens",
)

# What the daemon allows (`edged.engine.sampling`), refused here before it is asked.
_COUNT = click.IntRange(0, 1_000_000)
_SHARE = click.FloatRange(0, 1)
_FACTOR = click.FloatRange(0.01, 10)
_PENALTY = click.FloatRange(-2, 2)
_SEED = click.IntRange(0, 2**64 - 1)
_TOKENS = click.IntRange(0, 1_048_576)

_OPTIONS = (
    click.option("--model", type=utf8, default="", metavar="NAME", help="An installed engine (`edged models list`)."),
    click.option("--think", is_flag=True, help="Let a reasoning model think first; shown on stderr."),
    click.option("--max-reasoning-tokens", type=_TOKENS, metavar="N", help="Longest thinking before the answer."),
    click.option("--system", type=utf8, metavar="TEXT", help="A system prompt: who the assistant is to be."),
    click.option("--incognito", is_flag=True, help="Write nothing of the conversation to disk; it ends an hour later."),
    click.option("--max-tokens", type=click.IntRange(1, 1_048_576), metavar="N", help="Longest answer, in tokens."),
    click.option("--temperature", type=click.FloatRange(0, 2), metavar="T", help="0 always takes the likeliest token."),
    click.option("--top-k", type=_COUNT, metavar="K", help="Choose among the K likeliest tokens; 0 for all."),
    click.option("--top-p", type=_SHARE, metavar="P", help="Choose among the likeliest tokens that add up to P."),
    click.option("--min-p", type=_SHARE, metavar="P", help="Drop tokens less likely than P times the likeliest."),
    click.option("--repetition-penalty", type=_FACTOR, metavar="X", help="Above 1 discourages tokens already seen."),
    click.option("--frequency-penalty", type=_PENALTY, metavar="X", help="Subtracted for each time a token occurred."),
    click.option("--presence-penalty", type=_PENALTY, metavar="X", help="Subtracted once for a token that occurred."),
    click.option("--seed", type=_SEED, metavar="N", help="The same seed samples the same answer."),
    click.option("--stop", type=utf8, multiple=True, metavar="TEXT", help="End the answer before TEXT; repeatable."),
)

_OUTPUT = (
    click.option("--json-schema", type=utf8, metavar="FILE|TEXT", help="The answer is JSON that this schema admits."),
    click.option("--regex", type=utf8, metavar="REGEX", help="The answer matches this expression from end to end."),
    click.option("--choice", type=utf8, multiple=True, metavar="TEXT", help="The answer is one of these; repeatable."),
)
