"""The rows of `edged doctor` about ears and mouth: speech models, and the sound devices of this machine."""

from __future__ import annotations

from collections.abc import Iterator

from edged.cli.check import Check, Verdict, judged
from edged.config import Config
from edged.errors import EdgedError


def voice_checks(config: Config) -> Iterator[Check]:
    """Text is served without either."""
    yield _speech(config)
    yield _sound()


def _speech(config: Config) -> Check:
    from edged.daemon.speech import Speech

    try:
        return judged("speech", Speech(config).described())
    except EdgedError as exc:
        return Check(name="speech", verdict=Verdict.WARN, detail=exc.message)


def _sound() -> Check:
    from edged.audio.devices import report_sound

    report = report_sound()
    ways = (("microphone", report.default_input), ("speaker", report.default_output))
    found = ", ".join(f"{name} {device.name}" for name, device in ways if device)
    if report.obstacle:
        detail = f"{found}; {report.obstacle}" if found else report.obstacle
        return Check(name="sound", verdict=Verdict.WARN, detail=detail)
    return judged("sound", f"{found} ({report.version.partition(',')[0]})")
