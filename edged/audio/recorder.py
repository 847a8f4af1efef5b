"""What the microphone hears as WAV files, for whoever debugs it; never unless the configuration names a folder."""

from __future__ import annotations

import logging
import wave
from datetime import datetime
from pathlib import Path

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_bytes

FILE_SECONDS = 600
"""Longest file; then the next begins."""

_log = logging.getLogger(__name__)


class Recorder:
    """Called with each piece of sound. Files are for this user only and end whole whenever they end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: wave.Wave_write | None = None
        self._has_failed = False

    def __call__(self, pcm: Pcm) -> None:
        """Where there is no room for it, recording ends; listening goes on."""
        if self._has_failed:
            return
        try:
            if self._file is None or self._file.tell() >= FILE_SECONDS * SAMPLE_RATE:
                self._file = self._next()
            self._file.writeframes(to_bytes(pcm))
        except OSError as exc:
            self._has_failed = True
            _log.warning("voice.debug_recording: nothing more is recorded: %s", exc.strerror)

    def close(self) -> None:
        """End the current file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _next(self) -> wave.Wave_write:
        self.close()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / f"{datetime.now():%Y%m%d-%H%M%S-%f}.wav"
        path.touch(mode=0o600, exist_ok=False)
        file = wave.open(str(path), "wb")  # noqa: SIM115  # lives as long as sound comes
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        return file
