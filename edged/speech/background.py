"""Speech models behind asyncio: loaded when first needed, working in threads of their own.

They satisfy `edged.pipeline.ports.SpeechToText`, `TextToSpeech` and `SpeakerEncoder`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from edged.audio.mel import Samples
from edged.audio.pcm import Pcm
from edged.errors import QueueFull, Unavailable
from edged.records import Transcription, TranscriptionOptions
from edged.speech.speakers import Voiceprint

Model = TypeVar("Model")
MAX_WAITING = 8
"""Recordings and utterances that may wait or be written down at the same time; one more is refused."""
PARALLEL = 3
"""Of those, how many the recognizer works on in turn, a window of 30 seconds each: an utterance does not wait for
the end of a long recording."""


class Recognizes(Protocol):
    """A loaded speech recognizer."""

    def transcribe(
        self, samples: Samples, *, options: TranscriptionOptions, cancelled: Callable[[], bool]
    ) -> Transcription:
        """What is said; looks at `cancelled` every window of 30 seconds. Raises InvalidInput."""
        ...


class Speaks(Protocol):
    """A loaded voice."""

    @property
    def sample_rate(self) -> int:
        """Of its sound."""
        ...

    def synthesize(self, text: str, *, speed: float) -> Iterator[Pcm]:
        """The sound of a sentence, in pieces; speed 1 is the voice's own."""
        ...


class Embeds(Protocol):
    """A loaded speaker encoder."""

    def embed(self, samples: Samples, *, least_seconds: float) -> Voiceprint:
        """The voice in samples of one speaker. Raises InvalidInput."""
        ...


class _Lazy(Generic[Model]):
    """Loads once, on the first thread that asks; a failed load is tried again by the next."""

    def __init__(self, load: Callable[[], Model]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._model: Model | None = None

    @property
    def loaded(self) -> Model | None:
        return self._model

    def get(self) -> Model:
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model


class BackgroundRecognizer:
    """Several recordings at a time share one model."""

    def __init__(self, load: Callable[[], Recognizes]) -> None:
        """load: raises MissingExtra or ArtefactError, which `load` and `transcribe` then raise."""
        self._model = _Lazy(load)
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix="edged-recognizer")
        self._waiting = 0
        self._is_closed = threading.Event()

    def load(self) -> None:
        """Now, on this thread, unless it is loaded."""
        self._model.get()

    async def transcribe(self, samples: Samples) -> str:
        """See SpeechToText."""
        return (await self.write_down(samples, TranscriptionOptions())).text

    async def write_down(self, samples: Samples, options: TranscriptionOptions) -> Transcription:
        """What is said in 16 kHz samples, and more about it. Cancelling it stops the computation soon.

        Raises InvalidInput for options that the recognizer does not have, and what `transcribe` raises.
        """
        if self._waiting >= MAX_WAITING:
            raise QueueFull("too many recordings are being written down; try again soon", retry_seconds=2.0)
        cancelled = threading.Event()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, self._transcribe, samples, options, cancelled
            )
        finally:
            cancelled.set()
            self._waiting -= 1

    def close(self) -> None:
        """Stop working, as soon as the current windows are done."""
        self._is_closed.set()
        self._threads.shutdown(cancel_futures=True)

    def _transcribe(self, samples: Samples, options: TranscriptionOptions, cancelled: threading.Event) -> Transcription:
        return self._model.get().transcribe(
            samples, options=options, cancelled=lambda: cancelled.is_set() or self._is_closed.is_set()
        )


class BackgroundVoice:
    """One sentence at a time; whoever else wants to speak waits for its end."""

    def __init__(self, load: Callable[[], Speaks]) -> None:
        """load: raises MissingExtra or ArtefactError, which `load` and `say` then raise."""
        self._model = _Lazy(load)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edged-voice")

    def load(self) -> None:
        """Now, on this thread, unless it is loaded."""
        self._model.get()

    @property
    def sample_rate(self) -> int:
        """See TextToSpeech. Raises Unavailable before the voice is loaded."""
        voice = self._model.loaded
        if voice is None:
            raise Unavailable("the voice is not loaded yet")
        return voice.sample_rate

    async def say(self, text: str, *, speed: float = 1.0) -> AsyncGenerator[Pcm, None]:
        """See TextToSpeech. speed: 2 is twice as fast, at the same pitch."""
        loop = asyncio.get_running_loop()
        sounds: asyncio.Queue[Pcm | None] = asyncio.Queue()
        cancelled = threading.Event()

        def speak() -> None:
            try:
                for pcm in () if cancelled.is_set() else self._model.get().synthesize(text, speed=speed):
                    if cancelled.is_set():
                        return
                    loop.call_soon_threadsafe(sounds.put_nowait, pcm)
            finally:
                loop.call_soon_threadsafe(sounds.put_nowait, None)

        speaking = loop.run_in_executor(self._thread, speak)
        try:
            while (pcm := await sounds.get()) is not None:
                yield pcm
            await speaking
        finally:
            cancelled.set()

    def close(self) -> None:
        """End after the current sentence."""
        self._thread.shutdown(cancel_futures=True)


class BackgroundSpeakerEncoder:
    """One recording at a time."""

    def __init__(self, load: Callable[[], Embeds]) -> None:
        """load: raises MissingExtra or ArtefactError, which `load` and `embed` then raise."""
        self._model = _Lazy(load)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="edged-speakers")

    def load(self) -> None:
        """Now, on this thread, unless it is loaded."""
        self._model.get()

    async def embed(self, samples: Samples, *, least_seconds: float) -> Voiceprint:
        """See SpeakerEncoder."""
        return await asyncio.get_running_loop().run_in_executor(
            self._thread, lambda: self._model.get().embed(samples, least_seconds=least_seconds)
        )

    def close(self) -> None:
        """End after the current recording."""
        self._thread.shutdown(cancel_futures=True)
