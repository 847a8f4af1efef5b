"""Trains the nano: float weights, then four bits that learn from them, then a checkpoint of those."""

from __future__ import annotations

import copy
import random
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from engines.autoglm_phone.model import AutoGLMPhone
from engines.qat.fake_quant import plain_names, quantize_module
from engines.qat.muon import Muon
from engines.qat.training import Plan, Trainer

from . import speech
from .batches import Batch, TrainingBatches, normalised
from .canvas import Look
from .evaluate import accuracy
from .export import read_checkpoint, write_checkpoint
from .fonts import TRAINING as TRAINING_FONTS
from .fonts import Fonts
from .heldout import Question, makers, questions
from .hints import Hints
from .shape import BLOCK_SIZE, nano_config
from .voices import TRAINING as TRAINING_VOICES

SEED = 7
BATCH_SIZE = 64
"""Samples of a batch."""
VOICES_PER_PHRASE = 90
FLOAT = Plan(steps=1200, batches=2, warmup=60, decay=0.45)
INT4 = Plan(steps=220, batches=2, warmup=20, decay=0.8)
_BALANCE = 0.01
"""Weight of the load-balancing loss."""
_DEVELOPMENT = 32
"""Questions of each task, made as those of training are, that show how it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of one call of the command."""

    folder: Path
    """Speech, states and the log."""
    checkpoint: Path
    """Where the INT4 checkpoint is written at the end."""
    device: str = "cpu"
    minutes: float | None = None
    """Stop in between after so long; the same command goes on from there."""
    begin_from: Path | None = None
    """An INT4 checkpoint whose weights are learned on from, where there is no state yet."""
    is_compiled: bool = True
    """Compile what has fixed shapes; takes three minutes and then saves a third of the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is spoken, and what is drawn with."""

    corpus: speech.Corpus
    look: Look


def train(settings: Settings, say: Callable[[str], object]) -> None:
    """Both phases, or as much as there is time for. Raises NotFound where programs or fonts are missing."""
    torch.manual_seed(SEED)
    corpus = speech.spoken(TRAINING_VOICES, 1, VOICES_PER_PHRASE, settings.folder / "speech-training.npz")
    material = Material(corpus=corpus, look=Look(fonts=Fonts(TRAINING_FONTS), noise="training"))
    development = _development(material)
    learner = Learner().to(settings.device)
    model = learner.model
    if settings.begin_from is not None:
        model.load_state_dict(read_checkpoint(settings.begin_from).state_dict())
    say(
        f"{model.config.parameters / 1e6:.1f} M parameters, {model.config.active_parameters / 1e6:.1f} M active a token"
    )
    if not _phase(learner, _AnswerTask(development), FLOAT, settings, material, "float", rates=(4e-3, 2e-3)):
        say("stopped in between: the same command goes on from there")
        return
    teacher = copy.deepcopy(model).eval().requires_grad_(False)
    student = Learner().to(settings.device)
    student.load_state_dict(learner.state_dict())
    model = student.model
    quantize_nano(model)
    if not _phase(student, _AnswerTask(development, teacher), INT4, settings, material, "int4", rates=(1e-3, 5e-4)):
        say("stopped in between: the same command goes on from there")
        return
    write_checkpoint(settings.checkpoint, model)
    say(f"to build it: python -m engines build {settings.checkpoint.name}")


def quantize_nano(model: AutoGLMPhone) -> None:
    """Fake-quantize all matrices but those of routers, which decide rather than compute."""
    quantize_module(model, lambda name: not name.endswith("router"), BLOCK_SIZE, learned_scales=True)


class Learner(nn.Module):
    """The model, and what tells its towers what they see and hear."""

    def __init__(self) -> None:
        super().__init__()
        self.model = AutoGLMPhone(nano_config())
        self.hints = Hints(self.model.config)


def _phase(
    learner: Learner,
    task: _AnswerTask,
    plan: Plan,
    settings: Settings,
    material: Material,
    name: str,
    *,
    rates: tuple[float, float],
) -> bool:
    """Whether it reached the end."""
    trainer = Trainer(learner, task, _optimizers(learner, *rates), plan, settings.folder / name)
    if settings.is_compiled and trainer.step < plan.steps:
        _compile(learner.model)
    batches = TrainingBatches(
        material.corpus, material.look, seed=SEED, size=BATCH_SIZE, first=trainer.step * plan.batches
    )
    return trainer.run(_loaded(batches), minutes=settings.minutes)


def _loaded(batches: TrainingBatches) -> Iterator[Batch]:
    """Drawn and spoken by another process."""
    return iter(DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=8, worker_init_fn=_leave_to_parent))


def _leave_to_parent(worker: int) -> None:
    """A terminal sends Ctrl-C to all its processes; the one that trains says when it is over."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _optimizers(model: nn.Module, of_matrices: float, of_others: float) -> list[torch.optim.Optimizer]:
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
    groups: list[dict[str, Any]] = [{"params": others, "lr": of_others}]
    if scales:
        groups.append({"params": scales, "lr": 1e-5})
    adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    return [Muon(matrices, lr=of_matrices, weight_decay=0.02), adam]


class _AnswerTask:
    """Satisfies `engines.qat.training.Task`: to give the answers, and to give them as a teacher does."""

    def __init__(self, development: list[Question], teacher: AutoGLMPhone | None = None) -> None:
        self._development, self._teacher = development, teacher

    def loss(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, float]]:
        """Cross-entropy of the answers, the load of the experts, and the divergence from the teacher."""
        learner = cast(Learner, module)
        model = learner.model
        batch = batch.to(model.model.embed_tokens.weight.device)
        counted = batch.targets >= 0
        targets = batch.targets[counted]
        logits = answer_logits(model, batch, counted)
        entropy = functional.cross_entropy(logits, targets)
        balance = torch.stack([each.load_balance(batch.used.flatten()) for each in model.mixtures()]).mean()
        found = {
            f"{batch.kind} loss": entropy.item(),
            f"{batch.kind} tokens right": (logits.argmax(-1) == targets).float().mean().item(),
            "balance": balance.item(),
        }
        loss = entropy + _BALANCE * balance
        if batch.cells is not None:
            seen, found["marks right"] = learner.hints.of_pictures(model.model.visual.states, batch.cells)
            loss = loss + seen
        if batch.said:
            heard = learner.hints.of_recordings(model.model.audio.states, batch.said)
            found["letters loss"] = heard.item()
            loss = loss + heard
        if self._teacher is not None:
            with torch.no_grad():
                expected = answer_logits(self._teacher, batch, counted).log_softmax(-1)
            divergence = functional.kl_div(logits.log_softmax(-1), expected, reduction="batchmean", log_target=True)
            found["divergence"] = divergence.item()
            loss = loss + divergence
        return loss, found

    def evaluate(self, module: nn.Module) -> Mapping[str, float]:
        """Share of exact answers to the development questions, by task."""
        scores = accuracy(cast(Learner, module).model, self._development)
        return {f"{task} exact": round(score.accuracy, 4) for task, score in scores.items()}


def answer_logits(model: AutoGLMPhone, batch: Batch, counted: Tensor) -> Tensor:
    """Scores at the places that are followed by a token of an answer.  # float32 (places, vocabulary)"""
    pixels = None if batch.pixels is None else normalised(batch.pixels)
    states = model(batch.tokens, batch.types, pixels, batch.mels)
    return model.logits(states[counted]).float()


def _development(material: Material) -> list[Question]:
    found: list[Question] = []
    for task, make in makers(material.corpus, material.look).items():
        rng = random.Random(f"development {task}")
        asked = (one for _ in iter(int, 1) for one in questions(make(rng)) if one.task == task)
        found += [next(asked) for _ in range(_DEVELOPMENT)]
    return found


def _compile(model: AutoGLMPhone) -> None:
    """What is worth it: towers by the size of pictures and recordings, the rest of a layer for any length."""
    torch._dynamo.config.cache_size_limit = 64  # there is no public name for it
    for tower in (model.model.visual, model.model.audio):
        tower.encode = torch.compile(tower.encode, dynamic=False)  # type: ignore[method-assign]
    for layer in model.model.layers:
        for name, part in layer.named_children():
            if name != "mlp":
                part.compile(dynamic=True)


def float_model(tensors: Mapping[str, Tensor]) -> AutoGLMPhone:
    """A model with the weights of a state dictionary, of either phase."""
    learner = Learner()
    learner.load_state_dict(plain_names(tensors))
    return learner.model.eval()
