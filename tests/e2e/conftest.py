"""A home with a tiny engine for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Home, short_folder
from tests.tiny_artefact import tiny_artefact


@pytest.fixture(scope="session")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines "tiny", which answers at once, and "slow", which takes some milliseconds a token."""
    folder = tmp_path_factory.mktemp("engines")
    tiny_artefact(folder, "tiny")
    tiny_artefact(folder, "slow", slow_ms=10)
    return folder


@pytest.fixture
def home(engines: Path) -> Iterator[Home]:
    with short_folder() as folder:
        yield Home(folder, engines)


@pytest.fixture(scope="module")
def served(engines: Path) -> Iterator[Home]:
    """A home whose daemon runs, for who only asks it: what it loads is loaded once."""
    with short_folder() as folder:
        home = Home(folder, engines)
        with home.daemon():
            yield home
