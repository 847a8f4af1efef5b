"""Trains a packaged model anew at symmetric four bits: `python -m engines train smollm2-135m-int4`.

On a CPU it is a loop over texts that are drawn beforehand; on a GPU a `Course` that draws as it learns, and ends by the
clock.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from edged.errors import CheckpointError
from engines.calibrate import Method
from engines.checkpoint import Checkpoint, open_checkpoint
from engines.gate import read_text
from engines.recipe import Recipe

from .checkpoints import MODULE, load_state, module_weights, save_state
from .course import Course, Progress, Sizes
from .curve import draw_curve
from .decoder import Decoder
from .distillation import Distillation
from .flat import FlatStudent
from .folder import write_checkpoint
from .forward import weights_of
from .precision import product_type
from .sampling import LENGTH, user_turn
from .start import blank, calibration_of, student
from .texts import Texts, texts, written
from .training import Plan, Trainer

SEED = 11
RATE = 6e-5
"""Of AdamW on a CPU, for weights and norms: with its small batches 4e-4 leads away from the teacher within five steps
(2026-11-26)."""
SCALE_RATE = 1e-5
"""For scales, of which most are between 0.02 and 0.14."""
TOKENS = {"cpu": 2**18, "cuda": 50_000_000}
"""To learn from where nothing is said."""
MINUTES = 60.0
"""Of a course where nothing is said: fewer, where that many tokens take less."""
TEXTS_PER_BATCH = 2
ROOMY = 48e9
"""Bytes of a GPU's memory that the usual sizes fit in; with fewer, SMALL is taken."""
SMALL = Sizes(batch=8, drawn=256, written=64, room=4_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of one call of the command."""

    recipe: Recipe
    """Of the engine to be; its format says how large blocks are, its gate on which text is reported."""
    folder: Path
    """Texts, log, curve, and states: `state` is a CPU's, `course` a GPU's, and each begins with the other's weights."""
    checkpoint: Path
    """Where the best student lies."""
    source: Path
    """The float weights: of a file that has no others, those that its blocks stand for."""
    tokens: int
    """To learn from: on a CPU each once, on a GPU some again."""
    device: str = "cpu"
    minutes: float | None = None
    """Stop in between after so long; the same command goes on from there. On a GPU, be at the end after so long."""
    method: Method = "awq+gptq"
    """What training begins with."""
    rate: float | None = None
    """None takes the usual one. On a CPU."""

    @property
    def plan(self) -> Plan:
        """On a CPU: each token once, the rate falling nearly all the way."""
        steps = max(self.tokens // (LENGTH * TEXTS_PER_BATCH), 1)
        return Plan(steps=steps, warmup=max(steps // 30, 3), decay=0.9, evaluate_every=max(steps // 6, 1))


def train(settings: Settings, say: Callable[[str], object]) -> None:
    """To the end, or as far as there is time for. Raises CheckpointError, InvalidInput."""
    torch.manual_seed(SEED)
    checkpoint = open_checkpoint(settings.source)
    if settings.device == "cuda":
        torch.backends.cuda.enable_cudnn_sdp(False)  # its kernels are planned anew for each shape
        free, _ = torch.cuda.mem_get_info()
        take_course(settings, checkpoint, torch.bfloat16, Sizes() if free > ROOMY else SMALL, say)
    else:
        _train_on_cpu(settings, checkpoint, say)
    curve = draw_curve(settings.folder / "log.jsonl")
    say(f"{curve}; the best so far: {settings.checkpoint}; to build it: python -m engines build {settings.recipe.name}")


def take_course(
    settings: Settings, checkpoint: Checkpoint, kind: torch.dtype, sizes: Sizes, say: Callable[[str], object]
) -> None:
    """As long as settings say. What was reached is the state that the next call begins with.

    kind: of matrices in products. Raises CheckpointError, InvalidInput.
    """
    began = time.monotonic()
    module, progress = _student(settings, checkpoint, say)
    torch.manual_seed(SEED + progress.step)  # so that no call draws what another has drawn
    module = module.to(settings.device)
    teacher = Decoder(checkpoint, LENGTH).to(settings.device).eval().requires_grad_(False)
    people = written(checkpoint, settings.folder / "texts", say)
    say(f"{len(people) * LENGTH:,} tokens by people, {time.monotonic() - began:.1f} s")
    course = Course(
        weights_of(teacher, kind),
        FlatStudent(module, kind),
        lambda held_out: _distillation(settings, checkpoint, teacher, module, held_out),
        people,
        user_turn(checkpoint),
        settings.folder,
        say,
        sizes,
        progress,
        lambda reached: _save(settings, module, reached),
    )
    course.run(began + 60 * (MINUTES if settings.minutes is None else settings.minutes), settings.tokens)


def _student(settings: Settings, checkpoint: Checkpoint, say: Callable[[str], object]) -> tuple[Decoder, Progress]:
    """As it was left, or as it begins, and then kept at once."""
    for name in ("state", "course"):  # a CPU's is the later one: a course that is saved removes it
        found = _left(settings, checkpoint, name, say)
        if found is not None:
            return found
    model = _beginner(settings, checkpoint, say)
    _save(settings, model, Progress())
    return model, Progress()


def _left(
    settings: Settings, checkpoint: Checkpoint, name: str, say: Callable[[str], object]
) -> tuple[Decoder, Progress] | None:
    """What a state holds, where there is one. Raises CheckpointError."""
    folder = settings.folder / name
    found = load_state(folder)
    if found is None:
        return None
    say("going on from what was reached")
    tensors, state = found
    model = blank(checkpoint, LENGTH, settings.recipe.format.linear.block_size)
    try:
        model.load_state_dict(module_weights(tensors))
    except RuntimeError as exc:
        raise CheckpointError(f"{folder}: the state of another model; delete it to begin again") from exc
    return model, Progress(step=int(state["step"]), read=int(state.get("read", 0)))


def _save(settings: Settings, module: Decoder, progress: Progress) -> None:
    tensors = {f"{MODULE}{name}": value for name, value in module.state_dict().items()}
    save_state(settings.folder / "course", tensors, asdict(progress))
    shutil.rmtree(settings.folder / "state", ignore_errors=True)


def _train_on_cpu(settings: Settings, checkpoint: Checkpoint, say: Callable[[str], object]) -> None:
    teacher = Decoder(checkpoint, LENGTH).eval().requires_grad_(False)
    writer = Decoder(checkpoint, LENGTH).to(product_type(torch.device("cpu"))).eval()
    found = texts(checkpoint, writer, settings.tokens, settings.folder / "texts", say, batch=32)
    trainer = _trainer(settings, checkpoint, teacher, found, say)
    if trainer.step == 0:
        trainer.evaluate()
    if not trainer.run(found.batches(TEXTS_PER_BATCH, trainer.step), minutes=settings.minutes):
        say("stopped in between: the same command goes on from there")


def _trainer(
    settings: Settings, checkpoint: Checkpoint, teacher: Decoder, found: Texts, say: Callable[[str], object]
) -> Trainer[Tensor]:
    state = settings.folder / "state"
    if state.is_dir():
        say("going on from what was reached")
        model = blank(checkpoint, LENGTH, settings.recipe.format.linear.block_size)
    elif (left := _left(settings, checkpoint, "course", say)) is not None:
        model = left[0]
    else:
        model = _beginner(settings, checkpoint, say)
    task = _distillation(settings, checkpoint, teacher, model, torch.from_numpy(found.held_out.astype("int64")))
    return Trainer(model, task, [_optimizer(model, settings.rate or RATE)], settings.plan, state)


def _beginner(settings: Settings, checkpoint: Checkpoint, say: Callable[[str], object]) -> Decoder:
    say(f"beginning with weights by {settings.method}")
    calibration = calibration_of(settings.method)
    total = calibration.passes(checkpoint.architecture) * checkpoint.architecture.layers
    with tqdm(total=total, disable=None) as bar:
        return student(checkpoint, LENGTH, settings.recipe.format.linear.block_size, calibration, bar.update)


def _distillation(
    settings: Settings, checkpoint: Checkpoint, teacher: Decoder, model: Decoder, held_out: Tensor
) -> Distillation:
    """That writes the best student's checkpoint."""
    recipe = settings.recipe

    def keep(module: nn.Module) -> None:
        write_checkpoint(settings.checkpoint, model, checkpoint, recipe.format.linear.block_size)

    reported = read_text(recipe.text, checkpoint.vocabulary.tokenizer, LENGTH)
    segments = [torch.tensor(segment) for segment in reported.segments]
    return Distillation(teacher, held_out, segments, keep, settings.folder)


def _optimizer(model: nn.Module, rate: float) -> torch.optim.Optimizer:
    named = dict(model.named_parameters())
    scales = [value for name, value in named.items() if name.endswith(".scale")]
    others = [value for name, value in named.items() if not name.endswith(".scale")]
    groups = [{"params": others, "lr": rate}, {"params": scales, "lr": SCALE_RATE}]
    return torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
