"""The training loop: killed and resumed, stopped by a signal, its log, and what lies on disk meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edged.errors import CheckpointError
from engines.qat.checkpoints import SHARD_BYTES, load_state, save_state
from engines.qat.fake_quant import quantize_module
from engines.qat.muon import Muon
from engines.qat.training import Plan, Trainer

PLAN = Plan(steps=12, batches=2, warmup=3, decay=0.5, evaluate_every=6)
Pair = tuple[Tensor, Tensor]


class _Fit:
    """To give what a fixed matrix gives. Satisfies `Task`."""

    def loss(self, module: nn.Module, batch: Pair) -> tuple[Tensor, Mapping[str, float]]:
        error = (module(batch[0]) - batch[1]).float().square().mean()
        return error, {"error": error.item()}

    def evaluate(self, module: nn.Module) -> Mapping[str, float]:
        return {"width": float(module[0].in_features)}


class _Stopping(_Fit):
    """Asks for the end, as whoever presses Ctrl-C does, in the middle of the seventh step."""

    calls = 0

    def loss(self, module: nn.Module, batch: Pair) -> tuple[Tensor, Mapping[str, float]]:
        self.calls += 1
        if self.calls == 13:
            os.kill(os.getpid(), signal.SIGTERM)
        return super().loss(module, batch)


def _batches(first: int = 0) -> Iterator[Pair]:
    truth = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    for number in range(first, 10_000):
        x = torch.randn(16, 32, generator=torch.Generator().manual_seed(number))
        yield x, x @ truth.T


def _trainer(folder: Path, task: _Fit | None = None, plan: Plan = PLAN, *, is_portable: bool = False) -> Trainer[Pair]:
    torch.manual_seed(5)
    network = nn.Sequential(nn.Linear(32, 16), nn.Dropout(0.2), nn.Linear(16, 8))
    quantize_module(network, lambda name: name == "0", 32, learned_scales=True)
    matrices = [value for value in network.parameters() if value.ndim == 2 and value.shape[1] > 1]
    others = [value for value in network.parameters() if value.ndim != 2 or value.shape[1] == 1]
    optimizers = [Muon(matrices, lr=1e-2), torch.optim.AdamW(others, lr=1e-3)]
    return Trainer(network, task or _Fit(), optimizers, plan, folder, is_portable=is_portable)


def _weights(trainer: Trainer[Pair]) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in trainer.module.state_dict().items()}


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = _trainer(tmp_path / "whole" / "state")
    assert whole.run(_batches())

    first = _trainer(tmp_path / "parts" / "state", _Stopping())
    assert not first.run(_batches())
    assert first.step == 7
    second = _trainer(tmp_path / "parts" / "state")
    assert second.run(_batches(second.step * PLAN.batches))

    assert all(torch.equal(value, _weights(second)[name]) for name, value in _weights(whole).items())


def test_minutes_end_it_in_between(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path / "state")

    assert not trainer.run(_batches(), minutes=0)
    assert trainer.step == 1
    assert _trainer(tmp_path / "state").step == 1


def test_losses_and_figures_are_logged(tmp_path: Path) -> None:
    _trainer(tmp_path / "toy", plan=Plan(steps=40, evaluate_every=30)).run(_batches())

    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]

    assert [(line["run"], line["step"]) for line in lines] == [("toy", step) for step in (20, 30, 40, 40)]
    assert lines[0].keys() >= {"loss", "error"} and lines[1]["width"] == 32
    assert lines[2]["loss"] < lines[0]["loss"]


def test_the_portable_state_is_small_and_goes_on_with_a_warm_up(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path / "state", is_portable=True)
    trainer.run(_batches(), minutes=0)
    step = trainer.step
    size = sum(path.stat().st_size for path in (tmp_path / "state-portable").iterdir())
    assert size < sum(path.stat().st_size for path in (tmp_path / "state").iterdir()) / 2
    shutil.rmtree(tmp_path / "state")

    again = _trainer(tmp_path / "state", is_portable=True)

    assert again.step == step
    assert again.plan.rate(step / PLAN.steps, 0) == pytest.approx(1 / 3)
    for name, value in _weights(trainer).items():
        assert torch.equal(_weights(again)[name], value.bfloat16().float()), name
    assert again.run(_batches(step * PLAN.batches))


def test_states_lie_in_shards_and_replace_each_other_whole(tmp_path: Path) -> None:
    tensors = {str(number): torch.full((1_000_000,), float(number)) for number in range(9)}
    save_state(tmp_path / "state", {"old": torch.zeros(3)}, {"step": 1})
    save_state(tmp_path / "state", tensors, {"step": 2})

    found = load_state(tmp_path / "state")

    assert found is not None and found[1] == {"step": 2}
    assert found[0].keys() == tensors.keys()
    assert all(path.stat().st_size <= SHARD_BYTES for path in (tmp_path / "state").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state"]


def test_whoever_is_killed_while_writing_leaves_the_last_state(tmp_path: Path) -> None:
    save_state(tmp_path / "state", {"x": torch.ones(2)}, {"step": 1})
    (tmp_path / "state.new").mkdir()
    (tmp_path / "state.new" / "000.safetensors").write_bytes(b"half")
    (tmp_path / "state").rename(tmp_path / "state.old")  # between the two renames

    found = load_state(tmp_path / "state")

    assert found is not None and found[1] == {"step": 1}
    assert load_state(tmp_path / "none") is None


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    save_state(tmp_path / "state", {"x": torch.ones(2)}, {"step": 1})
    (tmp_path / "state" / "000.safetensors").write_bytes(b"{}")

    with pytest.raises(CheckpointError, match="a damaged training state; delete it"):
        load_state(tmp_path / "state")


def test_a_state_of_another_module_is_refused(tmp_path: Path) -> None:
    save_state(tmp_path / "state", {"module|x": torch.ones(2)}, {"step": 1})

    with pytest.raises(CheckpointError, match="the state of another model"):
        _trainer(tmp_path / "state")
