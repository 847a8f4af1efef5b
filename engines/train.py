"""`python -m engines train`: the models whose weights this project makes itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edged.errors import InvalidInput, MissingExtra, nearest

from .recipe import load_recipe
from .recipe_source import TRAINED

NAMES = ("autoglm-phone-nano", "smollm2-135m-int4")
FOLDER = TRAINED


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOrder:
    """What to train, where, and for how long."""

    name: str
    device: str = "cpu"
    minutes: float | None = None
    """Stop in between after so long; None trains to the end."""
    within: float | None = None
    """Be at the end after so many minutes of steps instead of after the planned ones; of a packaged model on a GPU,
    after so many minutes in all."""
    begin_from: Path | None = None
    """A checkpoint whose weights to begin with, where nothing was trained yet. Of the nano."""
    tokens: int | None = None
    """To learn from, of a packaged model; None takes what suits the device."""


def train(order: TrainOrder, say: Callable[[str], object]) -> None:
    """Raises InvalidInput, MissingExtra, NotFound; what was reached is kept in build/training."""
    if order.name not in NAMES:
        raise InvalidInput(
            f"no model {order.name!r} to train{nearest(order.name, NAMES)}; there are {', '.join(NAMES)}"
        )
    try:
        _require_device(order.device)
        if order.name != "autoglm-phone-nano":
            _train_packaged(order, say)
            return
        from .nano import train as nano
    except ModuleNotFoundError as exc:
        raise MissingExtra(f"{exc.name} is not installed: training needs `make setup EXTRAS=train`") from exc
    folder = FOLDER / order.name
    settings = nano.Settings(
        folder=folder,
        checkpoint=folder / "checkpoint",
        device=order.device,
        until=None if order.minutes is None else time.monotonic() + 60 * order.minutes,
        within=order.within,
        begin_from=order.begin_from,
        is_compiled=order.device == "cpu",
    )
    nano.train(settings, say)


def _require_device(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InvalidInput("PyTorch finds no NVIDIA GPU to train on here: leave out --device, or see `nvidia-smi`")


def _train_packaged(order: TrainOrder, say: Callable[[str], object]) -> None:
    from .qat import train as qat

    if order.begin_from is not None:
        raise InvalidInput(f"--from is for autoglm-phone-nano: {order.name} begins with the weights of a package")
    if order.within is not None and order.device == "cpu":
        raise InvalidInput(
            f"--within is for GPUs where {order.name} is trained: use --tokens, or --minutes to stop early"
        )
    recipe, folder = load_recipe(order.name), FOLDER / order.name
    source = load_recipe(recipe.against).source
    assert source is not None, "recipes of this project"
    tokens = order.tokens or qat.TOKENS[order.device]
    settings = qat.Settings(
        recipe=recipe,
        folder=folder,
        checkpoint=folder / "checkpoint",
        source=source.find(),
        tokens=tokens,
        device=order.device,
        minutes=order.minutes if order.within is None else order.within,
    )
    qat.train(settings, say)
