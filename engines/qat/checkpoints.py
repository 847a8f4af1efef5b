"""A training state on disk, in pieces small enough to travel: safetensors shards and what is not a tensor as JSON.

A state is written beside the last one and renamed: whoever is killed while writing leaves the last one whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from edged.errors import CheckpointError

SHARD_BYTES = 16_000_000
MODULE = "module|"
"""How the names of a module's tensors begin in a state."""
_STATE = "state.json"


def save_state(folder: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Replace what is in the folder. Tensors are stored in their own type; none may be larger than a shard."""
    beside = folder.with_name(folder.name + ".new")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    for index, shard in enumerate(_shards(tensors)):
        save_file({name: value.contiguous() for name, value in shard.items()}, beside / f"{index:03}.safetensors")
    (beside / _STATE).write_text(json.dumps(state) + "\n", encoding="utf-8")
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    beside.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def load_state(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What was saved last, None where nothing was. Raises CheckpointError for what cannot be read."""
    old = folder.with_name(folder.name + ".old")
    place = folder if folder.exists() else old  # killed between the two renames
    if not (place / _STATE).is_file():
        return None
    try:
        state = json.loads((place / _STATE).read_text(encoding="utf-8"))
        tensors: dict[str, Tensor] = {}
        for shard in sorted(place.glob("*.safetensors")):
            tensors |= load_file(shard)
    except (OSError, ValueError, SafetensorError) as exc:
        raise CheckpointError(f"{place}: a damaged training state; delete it to begin again") from exc
    return tensors, state


def module_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The module's own among the tensors of a state, by their names in it."""
    return {name.removeprefix(MODULE): value for name, value in tensors.items() if name.startswith(MODULE)}


def _shards(tensors: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in tensors.items():
        if shards[-1] and size + value.nbytes > SHARD_BYTES - 200_000:  # the header takes some
            shards.append({})
            size = 0
        shards[-1][name] = value.detach().cpu()
        size += value.nbytes
    return shards


def optimizer_tensors(optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str], prefix: str) -> dict[str, Tensor]:
    """The optimizer's own tensors by parameter and key."""
    return {
        f"{prefix}{names[parameter]}|{key}": value
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, names: Mapping[Tensor, str], prefix: str, tensors: Mapping[str, Tensor]
) -> None:
    """Put back what `optimizer_tensors` gave."""
    parameters = {name: parameter for parameter, name in names.items()}
    for key, value in tensors.items():
        if key.startswith(prefix):
            name, _, what = key.removeprefix(prefix).partition("|")
            parameter = parameters[name]
            optimizer.state[parameter][what] = value.to(parameter.device, copy=True)
