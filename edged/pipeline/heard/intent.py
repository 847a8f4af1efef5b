"""What can be asked for by voice and done without a language model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TellTime:
    """What time is it?"""


@dataclass(frozen=True, slots=True)
class TellDate:
    """What day is it?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SetTimer:
    """Set a timer. Whether that long is possible, `Timers` says."""

    seconds: float
    name: str = ""
    """What it is for, in the words of the user; empty where nothing was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelTimer:
    """Cancel the timer of this name or length; without either, the only one."""

    name: str = ""
    seconds: float | None = None
    """The length it was set to, as in "cancel the five minute timer"."""
    all: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """How long the timer of this name or length still runs; without either, each of them."""

    name: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeVolume:
    """Change the volume, in percent of the loudest; one of both is given."""

    by: int | None = None
    """From -100 to 100."""
    to: int | None = None
    """From 0 to 100."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop talking, ringing, or what is being answered."""


@dataclass(frozen=True, slots=True)
class Mute:
    """Close the microphone."""


Intent = TellTime | TellDate | SetTimer | CancelTimer | TimeLeft | ChangeVolume | Stop | Mute

STEP = 10
SMALL_STEP = 5
LARGE_STEP = 25
"""What louder, a little louder and much louder add, in percent."""


def volume_to(percent: float) -> ChangeVolume:
    """To what was asked for, or the nearest that there is."""
    return ChangeVolume(to=round(min(max(percent, 0), 100)))
