"""Better models than the packaged one: catalog.toml, with what each needs and how fast it can be at best."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .memory import DEVICES, GB, Footprint, TextShape, VisionShape, footprint
from .recipe import load_recipe

FILE = Path(__file__).parent / "catalog.toml"
CONTEXT = 4096
"""Tokens that the table's memory and speed are for."""
SPEEDS: Mapping[str, str] = MappingProxyType({"cpu": "cpu", "jetson-agx-orin-64gb": "orin", "rtx-4090": "4090"})
"""Devices in the table, and how it calls them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogEntry:
    """One model of the catalog."""

    name: str
    """As `pull`, `build` and `make run MODEL=` know it, and what its engine is called."""
    repository: str
    revision: str = "main"
    file: str | None = None
    """The GGUF file; None for the folder."""
    license: str
    is_open: bool = True
    """The licence is one that the Open Source Initiative approves."""
    gated: bool = False
    """The licence must be accepted on the hub's pages first."""
    parameters: int
    download_gb: float
    languages: str
    remarks: str
    recipe: str = "cpu"
    shape: TextShape
    vision: VisionShape | None = None

    def footprint(self, recipe: str) -> Footprint:
        """Bytes as a recipe stores it."""
        found = load_recipe(recipe)
        activations, bits = found.target.activations, found.vision.bits
        return footprint(self.shape, found.format, activations=activations, vision=self.vision, vision_bits=bits)

    def predicted_ms(self, device: str) -> float | None:
        """Milliseconds that bandwidth alone asks of a token after CONTEXT others, built by the device's own recipe.

        None where it does not fit.
        """
        needs = self.footprint(device)
        fits = needs.weights + needs.kv(CONTEXT) <= DEVICES[device].memory
        return needs.token_ms(DEVICES[device], CONTEXT) if fits else None


def catalog_table() -> str:
    """For people: one line a model."""
    head = ["name", "size", "download", "memory", *SPEEDS.values(), "licence", "languages; remarks"]
    lines = [head, *(_row(entry) for entry in CATALOG.values())]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    devices = ", ".join(f"{title} is {DEVICES[name].title}" for name, title in SPEEDS.items())
    notes = [
        f"memory: weights in 4 bits, keys and values of {CONTEXT} tokens, on a CPU; a GPU halves the latter.",
        f"{', '.join(SPEEDS.values())}: ms a token after {CONTEXT} others that memory bandwidth alone asks for:",
        f"  predicted, not measured, and no engine is faster. {devices}.",
        "*: not an open licence; accept it on the model's page and set HF_TOKEN.",
        "python -m engines pull NAME brings one here; make run MODEL=NAME does so, builds it and opens a chat.",
    ]
    return "\n".join([*rows, "", *notes])


def _row(entry: CatalogEntry) -> list[str]:
    needs = entry.footprint("cpu")
    speeds = (entry.predicted_ms(device) for device in SPEEDS)
    return [
        entry.name,
        f"{entry.parameters / 1e9:.1f}B",
        f"{entry.download_gb:.1f} GB",
        f"{(needs.weights + needs.kv(CONTEXT)) / GB:.1f} GB",
        *("too large" if ms is None else f"{ms:.1f}" for ms in speeds),
        f"{entry.license}{'' if entry.is_open else ' *'}",
        f"{entry.languages}; {entry.remarks}",
    ]


def _entry(table: dict[str, Any]) -> CatalogEntry:
    shapes: dict[str, Any] = {"shape": TextShape(**table["shape"])}
    if "vision" in table:
        shapes["vision"] = VisionShape(**table["vision"])
    return CatalogEntry(**(table | shapes))


def _read() -> dict[str, CatalogEntry]:
    tables = tomllib.loads(FILE.read_text(encoding="utf-8"))["model"]
    return {table["name"]: _entry(table) for table in tables}


CATALOG: Mapping[str, CatalogEntry] = MappingProxyType(_read())
"""By name, smallest first."""
