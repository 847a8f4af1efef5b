"""Parameters as we want them: text that can cross the wire, and options whose order counts."""

from __future__ import annotations

from typing import cast

import click

from edged.errors import InvalidInput

_ORDER = "edged.order"


def utf8(text: str) -> str:
    """The text, if it came as UTF-8 and so can cross the wire. Raises InvalidInput."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as exc:
        # Python keeps undecodable bytes of the command line as lone surrogates (PEP 383).
        raise InvalidInput(f"not valid UTF-8: {text[:60]!a}") from exc
    return text


class InOrder(click.Command):
    """A command that knows in which order its options came, see `given_order`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse twice: click itself keeps the values of each option, but not how they followed each other."""
        _, _, order = self.make_parser(ctx).parse_args(list(args))
        ctx.meta[_ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)


def given_order(context: click.Context, *names: str) -> list[str]:
    """The names of these options as they were given, each as often as it was."""
    return [name for name in cast(list[str], context.meta[_ORDER]) if name in names]
