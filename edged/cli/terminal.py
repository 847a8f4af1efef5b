"""Where a chat's lines come from: typed at a prompt, typed ahead during an answer, or piped in."""

from __future__ import annotations

import asyncio
import os
import readline
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click

from edged.cli.output import say
from edged.errors import InvalidInput


class Lines:
    """Reads one line after the other. History lives in memory: nothing typed lands in a file."""

    def __init__(self) -> None:
        self.is_interactive = sys.stdin.isatty() and sys.stdout.isatty()
        self._typed_ahead: deque[str] = deque()
        if self.is_interactive:
            # A pasted block arrives as one message, its newlines included.
            readline.parse_and_bind("set enable-bracketed-paste on")

    def read(self, prompt: str) -> str | None:
        """The next line without its newline; None at the end. Ctrl-C raises KeyboardInterrupt."""
        if self._typed_ahead:
            line = self._typed_ahead.popleft()
            click.echo(f"{prompt}{line}")
            return line
        if self.is_interactive:
            try:
                return input(prompt)
            except EOFError:
                click.echo()
                return None
        piped = sys.stdin.buffer.readline()
        return _decoded(piped).rstrip("\r\n") if piped else None

    def confirm(self, question: str) -> bool:
        """Ask before something final. A script that wrote the command has decided already."""
        if not self.is_interactive:
            return True
        answer = self.read(f"{question} [y/N] ")
        return answer is not None and answer.strip().lower() in ("y", "yes")

    @contextmanager
    def watched(self, commands: Mapping[str, Callable[[], object]]) -> Iterator[None]:
        """While an answer streams: a line that is one of the commands calls it, others are kept for later."""
        if not self.is_interactive:
            yield
            return
        loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()

        def take() -> None:
            data = os.read(descriptor, 65536)
            if not data:
                loop.remove_reader(descriptor)
            try:
                lines = _decoded(data).splitlines()
            except InvalidInput as exc:  # the event loop would show a traceback
                say(exc.message)
                return
            for line in lines:
                if command := commands.get(line.strip()):
                    command()
                elif line.strip():
                    self._typed_ahead.append(line)

        loop.add_reader(descriptor, take)
        try:
            yield
        finally:
            loop.remove_reader(descriptor)


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise InvalidInput("the line is not valid UTF-8") from exc
