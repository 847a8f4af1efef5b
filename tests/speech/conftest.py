from __future__ import annotations

import pytest

from edged.speech.weights import whisper_folder
from edged.speech.whisper import Whisper


@pytest.fixture(scope="session")
def whisper() -> Whisper:
    return Whisper(whisper_folder(), threads=2)
