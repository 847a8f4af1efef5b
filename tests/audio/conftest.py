"""A virtual sound card for the tests that hear and speak."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.audio.sound_server import SoundServer, in_this_process, missing_packages


@pytest.fixture(scope="module")
def _sound_server() -> Iterator[SoundServer]:
    missing = missing_packages()
    if missing:
        pytest.skip(f"needs a sound server: apt-get install {' '.join(missing)}")
    with SoundServer() as server, in_this_process(server):
        yield server


@pytest.fixture
def sound_server(_sound_server: SoundServer) -> Iterator[SoundServer]:
    """Plugged in at the beginning of every test, whatever the one before it did."""
    _sound_server.replug()
    yield _sound_server
    _sound_server.end_echo()
