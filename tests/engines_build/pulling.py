"""What tests of pulling do again and again."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engines.__main__ import main

EXTRA = {
    "README.md": b"---\nlicense: apache-2.0\n---\n# Tiny\n",
    "LICENSE": b"Apache License",
    "pytorch_model.bin": b"a pickle",
    "onnx/model.onnx": b"not wanted",
    "original/consolidated.00.pth": b"not wanted",
    "consolidated.safetensors": b"the same weights again",
}
PULLED = {
    *("README.md", "LICENSE", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    "model.safetensors",
}


def without_calibration(recipes: Path, folder: Path) -> Path:
    """The recipes, copied with plain rounding: a build of a tiny model takes seconds then."""
    folder.mkdir(exist_ok=True)
    for path in recipes.glob("*.toml"):
        text = re.sub(r'^method = ".*"$', 'method = "round"', path.read_text(encoding="utf-8"), flags=re.MULTILINE)
        (folder / path.name).write_text(text, encoding="utf-8")
    return folder


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "engines", *map(str, arguments)]


def run(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, env=os.environ | environment, timeout=60
    )
    assert "Traceback" not in done.stderr
    return done


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """The one line that a pull in this process ends with."""
    capsys.readouterr()
    assert main(["pull", *map(str, arguments)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("engines: ")
    return error


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def hidden(out: Path) -> Path:
    return out.with_name(f".{out.name}.pulling")
