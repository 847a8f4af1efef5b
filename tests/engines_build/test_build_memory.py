"""What a build of a larger checkpoint takes of the machine's memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_checkpoints import save_folder, tiny_model

from engines import gate

MIB = 1024 * 1024
MEASURE = r"""
import json, pathlib, re, sys
from engines import gate
from engines.__main__ import main
gate.TEXTS = pathlib.Path(sys.argv[4])
def peak():  # not getrusage: that counts what the parent had before exec
    return int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read()).group(1)) * 1024
before = peak()
code = main(["build", sys.argv[1], "--out", sys.argv[2], "--recipe", sys.argv[3]])
print(json.dumps({"code": code, "before": before, "peak": peak()}))
"""


@pytest.mark.slow
def test_memory_follows_the_output_and_the_largest_tensor(tmp_path: Path) -> None:
    """200 MB of float16 weights, 400 MB as float32, which must never be in memory."""
    model = tiny_model(
        "llama", hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, head_dim=64
    )
    source = save_folder(model, tmp_path / "model", torch.float16)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    largest = max(parameter.numel() for parameter in model.parameters()) * 4
    del model
    (tmp_path / "loose.toml").write_text("[gate]\nmax_perplexity_loss = 100.0\n", encoding="utf-8")
    for text in gate.TEXTS.glob("*.txt"):  # memory goes by the segment: their beginnings take as much and less time
        (tmp_path / text.name).write_text(text.read_text(encoding="utf-8")[:1500], encoding="utf-8")
    arguments = (source, tmp_path / "engine", tmp_path / "loose.toml", tmp_path)
    command = [sys.executable, "-c", MEASURE, *map(str, arguments)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    assert found["code"] == 0
    output = sum(path.stat().st_size for path in (tmp_path / "engine").iterdir())
    grown = found["peak"] - found["before"]
    assert parameters * 2 > 190 * MIB and output < parameters
    # The engine is loaded to be measured: its file is mapped, and the kernels keep a copy packed to their liking.
    assert grown < 2 * output + 8 * largest, f"{grown / MIB:.0f} MiB for an output of {output / MIB:.0f} MiB"
    assert grown < parameters * 4 * 0.75
