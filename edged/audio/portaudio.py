"""PortAudio, which one process initializes once: who wants its list of devices read anew must close every stream.

So this module is the only one that opens and closes streams. It knows who holds one, and when all of them may be
closed for a moment.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edged.errors import MissingExtra

if TYPE_CHECKING:
    from types import ModuleType

INSTALL_LIBRARY = "sound needs the library PortAudio: `apt-get install libportaudio2`"
INSTALL_EXTRA = "sound needs an extra: `make setup EXTRAS=voice` or pip install 'edged[voice]'"
_CARDS = Path("/proc/asound/cards")
"""What is plugged in, says Linux."""

Stream = Any
"""A sounddevice stream; the library is loaded by the first one."""


class Holder(Protocol):
    """Who has a stream open."""

    @property
    def is_busy(self) -> bool:
        """A pause would be heard now."""

    def suspend(self) -> None:
        """Closes its stream."""

    def resume(self) -> None:
        """Opens it again, or is lost."""


def load() -> ModuleType:
    """The module sounddevice, initialized. Raises MissingExtra, which says what to install."""
    try:
        import sounddevice
    except ImportError as exc:
        raise MissingExtra(INSTALL_EXTRA) from exc
    except OSError as exc:  # the library in C is not there
        raise MissingExtra(INSTALL_LIBRARY) from exc
    module: ModuleType = sounddevice
    return module


class PortAudio:
    """The one owner of the library's lifetime. Every method may be called by any thread."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held while a stream is opened or closed, and while devices are looked up for that."""
        self._holders: list[Holder] = []
        self._cards: str | None = None
        """As they were when the list of devices was read; None before the first stream."""

    def hold(self, holder: Holder) -> None:
        """It has a stream from now on."""
        with self.lock:
            if self._cards is None:
                self._cards = _cards()
            if holder not in self._holders:
                self._holders.append(holder)

    def release(self, holder: Holder) -> None:
        """Its stream is closed. Idempotent."""
        with self.lock:
            if holder in self._holders:
                self._holders.remove(holder)

    def refresh(self) -> bool:
        """Reads the list of devices anew, if it is worth it; whether it did.

        Where streams are open, they are closed for about 0.1 seconds: only if something was plugged in or out since
        the last time, and when none of them is busy.
        """
        with self.lock:
            sounddevice, cards, others = load(), _cards(), list(self._holders)
            if others and (cards == self._cards or any(other.is_busy for other in others)):
                return False
            for other in others:
                other.suspend()
            with suppress(sounddevice.PortAudioError):  # without sound at all: an empty list
                if sounddevice._initialized:
                    sounddevice._terminate()
                sounddevice._initialize()
            self._cards = cards
            for other in others:
                other.resume()
            return True


PORT_AUDIO = PortAudio()


def _cards() -> str:
    try:
        return _CARDS.read_text()
    except OSError:
        return ""
