"""Trains a packaged model anew at symmetric four bits: `python -m engines train smollm2-135m-int4`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from engines.calibrate import Method
from engines.checkpoint import Checkpoint, open_checkpoint
from engines.gate import read_text
from engines.recipe import Recipe

from .curve import draw_curve
from .decoder import Decoder
from .distillation import Distillation
from .folder import write_checkpoint
from .sampling import LENGTH
from .start import calibration_of, student
from .texts import Texts, texts
from .training import Plan, Trainer

SEED = 11
RATES = {"cpu": 6e-5, "cuda": 1e-4}
"""Of AdamW, for weights and norms. With the small batches of a CPU, 4e-4 leads away from the teacher within five steps
(2026-11-26)."""
SCALE_RATE = 1e-5
"""For scales, of which most are between 0.02 and 0.14."""
TOKENS = {"cpu": 2**18, "cuda": 50_000_000}
"""To learn from where nothing is said: an hour or so on either."""
TEXTS_PER_BATCH = {"cpu": 2, "cuda": 32}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of one call of the command."""

    recipe: Recipe
    """Of the engine to be; its format says how large blocks are, its gate on which text is reported."""
    folder: Path
    """Texts, states, log and curve."""
    checkpoint: Path
    """Where the best student lies."""
    source: Path
    """The float weights: of a file that has no others, those that its blocks stand for."""
    tokens: int
    """To learn from, each once."""
    device: str = "cpu"
    minutes: float | None = None
    """Stop in between after so long; the same command goes on from there."""
    method: Method = "awq+gptq"
    """What training begins with."""
    rate: float | None = None
    """None takes that of the device."""

    @property
    def batch(self) -> int:
        """Texts of a step."""
        return TEXTS_PER_BATCH[self.device]

    @property
    def plan(self) -> Plan:
        """Each token once, the rate falling nearly all the way."""
        steps = max(self.tokens // (LENGTH * self.batch), 1)
        return Plan(steps=steps, warmup=max(steps // 30, 3), decay=0.9, evaluate_every=max(steps // 6, 1))


def train(settings: Settings, say: Callable[[str], object]) -> None:
    """To the end, or as far as there is time for. Raises CheckpointError, InvalidInput."""
    torch.manual_seed(SEED)
    checkpoint = open_checkpoint(settings.source)
    teacher = Decoder(checkpoint, LENGTH).to(settings.device).eval().requires_grad_(False)
    found = _texts(settings, checkpoint, teacher, say)
    trainer = _trainer(settings, checkpoint, teacher, found, say)
    if trainer.step == 0:
        trainer.evaluate()
    is_done = trainer.run(found.batches(settings.batch, trainer.step), minutes=settings.minutes)
    curve = draw_curve(trainer.log_path)
    if not is_done:
        say("stopped in between: the same command goes on from there")
    say(f"{curve}; the best so far: {settings.checkpoint}; to build it: python -m engines build {settings.recipe.name}")


def _texts(settings: Settings, checkpoint: Checkpoint, teacher: Decoder, say: Callable[[str], object]) -> Texts:
    """Drawn by the teacher in bfloat16."""
    is_large = settings.device == "cuda"
    writer = Decoder(checkpoint, LENGTH).to(teacher.table.device, torch.bfloat16).eval()
    return texts(checkpoint, writer, settings.tokens, settings.folder / "texts", say, batch=256 if is_large else 32)


def _trainer(
    settings: Settings, checkpoint: Checkpoint, teacher: Decoder, found: Texts, say: Callable[[str], object]
) -> Trainer[Tensor]:
    recipe = settings.recipe
    block_size = recipe.format.linear.block_size
    state = settings.folder / "state"
    is_new = not state.is_dir()
    say(f"beginning with weights by {settings.method}" if is_new else "going on from what was reached")
    calibration = calibration_of(settings.method if is_new else "round")  # the state has other weights
    with tqdm(total=calibration.passes(checkpoint.architecture) * len(teacher.layers), disable=None) as bar:
        model = student(checkpoint, LENGTH, block_size, calibration, bar.update).to(settings.device)

    def keep(module: nn.Module) -> None:
        write_checkpoint(settings.checkpoint, model, checkpoint, block_size)

    reported = read_text(recipe.text, checkpoint.vocabulary.tokenizer, LENGTH)
    task = Distillation(
        teacher,
        torch.from_numpy(found.held_out.astype("int64")),
        [torch.tensor(segment) for segment in reported.segments],
        keep,
        settings.folder,
    )
    return Trainer(model, task, [_optimizer(model, settings.rate or RATES[settings.device])], settings.plan, state)


def _optimizer(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    named = dict(model.named_parameters())
    scales = [value for name, value in named.items() if name.endswith(".scale")]
    others = [value for name, value in named.items() if not name.endswith(".scale")]
    groups = [{"params": others, "lr": rate}, {"params": scales, "lr": SCALE_RATE}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
