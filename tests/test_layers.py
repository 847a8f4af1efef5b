"""Who may import whom, and what an import may cost."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.docs import ROOT

HEAVY = ("numpy", "onnxruntime", "sqlite3", "sqlcipher3", "tokenizers", "jinja2")
"""What a bare client or a help text has no use for."""


def test_import_contracts_hold() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("edged.client", HEAVY),
        ("edged.cli", (*HEAVY, "grpc", "google.protobuf")),
        ("edged.config", (*HEAVY, "grpc", "click", "asyncio")),
        ("edged.events, edged.errors, edged.records", (*HEAVY, "grpc", "asyncio")),
        ("edged.pipeline.turn", (*HEAVY, "grpc", "google.protobuf")),
    ],
)
def test_imports_stay_light(module: str, forbidden: tuple[str, ...]) -> None:
    program = f"import {module}, sys; print(*[name for name in {forbidden!r} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []
