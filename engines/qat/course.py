"""A student's course on a GPU, by the clock: its teacher writes, it learns from that, and when time is up it is done.

How fast a device is, alone or beside other work, is found out on the way: the rate falls with the time that is gone,
and what has been reached lies on disk from the first minute, however the course ends.
"""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edged.errors import CheckpointError

from .author import Author, beginnings
from .distillation import Distillation
from .divergence import divergence
from .flat import FlatStudent
from .forward import Weights, forward
from .graphs import Recorder
from .lessons import Lessons
from .training import asked_to_stop

_LOG_STEPS = 20
"""After so many, what is asked for waits for what is done."""
_WARMUP = 30
"""Steps until the full rate."""
_SCALES, _NORMS = 0.4, 0.1
"""Rates of scales and norms, as shares of that of weights."""
_BETAS = (0.9, 0.98)
_EPSILON = 1e-14
"""Gradients are means over thousands of places, by each of a hundred million weights."""
_WORSE = 1.3
"""A student whose divergence is so many times that of the best is given up."""
_SAVE_SECONDS = 300.0
"""After so many, a student that is the best so far is saved."""
_HELD_OUT = 8
"""Texts of each kind that are never learned from."""
_HELD_OUT_FILE = Path("texts", "held-out.npy")
"""Where they lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Of the work, by what suits a large GPU."""

    batch: int = 16
    """Texts of a step."""
    drawn: int = 1024
    """Texts that the teacher writes at a time."""
    written: int = 256
    """Texts by people that are added to them."""
    repeated: float = 1.0
    """How many texts of earlier rounds come with each new one."""
    room: int = 12_000
    """Texts that are kept."""
    rates: tuple[float, ...] = (3e-3, 6e-3, 1.2e-2)
    """Of AdamW, in steps of the four bits, to be tried on the way. In batches of two texts 6e-3 did best and 1.2e-2 led
    away (16 steps, 2026-11-27)."""
    trial: int = 40
    """Steps of a trial, at most."""
    trial_share: float = 0.04
    """Of the time, for each."""
    seconds_between: float = 30.0
    """Until the student is judged, and kept if it is the best, again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Of a student, in all courses so far."""

    step: int = 0
    read: int = 0
    """Texts by people that it was given."""


class Course:
    """From a student as it is to the best that there is time for."""

    def __init__(
        self,
        teacher: Weights,
        student: FlatStudent,
        task: Callable[[Tensor], Distillation],
        people: NDArray[np.unsignedinteger],
        turn: list[int],
        folder: Path,
        say: Callable[[str], object],
        sizes: Sizes,
        progress: Progress,
        save: Callable[[Progress], object],
    ) -> None:
        """task: what judges and keeps a student, by texts held out; people: texts that they wrote  # (texts, length)
        turn: tokens before a user's words; folder: for the log and the texts held out; progress: so far;
        save: the module, in which the best student is then.

        Raises CheckpointError for a student whose divergence is not finite.
        """
        self._teacher, self._student, self._say, self._sizes = teacher, student, say, sizes
        self._turn, self._folder, self._save = turn, folder, save
        self._people = self._to_learn_from(people)
        self._device = teacher.table.device
        self._generator = torch.Generator().manual_seed(len(people) + progress.step)
        self._stop = threading.Event()
        self._step, self._texts_read, self._tokens = progress.step, progress.read, 0
        self._began = self._saved = time.monotonic()
        self._total = torch.zeros((), device=self._device)
        self._author = Author(teacher, sizes.drawn, people.shape[1], say)
        self._given = self._author.tokens[: sizes.batch].clone(), self._author.states[: sizes.batch].clone()
        self._lessons = Lessons(sizes.room, *self._given)
        self._rounds = 0
        self._write_texts()
        self._batches = self._lessons.round(sizes.batch, sizes.repeated, self._generator)
        held_out = self._held_out(people[:_HELD_OUT])
        self._exam = held_out, self._read(held_out)
        self._task = task(held_out)
        self._compute = Recorder(self._device, say).captured(self._computed)
        self._best = self._examined(), self._copied()
        if not math.isfinite(self._best[0]):
            raise CheckpointError(f"what the state in {folder} gives is not finite; delete it to begin again")

    def run(self, until: float, tokens: int) -> None:
        """Learn until the clock `time.monotonic` says so, or from so many tokens, or until SIGTERM or Ctrl-C.

        However it ends, the best student is saved.
        """
        with asked_to_stop() as self._stop:
            try:
                self._run(until, tokens)
            finally:
                self._restore(self._best[1])
                self._student.store()
                self._keep()

    def _run(self, until: float, tokens: int) -> None:
        began = time.monotonic()
        self._judge()
        until -= 1.5 * (time.monotonic() - began)  # the last judgement comes behind
        rate = self._tried(until)
        optimizer, first, started = self._optimizer(rate), self._step, time.monotonic()
        judged, seen = started, self._tokens
        self._total.zero_()
        while (gone := self._gone(started, until, seen, tokens)) < 1 and not self._stop.is_set():
            used = rate * min(1.0, (self._step - first + 1) / _WARMUP, 1 - gone)
            self._one(optimizer, used)
            if (self._step - first) % _LOG_STEPS == 0:
                self._report(used)
            if time.monotonic() - judged > self._sizes.seconds_between:
                if not self._judge():
                    rate, optimizer, first = rate / 2, self._optimizer(rate / 2), self._step
                    self._total.zero_()
                    self._say(f"led astray at step {self._step}: back to the best, at half the rate")
                judged = time.monotonic()
        self._judge()
        self._say(
            f"{self._step:,} steps so far; {self._tokens:,} tokens in this call, for which the teacher wrote "
            f"{self._rounds} times"
        )

    def _gone(self, started: float, until: float, seen: int, tokens: int) -> float:
        """Share of the course."""
        clock = (time.monotonic() - started) / max(until - started, 1e-9)
        return max(clock, (self._tokens - seen) / max(tokens - seen, 1))

    def _tried(self, until: float) -> float:
        """Which rate a few steps get farthest with; the student goes on from there."""
        began = time.monotonic()
        middle = self._sizes.rates[len(self._sizes.rates) // 2]
        start = self._copied()
        self._trial(middle, 6)  # how long a step takes
        self._wait()
        seconds = max((time.monotonic() - began) / 6, 1e-6)
        steps = min(int(self._sizes.trial_share * (until - began) / seconds), self._sizes.trial)
        found = []
        for rate in self._sizes.rates if steps >= 10 else ():
            self._restore(start)
            self._trial(rate, steps)
            found.append((self._examined(), rate, self._copied()))
            self._say(f"{steps} steps at {rate:g}: divergence {found[-1][0]:.5f}, {self._seconds():.0f} s")
        best = min(found, key=lambda trial: trial[0], default=(0.0, middle, start))
        self._restore(best[2])
        return best[1]

    def _trial(self, rate: float, steps: int) -> None:
        optimizer = self._optimizer(rate)
        for number in range(steps):
            if self._stop.is_set():
                break
            self._one(optimizer, rate * min(1.0, (number + 1) / 10, (steps - number) / steps))

    def _optimizer(self, rate: float) -> torch.optim.Optimizer:
        shares = (1.0, _SCALES, _NORMS)
        groups = [
            {"params": [value], "lr": rate * share, "share": share}
            for value, share in zip(self._student.parameters, shares, strict=True)
        ]
        return torch.optim.AdamW(groups, betas=_BETAS, eps=_EPSILON, weight_decay=0.0, fused=True)

    def _one(self, optimizer: torch.optim.Optimizer, rate: float) -> None:
        """One step. Nothing here waits for the device."""
        for held, new in zip(self._given, self._batch(), strict=True):
            held.copy_(new)
        self._compute()
        for group in optimizer.param_groups:
            group["lr"] = rate * group["share"]
        optimizer.step()
        self._step += 1
        self._tokens += self._given[0].numel()

    def _computed(self) -> None:
        """Gradients of the batch that is given."""
        student = self._student
        student.spread()
        found = forward(student.computing, self._given[0]).flatten(0, 1)
        expected = self._given[1].flatten(0, 1)
        distance, slope = divergence(found.detach(), expected, student.computing.head, slope=True)
        student.gather(torch.autograd.grad(found, student.leaves, slope))
        self._total.add_(distance)

    def _batch(self) -> tuple[Tensor, Tensor]:
        while True:
            for batch in self._batches:
                return batch
            self._write_texts()
            self._batches = self._lessons.round(self._sizes.batch, self._sizes.repeated, self._generator)

    def _write_texts(self) -> None:
        """A round of the teacher's, and some by people: again from the first when there are no more."""
        began, (texts, length) = time.monotonic(), self._author.tokens.shape
        vocabulary, held_out = len(self._teacher.table), 0 if self._rounds else _HELD_OUT
        self._author.draw(beginnings(texts, length, vocabulary, self._turn, self._generator))
        self._lessons.add(self._author.tokens[held_out:], self._author.states[held_out:])
        places = np.arange(self._texts_read, self._texts_read + self._sizes.written)
        chosen = self._people[places % len(self._people)]
        tokens = torch.from_numpy(chosen.astype(np.int64)).to(self._device)
        for some in torch.split(tokens, self._sizes.batch):
            self._lessons.add(some, self._read(some))
        self._wait()
        self._rounds += 1
        self._texts_read += len(chosen)
        self._say(f"{texts * length:,} tokens drawn and {tokens.numel():,} read in {time.monotonic() - began:.1f} s")

    @torch.no_grad()
    def _read(self, tokens: Tensor) -> Tensor:
        """What the teacher thinks of texts, a batch at a time."""
        return torch.cat([forward(self._teacher, some) for some in torch.split(tokens, self._sizes.batch)])

    def _to_learn_from(self, people: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
        """Without those held out, wherever they are now: with novels, installed since, all places are others."""
        path = self._folder / _HELD_OUT_FILE
        held_out = {text.tobytes() for text in np.load(path)} if path.is_file() else set()
        return people[[place >= _HELD_OUT and text.tobytes() not in held_out for place, text in enumerate(people)]]

    def _held_out(self, people: NDArray[np.unsignedinteger]) -> Tensor:
        """Of both kinds, the same in every call that goes on in this folder."""
        path = self._folder / _HELD_OUT_FILE
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.concatenate([self._author.tokens[:_HELD_OUT].cpu().numpy(), people]).astype(np.uint32))
        return torch.from_numpy(np.load(path).astype(np.int64)).to(self._device)

    @torch.no_grad()
    def _examined(self) -> float:
        """The student's divergence on the texts held out."""
        self._student.spread()
        tokens, expected = self._exam
        found = [forward(self._student.computing, some) for some in torch.split(tokens, self._sizes.batch)]
        states = torch.cat(found).flatten(0, 1), expected.flatten(0, 1)
        reached = float(divergence(*states, self._student.computing.head, slope=False)[0])
        return reached if math.isfinite(reached) else math.inf

    def _judge(self) -> bool:
        """Log the task's figures, which keeps the best; whether the student is not far from it, which it is then."""
        with torch.no_grad():
            figures = self._task.evaluate(self._student.store())
        reached = self._examined()
        self._write({**figures, "seconds": round(self._seconds())})
        self._say(
            f"step {self._step}: perplexity {figures['loss of perplexity']:+.2%}, divergence {figures['kl']:.4f}, "
            f"held out {figures['held out kl']:.4f}, {self._seconds():.0f} s"
        )
        if reached < self._best[0]:
            self._best = reached, self._copied()
            if time.monotonic() - self._saved > _SAVE_SECONDS:
                self._keep()
        if reached < _WORSE * self._best[0]:
            return True
        self._restore(self._best[1])
        return False

    def _keep(self) -> None:
        """What is in the module."""
        self._save(Progress(step=self._step, read=self._texts_read))
        self._saved = time.monotonic()

    def _report(self, rate: float) -> None:
        loss = float(self._total) / _LOG_STEPS
        self._total.zero_()
        self._write({"loss": round(loss, 5), "rate": round(rate, 7), "seconds": round(self._seconds())})
        if self._step // _LOG_STEPS % 5 == 0:
            self._say(f"step {self._step}: loss {loss:.4f}, {self._tokens:,} tokens, {self._seconds():.0f} s")

    def _write(self, figures: Mapping[str, float]) -> None:
        with (self._folder / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"run": "course", "step": self._step, **figures}) + "\n")

    def _copied(self) -> list[Tensor]:
        return [value.detach().clone() for value in self._student.parameters]

    def _restore(self, values: list[Tensor]) -> None:
        with torch.no_grad():
            for value, kept in zip(self._student.parameters, values, strict=True):
                value.copy_(kept)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _seconds(self) -> float:
        return time.monotonic() - self._began
