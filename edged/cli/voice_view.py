"""A conversation by voice as lines on the terminal."""

from __future__ import annotations

from dataclasses import dataclass

import click

from edged.cli.answer import Answer
from edged.cli.output import printable, say
from edged.events import Finished, TextDelta
from edged.voice_events import (
    EmotionHeard,
    FinalTranscript,
    Interrupted,
    StateChanged,
    TurnFailed,
    TurnTimings,
    VoiceEvent,
    VoiceState,
    VolumeChanged,
    WakeDetected,
)

_TOLD = {
    VoiceState.WAITING: "waiting",
    VoiceState.LISTENING: "listening ...",
}


@dataclass(slots=True, kw_only=True)
class VoiceView:
    """Shows events as they come: what was said and answered on stdout, the rest on stderr."""

    _answer: Answer | None = None

    def show(self, event: VoiceEvent) -> None:
        """The next event."""
        match event:
            case StateChanged(state=state) if state in _TOLD:
                self._end()
                say(_TOLD[state])
            case WakeDetected(phrase=phrase):
                say(f"heard {phrase.replace('_', ' ')}")
            case FinalTranscript(text=text, speaker=speaker):
                self._end()
                click.echo(f"{printable(speaker) or 'you'}: {printable(text) or '(nothing was understood)'}")
            case EmotionHeard(emotion=emotion):
                say(f"said {printable(emotion)}")
            case Interrupted():
                self._end()
                say("interrupted")
            case VolumeChanged(percent=percent):
                say(f"volume {percent} %")
            case TurnTimings():
                say(told(event))
            case TurnFailed(message=message):
                self._end()
                say(printable(message))
            case TextDelta(text=text):
                self._write(text)
            case Finished():
                self._end()

    def _write(self, text: str) -> None:
        if self._answer is None:
            click.echo("edged: ", nl=False)
            self._answer = Answer()
        self._answer.push(TextDelta(text=text))

    def _end(self) -> None:
        if self._answer is not None:
            click.echo()
            self._answer = None


def told(timings: TurnTimings) -> str:
    """How long it took from the last sample of speech to the first of the answer, and what took so long."""
    steps = (
        ("silence", timings.endpoint_ms),
        ("transcript", timings.transcript_ms - timings.endpoint_ms),
        ("model", timings.first_token_ms - timings.transcript_ms),
        ("voice", timings.first_audio_ms - timings.first_token_ms),
    )
    each = ", ".join(f"{name} {max(0.0, milliseconds):.0f}" for name, milliseconds in steps)
    return f"answered after {timings.first_audio_ms:.0f} ms ({each})"
