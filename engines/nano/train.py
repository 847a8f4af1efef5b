"""Trains the nano in three phases: its towers, the whole of it in floats, the same with four bits; then writes it."""

from __future__ import annotations

import copy
import random
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch import nn
from torch.utils.data import DataLoader

from edged.engine.onnx_loading import usable_cores
from edged.errors import InvalidInput
from engines.autoglm_phone.model import AutoGLMPhone
from engines.qat.muon import Muon
from engines.qat.training import Plan, Task, Trainer

from . import speech
from .batches import EVERYTHING, SENSES, Batch, Draft, Drafts, Mixture
from .canvas import Look
from .curves import draw_curves
from .export import quantize_nano, read_checkpoint, write_checkpoint
from .fonts import TRAINING as TRAINING_FONTS
from .fonts import Fonts
from .heldout import Question, makers, questions
from .learning import AnswerTask, Learner, SensesTask
from .studio import Studio
from .voices import TRAINING as TRAINING_VOICES

SEED = 7
BATCH_SIZES = {"cpu": 128, "cuda": 256}
"""Samples of a batch."""
USES = {"cpu": 1, "cuda": 2}
"""Of what is drawn: a large GPU learns faster than sixteen cores draw (2,750 samples a second, 2026-11-27)."""
VOICES_PER_PHRASE = 180
_HELD = 64
"""Drafts that wait for their next use."""
_DEVELOPMENT = 32
"""Questions of each task, made as those of training are, that show how it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One part of the training."""

    name: str
    plan: Plan
    of_matrices: float
    """Learning rate of Muon."""
    of_others: float
    """Learning rate of AdamW."""
    share: float
    """Of the time for the whole, where that is limited."""
    first: int
    """Number of its first batch: no phase sees what another has seen."""
    mixture: Mixture


TOWERS = Phase(
    name="towers",
    share=0.1,
    first=0,
    plan=Plan(steps=300, batches=2, warmup=40, decay=0.3),
    of_matrices=4e-3,
    of_others=2e-3,
    mixture=SENSES,
)
FLOAT = Phase(
    name="float",
    share=0.68,
    first=10**6,
    plan=Plan(steps=3000, batches=2, warmup=60, decay=0.45),
    of_matrices=4e-3,
    of_others=2e-3,
    mixture=EVERYTHING,
)
INT4 = Phase(
    name="int4",
    share=0.22,
    first=10**7,
    plan=Plan(steps=300, batches=2, warmup=20, decay=0.8),
    of_matrices=1e-3,
    of_others=5e-4,
    mixture=EVERYTHING,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of one call of the command."""

    folder: Path
    """Speech, states and the log."""
    checkpoint: Path
    """Where the INT4 checkpoint is written at the end."""
    device: str = "cpu"
    until: float | None = None
    """Stop in between when `time.monotonic` says so; the same command goes on from there."""
    begin_from: Path | None = None
    """An INT4 checkpoint whose weights are learned on from, where there is no state yet."""
    within: float | None = None
    """Be at the end after so many minutes of steps, those of earlier calls among them, however far that leads."""
    is_compiled: bool = True
    """Compile what has fixed shapes; on a CPU that takes three minutes and then saves a third of the time."""


class Material:
    """What is spoken, and what is drawn with, on the device that trains."""

    def __init__(self, corpus: speech.Corpus, fonts: Fonts, device: str) -> None:
        self._corpus, self._fonts, self._device = corpus, fonts, device
        self._studio = Studio(corpus, torch.device(device))

    def batches(self, mixture: Mixture, first: int) -> Iterator[Batch]:
        """From number `first` on, or near it where drafts are used again; drawn by other processes."""
        uses = USES[self._device]
        return map(self._studio.batch, _used(_loaded(self.drafts(mixture, first // uses), self._device), uses))

    def drafts(self, mixture: Mixture, first: int) -> Drafts:
        """The same before anything happens to them."""
        look = Look(fonts=self._fonts, noise=None)
        return Drafts(self._corpus, look, seed=SEED, size=BATCH_SIZES[self._device], first=first, mixture=mixture)

    def looked_at(self) -> list[Batch]:
        """Some that are never learned from."""
        return [self._studio.batch(draft) for draft in islice(self.drafts(SENSES, 10**9), 8)]

    def development(self) -> list[Question]:
        """Some questions of each task."""
        found: list[Question] = []
        for task, make in makers(self._corpus, Look(fonts=self._fonts, noise="training")).items():
            rng = random.Random(f"development {task}")
            asked = (one for _ in iter(int, 1) for one in questions(make(rng)) if one.task == task)
            found += [next(asked) for _ in range(_DEVELOPMENT)]
        return found


def train(settings: Settings, say: Callable[[str], object]) -> None:
    """All phases, or as much as there is time for. Raises InvalidInput, NotFound for missing programs or fonts."""
    if settings.begin_from is not None and not (settings.begin_from / "model.safetensors").is_file():
        raise InvalidInput(f"{settings.begin_from}: no checkpoint to begin with: it has no model.safetensors")
    is_done = _trained(settings, say)
    if (log := settings.folder / "log.jsonl").is_file():
        draw_curves(log, settings.folder / "curves.png")
    if is_done:
        say(f"to build it: python -m engines build {settings.checkpoint}")
    else:
        say("stopped in between: the same command goes on from there")


def _trained(settings: Settings, say: Callable[[str], object]) -> bool:
    """Whether it reached the end."""
    torch.manual_seed(SEED)
    if settings.device == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.enable_cudnn_sdp(False)  # its kernels are planned anew for each shape
    corpus = speech.spoken(TRAINING_VOICES, 1, VOICES_PER_PHRASE, settings.folder / "speech-training.npz")
    material = Material(corpus, Fonts(TRAINING_FONTS), settings.device)
    learner = Learner().to(settings.device)
    if settings.begin_from is not None:
        learner.model.load_state_dict(read_checkpoint(settings.begin_from).state_dict())
    config = learner.model.config
    say(f"{config.parameters / 1e6:.1f} M parameters, {config.active_parameters / 1e6:.1f} M active a token")
    if not _run(TOWERS, learner, SensesTask(material.looked_at()), settings, material):
        return False
    development = material.development()
    if not _run(FLOAT, learner, AnswerTask(development), settings, material):
        return False
    # Not in eval mode, in which experts ask for numbers: a GPU could not record a step with it.
    teacher = copy.deepcopy(learner.model).requires_grad_(False)
    student = Learner().to(settings.device)
    student.load_state_dict(learner.state_dict())
    quantize_nano(student.model)
    if not _run(INT4, student, AnswerTask(development, teacher), settings, material):
        return False
    write_checkpoint(settings.checkpoint, student.model)
    return True


def _run(phase: Phase, learner: Learner, task: Task[Batch], settings: Settings, material: Material) -> bool:
    """Whether the phase reached its end; at once where it had before."""
    place = settings.folder / phase.name
    plan = phase.plan
    if settings.within is not None:
        plan = replace(plan, seconds=60 * settings.within * phase.share, evaluate_every=1000)
    trainer = Trainer(learner, task, _optimizers(learner, phase), plan, place, is_portable=True)
    if trainer.is_done:
        return True
    if settings.is_compiled:
        _compile(learner.model)
    batches = material.batches(phase.mixture, phase.first + trainer.step * phase.plan.batches)
    left = None if settings.until is None else (settings.until - time.monotonic()) / 60
    return trainer.run(batches, minutes=left)


def _used(drafts: Iterator[Draft], uses: int) -> Iterator[Draft]:
    """Each several times, with others in between, and photographed and recorded another way each time."""
    rng = random.Random(SEED)
    held: list[Draft] = []
    for draft in drafts:
        held += [replace(draft, seed=draft.seed * uses + use) for use in range(uses)]
        rng.shuffle(held)
        while len(held) > _HELD * (uses - 1):
            yield held.pop()


def _loaded(drafts: Drafts, device: str, workers: int | None = None) -> Iterator[Draft]:
    """Drawn by other processes, in the same order by any number of them."""
    if workers is None:
        workers = 1 if device == "cpu" else max(usable_cores() - 2, 1)
    return iter(
        DataLoader(
            drafts,
            batch_size=None,
            num_workers=workers,
            prefetch_factor=4,
            worker_init_fn=_as_worker,
            pin_memory=device != "cpu",
        )
    )


def _as_worker(worker: int) -> None:
    """Terminals and `timeout` signal all processes at once; the one that trains needs batches to end its step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: signal.alarm(30))
    torch.set_num_threads(1)
    threadpool_limits(1)  # with as many workers as cores, threads of NumPy's products would only wait for each other


def _optimizers(model: nn.Module, phase: Phase) -> list[torch.optim.Optimizer]:
    """Muon for matrices within, AdamW for the rest. Scales of fake-quantized weights move by their own size."""
    named = dict(model.named_parameters())
    scales = [value for name, value in named.items() if name.endswith(".scale")]
    matrices = [
        value
        for name, value in named.items()
        if value.ndim == 2
        and not name.endswith(".scale")
        and not any(word in name for word in ("embed", "router", "hints"))
    ]
    ours = {id(value) for value in (*scales, *matrices)}
    others = [value for value in named.values() if id(value) not in ours]
    groups: list[dict[str, Any]] = [{"params": others, "lr": phase.of_others}]
    if scales:
        groups.append({"params": scales, "lr": 1e-5})
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return [Muon(matrices, lr=phase.of_matrices, weight_decay=0.02), adam]


def _compile(model: AutoGLMPhone) -> None:
    """What is worth it: towers by the size of pictures and recordings, the rest of a layer for any length."""
    torch._dynamo.config.cache_size_limit = 64  # there is no public name for it
    warnings.filterwarnings("ignore", "Dynamo detected a call to a .functools.lru_cache")  # constants: as it should
    for tower in (model.model.visual, model.model.audio):
        encode: Any = torch.compile(tower.encode, dynamic=False)
        tower.encode = encode  # type: ignore[method-assign]  # of this tower alone
    for layer in model.model.layers:
        for name, part in layer.named_children():
            if name != "mlp":
                part.compile(dynamic=True)
