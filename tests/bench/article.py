"""The table of the article that edged began with, beside what the same shapes need in INT4: for engines/README.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engines.architecture import Architecture
from engines.memory import DEVICES, footprint, text_shape
from tests.bench import random_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the article's table, and the shape that this project builds for it."""

    title: str
    said: str
    """ms a token and memory, by the article."""
    name: str = ""
    """As tests/bench/gpu.py and measured.toml know it."""
    shape: Callable[[], Architecture] | None = None
    """None where the article does not say which model it was."""


ROWS = (
    Row(
        title="AutoGLM-Phone-9B, 4 of 56 experts",
        said="87 ms, 2100 MB",
        name="autoglm-phone-9b-moe",
        shape=random_model.phone_9b,
    ),
    Row(title="Llama-3-8B, 4 bits", said="350 ms, 1320 MB", name="llama-3-8b", shape=random_model.llama_3_8b),
    Row(title="Gemma-2B", said="210 ms, 960 MB", name="gemma-2b", shape=random_model.gemma_2b),
    Row(title="a model of 1.1 B for MLX", said="120 ms, 480 MB"),
)
FLOORS = ("jetson-agx-orin-64gb", "rtx-4090", "h100")


def table(measured: Mapping[str, str]) -> str:
    """Markdown; measured: what has been, by the row's name, with its conditions."""
    titles = ", ".join(DEVICES[name].title for name in FLOORS)
    head = "| model | the article's figures | parameters, active | weights; with 4,096 tokens "
    head += f"| read a token after 128 / 4,000 | least ms after 4,000: {titles} | measured |"
    rows = [head, "|---|---|---|---|---|---|---|"]
    for row in ROWS:
        cells = [row.title, row.said, *(_needs(row.shape()) if row.shape else ["-"] * 4)]
        usual = "not measured yet" if row.shape else "-"
        rows.append(f"| {' | '.join([*cells, measured.get(row.name, usual)])} |")
    return "\n".join(rows)


def _needs(arch: Architecture) -> list[str]:
    storage = random_model.random_format(64 if arch.experts else 128)
    shape = text_shape(arch, positions=8192, qkv_bias=False)
    needs = footprint(shape, storage, activations="float16")
    floors = " / ".join(f"{needs.token_ms(DEVICES[name], 4000):.2f}" for name in FLOORS)
    return [
        f"{arch.parameters / 1e9:.2f} B, {arch.active_parameters / 1e9:.2f} B",
        f"{needs.weights / 1e9:.2f}; {(needs.weights + needs.kv(4096)) / 1e9:.2f} GB",
        f"{needs.read_per_token(128) / 1e9:.2f} / {needs.read_per_token(4000) / 1e9:.2f} GB",
        floors,
    ]
