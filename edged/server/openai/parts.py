"""What the API is made of."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edged.audio.mel import Samples
from edged.audio.pcm import Pcm
from edged.events import Part, Sampling
from edged.pipeline.kept import Keeper
from edged.pipeline.ports import LanguageModel
from edged.records import DaemonState, ModelInfo, Transcription, TranscriptionOptions
from edged.server.call_border import CallBorder
from edged.server.metrics import Meter


class Models(Protocol):
    """Which engines there are."""

    def models(self) -> Sequence[ModelInfo]:
        """The default one first."""
        ...


class Recognizer(Protocol):
    """Writes recordings down."""

    async def write_down(self, samples: Samples, options: TranscriptionOptions) -> Transcription:
        """What is said in 16 kHz samples. Cancelling it stops the computation soon.

        Raises InvalidInput for options that it does not have, QueueFull, MissingExtra, ArtefactError.
        """
        ...


class Voice(Protocol):
    """Reads aloud once its models are loaded."""

    @property
    def sample_rate(self) -> int:
        """Of what `say` yields. Raises Unavailable before they are."""
        ...

    def load(self) -> None:
        """Blocks. Raises MissingExtra, ArtefactError."""
        ...

    def say(self, text: str, *, speed: float = 1.0) -> AsyncGenerator[Pcm, None]:
        """The sound piece by piece; speed 2 is twice as fast. Closing the iterator (aclose) stops it soon."""
        ...


class Embedder(Protocol):
    """Puts texts where those that mean the same are near each other."""

    @property
    def name(self) -> str:
        """Of the model."""
        ...

    @property
    def dimensions(self) -> int:
        """Numbers that a text becomes."""
        ...

    @property
    def is_installed(self) -> bool:
        """Whether it is on this machine."""
        ...

    async def embed(self, texts: Sequence[str]) -> Embedded:
        """Raises InvalidInput, ContextOverflow, QueueFull, MissingExtra, ArtefactError."""
        ...


class Embedded(Protocol):
    """Places of some texts."""

    @property
    def vectors(self) -> Sequence[Sequence[float]]:
        """Of length 1 each."""
        ...

    @property
    def tokens(self) -> int:
        """Of all texts together."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Handed in by the daemon."""

    model: LanguageModel
    engines: Models
    border: CallBorder
    state: Callable[[], DaemonState]
    sampling: Sampling
    """What requests leave unset."""
    alias: str
    """A name that stands for the engine below."""
    alias_engine: str
    """Empty for the default one."""
    keeper: Keeper
    """Of conversations that a request asks to store."""
    perceive: Callable[[tuple[Part, ...], str], Awaitable[tuple[Part, ...]]]
    """Puts in words what the named engine cannot hear or see."""
    recognizer: Recognizer
    voice: Voice
    embedder: Embedder
    meter: Meter
    max_recording_seconds: int
    docs: Path | None
    """Folder of Swagger UI; None where it is not installed."""

    def is_embedder(self, name: str) -> bool:
        """By its customary names, too: with capitals, and with the name of those who published it."""
        return name.casefold().removeprefix("sentence-transformers/") == self.embedder.name

    def engine(self, name: str) -> str:
        """The engine's own name."""
        return self.alias_engine if name == self.alias else name
