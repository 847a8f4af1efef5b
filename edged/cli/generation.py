"""The options of `ask` and `chat` that say how an answer is generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import click

from edged.cli.parameters import utf8
from edged.events import SamplingOptions

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(slots=True, kw_only=True)
class Generation:
    """How answers are to be generated; what is empty is left to the daemon."""

    model: str
    sampling: SamplingOptions
    enable_thinking: bool | None
    system_prompt: str | None


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
        system_prompt=options["system"],
    )


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

_OPTIONS = (
    click.option("--model", type=utf8, default="", metavar="NAME", help="An installed engine (`edged models list`)."),
    click.option("--think", is_flag=True, help="Let a reasoning model think first; shown on stderr."),
    click.option("--system", type=utf8, metavar="TEXT", help="A system prompt: who the assistant is to be."),
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
