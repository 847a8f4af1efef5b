from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edged.store import ConversationStore, KeySource


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def source(tmp_path: Path) -> KeySource:
    return KeySource(kind="file", directory=tmp_path / "config")


@pytest.fixture
def store(state_dir: Path, source: KeySource) -> Iterator[ConversationStore]:
    opened = ConversationStore.open(state_dir, source)
    yield opened
    opened.close()


@pytest.fixture
def plain_store(tmp_path: Path) -> Iterator[ConversationStore]:
    """The same store over a file without encryption, so that its bytes can be searched."""
    opened = ConversationStore(tmp_path / "plain" / "edged.db", None)
    yield opened
    opened.close()
