"""espeak-ng as a voice: small, quick and in many languages, for where no better one is installed.

A process for each piece of text, which comes in by its standard input: never as an argument, never through a shell.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator

from edged.audio.pcm import Pcm, from_bytes
from edged.errors import ArtefactError, InvalidInput, MissingExtra
from edged.speech.pieces import pieces
from edged.speech.quiet import trimmed

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-zA-Z0-9]{1,8}){0,3}")
_TIMEOUT_SECONDS = 10.0
_ENVIRONMENT = {"LC_ALL": "C.UTF-8", "PULSE_SERVER": "unix:/nonexistent"}
"""Otherwise it looks for PulseAudio first, and leaves folders of it behind, even where it plays nothing."""
_RATE_AT = 24
_WORDS_A_MINUTE = 175
"""Its own pace."""


class EspeakVoice:
    """A voice of one language."""

    def __init__(self, language: str = "en-us") -> None:
        """language: its code, such as "en-us" or "cmn".

        Raises MissingExtra, InvalidInput for a language it has not, ArtefactError for a program that is no espeak-ng.
        """
        program = shutil.which("espeak-ng")
        if program is None:
            raise MissingExtra("a voice needs espeak-ng: apt-get install espeak-ng")
        if not _LANGUAGE.fullmatch(language):
            raise InvalidInput(f"{language[:20]!r} is no code of a language", field="language")
        self._command = (program, "-v", language, "-b", "1", "--stdin", "--stdout")
        wav = self._wav("a")
        if not wav:
            raise InvalidInput(f"espeak-ng has no voice for {language!r}: `espeak-ng --voices` lists them")
        _samples(wav)  # so that what is no sound is refused now
        self.sample_rate = int.from_bytes(wav[_RATE_AT : _RATE_AT + 4], "little")
        """Of what `synthesize` yields."""

    def synthesize(self, text: str, *, speed: float = 1.0) -> Iterator[Pcm]:
        """The sound piece by piece; nothing for what cannot be read aloud.

        speed: 2 is twice as fast, at the same pitch. Closing the iterator stops before the next piece.
        Raises ArtefactError where espeak-ng fails.
        """
        for piece in pieces(text):
            sound = trimmed(_samples(self._wav(piece, speed)), self.sample_rate)
            if len(sound):
                yield sound

    def _wav(self, text: str, speed: float = 1.0) -> bytes:
        """Empty where espeak-ng refuses."""
        try:
            done = subprocess.run(
                [*self._command, "-s", str(round(_WORDS_A_MINUTE * speed))],
                input=text.encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_TIMEOUT_SECONDS,
                env=_ENVIRONMENT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise ArtefactError(f"{self._command[0]}: does not answer") from exc
        return done.stdout if done.returncode == 0 else b""


def _samples(wav: bytes) -> Pcm:
    """What follows the header, whose lengths a stream cannot know."""
    place = wav.find(b"data")
    if not wav.startswith(b"RIFF") or place < 0:
        raise ArtefactError("espeak-ng: answers with something else than sound")
    sound = wav[place + 8 :]
    return from_bytes(sound[: len(sound) // 2 * 2])
