"""The library that fails on demand, and a home whose state it watches."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import engines, home
from tests.faults.disk import compiled

__all__ = ["engines", "home"]


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For LD_PRELOAD."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed (package gcc)")
    return compiled(tmp_path_factory.mktemp("disk"))
