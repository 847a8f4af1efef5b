"""Microphones and speakers by name, and what is missing where there are none."""

from __future__ import annotations

import enum
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edged.errors import EdgedError, InvalidInput, MissingExtra, nearest

if TYPE_CHECKING:
    from types import ModuleType

INSTALL_LIBRARY = "sound needs the library PortAudio: `apt-get install libportaudio2`"
INSTALL_EXTRA = "sound needs an extra: `make setup EXTRAS=voice` or pip install 'edged[voice]'"
_LOCK = threading.Lock()
"""PortAudio itself has none."""


class Direction(enum.StrEnum):
    """Which way sound goes, seen from the daemon."""

    INPUT = "input"
    OUTPUT = "output"

    @property
    def noun(self) -> str:
        """As people call such a device."""
        return "microphone" if self is Direction.INPUT else "speaker"


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundDevice:
    """One microphone or speaker that PortAudio lists."""

    index: int
    """PortAudio's number for it; changes when something is plugged in or out."""
    name: str
    channels: int
    """The most it has in this direction."""
    sample_rate: int
    """Its own, in samples a second."""
    is_default: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundReport:
    """What `edged doctor` says about sound."""

    obstacle: str
    """One line that says what to install or to plug in; empty where there is a microphone and a speaker."""
    version: str
    """PortAudio's own, empty without it."""
    default_input: SoundDevice | None
    default_output: SoundDevice | None


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


def list_devices(direction: Direction) -> list[SoundDevice]:
    """Every device of one direction that is plugged in now. Raises MissingExtra.

    PortAudio is initialized anew for that, so no stream may be open in this process: they have processes of their own.
    """
    sounddevice = load()
    with _LOCK:
        with suppress(sounddevice.PortAudioError):  # without sound at all: an empty list
            if sounddevice._initialized:
                sounddevice._terminate()
            sounddevice._initialize()
        if not sounddevice._initialized:
            return []
        default = sounddevice.default.device[0 if direction is Direction.INPUT else 1]
        return [
            SoundDevice(
                index=int(device["index"]),
                name=str(device["name"]),
                channels=int(device[f"max_{direction}_channels"]),
                sample_rate=round(device["default_samplerate"]),
                is_default=device["index"] == default,
            )
            for device in sounddevice.query_devices()
            if device[f"max_{direction}_channels"] > 0
        ]


def find_device(wanted: str, direction: Direction) -> SoundDevice:
    """By a part of its name in any case, or by its number; an empty string is the default.

    Of several whose names have the part, the one that is called exactly so, or the first. Digits are a number, never
    a part of a name. Raises InvalidInput, which names the nearest device; MissingExtra.
    """
    devices = list_devices(direction)
    if not devices:
        raise InvalidInput(f"no {direction.noun} is plugged in", field="device")
    if not wanted:
        return next((device for device in devices if device.is_default), devices[0])
    found = _by_number(int(wanted), devices) if wanted.isdecimal() else _by_name(wanted.casefold(), devices)
    if found is None:
        hint = _nearest_name(wanted, devices) or f"; there is {', '.join(device.name for device in devices)}"
        raise InvalidInput(f'no {direction.noun} is called "{wanted}"{hint}', field="device")
    return found


def report_sound() -> SoundReport:
    """Opens no stream and raises nothing."""
    try:
        version = str(load().get_portaudio_version()[1])
    except EdgedError as exc:
        return SoundReport(obstacle=exc.message, version="", default_input=None, default_output=None)
    found = [_default(direction) for direction in Direction]
    missing = [direction.noun for direction, device in zip(Direction, found, strict=True) if device is None]
    return SoundReport(
        obstacle=f"PortAudio finds no {' and no '.join(missing)}" if missing else "",
        version=version,
        default_input=found[0],
        default_output=found[1],
    )


def _default(direction: Direction) -> SoundDevice | None:
    try:
        return find_device("", direction)
    except EdgedError:
        return None


def _by_number(number: int, devices: list[SoundDevice]) -> SoundDevice | None:
    return next((device for device in devices if device.index == number), None)


def _by_name(part: str, devices: list[SoundDevice]) -> SoundDevice | None:
    """part: case-folded."""
    matches = [device for device in devices if part in device.name.casefold()]
    return min(matches, key=lambda device: device.name.casefold() != part, default=None)


def _nearest_name(wanted: str, devices: list[SoundDevice]) -> str:
    """In any case; the hint spells the device's name as it is."""
    names = {device.name.casefold(): device.name for device in devices}
    hint = nearest(wanted.casefold(), names)
    for folded, name in names.items():
        hint = hint.replace(f'"{folded}"', f'"{name}"')
    return hint
