"""Processes that are measured in turn."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Set:
    """One pass, in the order of the prompt lengths that were asked for."""

    ttft_ms: list[float]
    decode_ms: list[list[float]]
    peak_bytes: int
    instructions: int | None
    """Of the whole pass; None where they cannot be counted."""


class Rival:
    """A worker process (see engine_worker for the protocol)."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        greeting = self._answer()
        self.load_seconds = float(str(greeting["load_seconds"]))
        self.title = str(greeting["title"])

    def run(self, lengths: Sequence[int], decoded: int) -> Set:
        """Measure once: a prompt of each length, and so many tokens after it."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps({"lengths": list(lengths), "decoded": decoded}) + "\n")
        self._process.stdin.flush()
        return Set(**self._answer())

    def _answer(self) -> dict[str, object]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with {self._process.wait()}")
        answer = json.loads(line)
        assert isinstance(answer, dict)
        return answer


@contextmanager
def rival(python: Path, worker: Sequence[str], model: Path, *, threads: int, context: int) -> Iterator[Rival]:
    """Start a worker, which has loaded its model when this returns."""
    command = [str(python), *worker, str(model), str(threads), str(context)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Rival(process)
