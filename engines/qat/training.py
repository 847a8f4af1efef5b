"""The loop: batches to gradients to steps, with a bar, a log, and states to go on from."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from types import FrameType
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import torch
from torch import Tensor, nn
from tqdm import tqdm

from edged.errors import CheckpointError

from .checkpoints import MODULE, load_state, module_weights, optimizer_tensors, restore_optimizer, save_state
from .precision import in_product_type
from .recorded import Figures, Gradients, RecordedGradients

Batch = TypeVar("Batch")
_Batch = TypeVar("_Batch", contravariant=True)
_SAVE_SECONDS = 300.0
_LOG_STEPS = 20


class Task(Protocol[_Batch]):
    """What is trained."""

    def loss(self, module: nn.Module, batch: _Batch) -> tuple[Tensor, Figures]:
        """The loss of one batch and figures for the log, by name. On a GPU it must not wait for the GPU."""
        ...

    def evaluate(self, module: nn.Module) -> Mapping[str, float]:
        """Figures for the log and the curves, by name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How long and how fast."""

    steps: int
    seconds: float | None = None
    """Be at the end after so long instead, however many steps that were: the rate then falls with the clock."""
    batches: int = 1
    """Batches whose gradients make one step."""
    warmup: int = 50
    """Steps until the full rate."""
    decay: float = 0.4
    """Share of the steps, at the end, in which the rate falls to 0."""
    clip: float = 1.0
    """Largest norm of the gradients."""
    evaluate_every: int = 200

    def reached(self, step: int, seconds: float) -> float:
        """Share of the way that is behind, 1 at the end."""
        return step / self.steps if self.seconds is None else seconds / max(self.seconds, 1e-9)

    def rate(self, reached: float, since_start: int) -> float:
        """Share of the full rate; reached: share of the way, since_start: steps since momentum was empty."""
        left = (1 - reached) / max(self.decay, 1 / self.steps)
        return min(1.0, (since_start + 1) / max(self.warmup, 1), max(left, 0.02))


class Trainer(Generic[Batch]):
    """One module on its way; `run` goes on from what the folder holds."""

    def __init__(
        self,
        module: nn.Module,
        task: Task[Batch],
        optimizers: Sequence[torch.optim.Optimizer],
        plan: Plan,
        folder: Path,
        *,
        is_portable: bool = False,
    ) -> None:
        """folder: for the state; log.jsonl beside it. Raises CheckpointError for a damaged state.

        is_portable: keep the weights alone beside it as well, as bfloat16, 2 bytes a parameter, for another machine.
        """
        self.portable = folder.with_name(f"{folder.name}-portable") if is_portable else None
        """Where there is no state, training goes on from this, gathering momentum anew."""
        self.module, self.task, self.optimizers, self.plan, self.folder = module, task, optimizers, plan, folder
        self.device = next(module.parameters()).device
        self.step = 0
        self.seconds = 0.0
        """Spent on all steps so far."""
        self._names: dict[Tensor, str] = {parameter: name for name, parameter in module.named_parameters()}
        self._rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
        self._momentum_from = 0
        self._log: list[str] = []
        self._figures: defaultdict[str, list[Tensor | float]] = defaultdict(list)
        kind = RecordedGradients if self.device.type == "cuda" else Gradients
        self._gradients: Gradients[Batch] = kind(
            [parameter for parameter in module.parameters() if parameter.requires_grad], self._loss
        )
        self._resume()

    @property
    def is_done(self) -> bool:
        """Whether it is at the end of its plan."""
        return self.plan.reached(self.step, self.seconds) >= 1

    def run(self, batches: Iterator[Batch], *, minutes: float | None = None) -> bool:
        """Train to the end, or for that long, or until SIGTERM or Ctrl-C; whether it reached the end.

        The batches must begin with number `step * plan.batches`.
        """
        started = saved = time.monotonic()
        total = None if self.plan.seconds is not None else self.plan.steps
        bar = tqdm(total=total, initial=self.step, desc=self.folder.name, unit="step", disable=None)
        with bar, asked_to_stop() as stop:
            while not self.is_done:
                began = time.monotonic()
                self._one(batches)
                self.seconds += time.monotonic() - began
                bar.update()
                self._report(bar)
                now = time.monotonic()
                if stop.is_set() or (minutes is not None and now - started > minutes * 60):
                    break
                if now - saved > _SAVE_SECONDS:
                    self.save()
                    saved = now
        self.save()
        return self.is_done

    def _one(self, batches: Iterator[Batch]) -> None:
        """One step."""
        reached = self.plan.reached(self.step, self.seconds)
        rate = self.plan.rate(reached, self.step - self._momentum_from)
        for optimizer, rates in zip(self.optimizers, self._rates, strict=True):
            for group, full in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = full * rate
        self._gradients.clear()
        for _ in range(self.plan.batches):
            for name, value in self._gradients.add(next(batches)).items():
                self._figures[name].append(value)
        nn.utils.clip_grad_norm_(self.module.parameters(), self.plan.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1

    def _loss(self, batch: Batch) -> tuple[Tensor, Figures]:
        """Of the mean over the batches of a step."""
        loss, figures = self.task.loss(self.module, batch)
        return loss / self.plan.batches, {"loss": loss.detach(), **figures}

    def _report(self, bar: tqdm[NoReturn]) -> None:
        if self.step % _LOG_STEPS == 0:
            means = {name: round(mean(map(float, values)), 4) for name, values in self._figures.items()}
            self._write(means | {"seconds": round(self.seconds)})
            bar.set_postfix(loss=f"{means['loss']:.3f}", refresh=False)
            self._figures.clear()
        if self.step % self.plan.evaluate_every == 0 or self.is_done:
            self.evaluate()

    def evaluate(self) -> None:
        """Log the task's figures of the module as it is."""
        eager = torch.compiler.set_stance("force_eager")  # other sizes of batches would be compiled for minutes
        self.module.eval()
        with eager, torch.no_grad(), in_product_type(self.device):
            self._write(self.task.evaluate(self.module))
        self.module.train()

    def _write(self, figures: Mapping[str, float]) -> None:
        self._log.append(json.dumps({"run": self.folder.name, "step": self.step, **figures}))
        with self.log_path.open("a", encoding="utf-8") as file:
            file.write(self._log[-1] + "\n")

    @property
    def log_path(self) -> Path:
        """Figures, a JSON object a line."""
        return self.folder.with_name("log.jsonl")

    def save(self) -> None:
        """Everything that going on needs."""
        tensors = {f"{MODULE}{name}": value for name, value in self.module.state_dict().items()}
        for index, optimizer in enumerate(self.optimizers):
            tensors |= optimizer_tensors(optimizer, self._names, f"optimizer{index}|")
        state = {"step": self.step, "seconds": self.seconds, "random": torch.get_rng_state().tolist()}
        save_state(self.folder, tensors, state)
        if self.portable is not None:
            weights = {name: value.bfloat16() for name, value in tensors.items() if name.startswith(MODULE)}
            save_state(self.portable, weights, {"step": self.step, "seconds": self.seconds})

    def _resume(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        found = load_state(self.folder)
        if found is None and self.portable is not None:
            found = load_state(self.portable)
        if found is None:
            return
        tensors, state = found
        try:
            self.module.load_state_dict(module_weights(tensors))
        except RuntimeError as exc:
            raise CheckpointError(f"{self.folder}: the state of another model; delete it to begin again") from exc
        for index, optimizer in enumerate(self.optimizers):
            restore_optimizer(optimizer, self._names, f"optimizer{index}|", tensors)
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        if "random" in state:
            torch.set_rng_state(torch.tensor(state["random"], dtype=torch.uint8))
        else:  # a portable state: momentum is gathered anew
            self._momentum_from = self.step


@contextmanager
def asked_to_stop() -> Iterator[threading.Event]:
    """Set by SIGTERM and Ctrl-C, which would otherwise end the program in the middle of a step."""
    stop = threading.Event()

    def ask(signum: int, frame: FrameType | None) -> None:
        stop.set()

    before: dict[int, Any] = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
