"""What the pipeline needs from the rest, in its own words.

The daemon hands in objects of other packages that fit these shapes; nothing here knows them.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Protocol

from edged.events import Audio, FinishReason, GenerationEvent, GenerationRequest, Message, MessageState, Part, Usage

if TYPE_CHECKING:  # who only writes needs no numpy
    import numpy as np
    from numpy.typing import NDArray

    from edged.audio.mel import Samples
    from edged.audio.pcm import Pcm
    from edged.records import EnrolledSpeaker, PictureDescription, PictureText, Reader

    Voiceprint = NDArray[np.float32]
    """Of a voice, of length 1; two are as alike as their dot product is near 1."""

VAD_SECONDS = 0.032
"""Sound that one probability of speech is about."""


class LanguageModel(Protocol):
    """Answers requests, one stream of events each."""

    async def resolve(self, model: str) -> str:
        """Full name of the engine that will answer; "" asks for the default one.

        Raises NotFound for a name that is not installed.
        """
        ...

    async def hears(self, model: str) -> bool:
        """Whether this engine, named in full, takes recordings as they are. Raises NotFound, ArtefactError."""
        ...

    async def sees(self, model: str) -> bool:
        """Whether this engine, named in full, takes pictures as they are. Raises NotFound, ArtefactError."""
        ...

    async def check(self, request: GenerationRequest) -> None:
        """Refuse now what `generate` would refuse later, as far as that is known without computing.

        Called before anything is stored; `request.messages` holds only the new message, and the system
        prompt that came with it. Raises InvalidInput (sampling out of range, a form that cannot be kept),
        UnsupportedPart, ContextOverflow (the message alone is too long), QueueFull, Unavailable.
        """
        ...

    def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        """Deltas, then `Measured` and `Finished`.

        Closing the iterator (aclose) stops the computation within one token.
        """
        ...


class SpeechToText(Protocol):
    """Writes down what is said."""

    async def transcribe(self, samples: Samples) -> str:
        """What is said in 16 kHz samples; empty where nobody speaks. Cancelling it stops the computation soon.

        Raises QueueFull, MissingExtra, ArtefactError.
        """
        ...


class Sight(Protocol):
    """Puts pictures in words."""

    async def describe(self, data: bytes, *, field: str) -> PictureDescription:
        """What can be said of an encoded picture. Cancelling it stops the work soon.

        Raises InvalidInput naming that field of the request, QueueFull, MissingExtra, ArtefactError.
        """
        ...

    async def read_text(self, data: bytes, *, field: str) -> PictureText:
        """The same of its text alone."""
        ...


class TextToSpeech(Protocol):
    """Reads aloud."""

    @property
    def sample_rate(self) -> int:
        """Of what `say` yields."""
        ...

    def say(self, text: str) -> AsyncGenerator[Pcm, None]:
        """The sound of a sentence, piece by piece. Closing the iterator (aclose) stops it soon."""
        ...


class VoiceActivity(Protocol):
    """Hears whether somebody speaks; keeps what it has heard in mind."""

    def push(self, pcm: Pcm) -> list[float]:
        """Probability of speech in each further piece of `VAD_SECONDS` that these samples complete."""
        ...

    def reset(self) -> None:
        """Forget what was heard."""
        ...


class WakeWords(Protocol):
    """Hears wake phrases; keeps what it has heard in mind."""

    def push(self, pcm: Pcm) -> list[tuple[str, float]]:
        """Phrase and probability that it was just said, for each further step that these samples complete."""
        ...

    def reset(self) -> None:
        """Forget what was heard."""
        ...


class SpeakerEncoder(Protocol):
    """Tells voices apart."""

    async def embed(self, samples: Samples, *, least_seconds: float) -> Voiceprint:
        """The voice in 16 kHz samples of one speaker, without their silence.

        Raises InvalidInput for less speech than `least_seconds`, MissingExtra, ArtefactError.
        """
        ...


class EnrolledPeople(Protocol):
    """Whose voices are known."""

    async def voiceprints(self) -> Mapping[str, Voiceprint]:
        """By name. Raises StoreError."""
        ...


class People(EnrolledPeople, Protocol):
    """Where they are kept. What a call returned from is durable."""

    async def free_name(self, name: str) -> str:
        """The name as it would be stored. Raises InvalidInput, AlreadyExists."""
        ...

    async def add_speaker(self, name: str, voiceprint: Voiceprint) -> EnrolledSpeaker:
        """Remember a voice. Raises InvalidInput, AlreadyExists."""
        ...

    async def speakers(self) -> tuple[EnrolledSpeaker, ...]:
        """Everybody, by name."""
        ...

    async def delete_speaker(self, name: str) -> None:
        """Leave nothing of them. Raises InvalidInput, NotFound."""
        ...


class EmotionReader(Protocol):
    """Hears how something is said."""

    async def read(self, recording: Audio) -> str:
        """A word, such as "excited". Raises what a model raises: NotFound, UnsupportedPart, QueueFull."""
        ...


class Playback(Protocol):
    """A sound that was queued."""

    @property
    def played_samples(self) -> int:
        """How many samples of it were heard, at the rate it was given in."""
        ...

    @property
    def is_done(self) -> bool:
        """Heard to its end, cut or dropped."""
        ...


class Loudspeaker(Protocol):
    """Plays one sound after another."""

    volume_percent: int
    """0 to 100."""

    def play(self, pcm: Pcm, *, sample_rate: int, last: bool = True) -> Playback:
        """Queue a sound, or a piece of one that goes on without a gap (last=False)."""
        ...

    def cut(self) -> None:
        """Silence at once; what was queued is dropped."""
        ...

    def duck(self, factor: float) -> None:
        """Play at so much of the volume, 0 to 1; 1 brings it back."""
        ...

    async def drained(self) -> None:
        """Everything queued was heard, cut or dropped."""
        ...


class Memory(Protocol):
    """Where conversations are kept. What a call returned from is durable."""

    async def open_turn(
        self,
        *,
        conversation_id: str,
        parts: tuple[Part, ...],
        system_prompt: str | None,
        model: str,
        reader: Reader,
    ) -> OpenTurn:
        """Store the user's message, or what tools returned, and a pending answer in one transaction.

        An empty conversation_id starts a conversation of the reader's. Raises NotFound, also for one that the
        reader does not see, and InvalidInput for results that are not those of all calls that wait for one.
        """
        ...

    async def close_turn(
        self,
        answer_message_id: str,
        *,
        parts: tuple[Part, ...],
        reasoning: str,
        state: MessageState,
        finish_reason: FinishReason | None,
        usage: Usage | None,
    ) -> None:
        """Store what was answered, words and calls of tools, and how it ended."""
        ...


class OpenTurn(Protocol):
    """A turn whose user message is durable."""

    @property
    def conversation_id(self) -> str:
        """Given or new."""
        ...

    @property
    def user_message_id(self) -> str:
        """Of the message just stored."""
        ...

    @property
    def answer_message_id(self) -> str:
        """Of the pending answer."""
        ...

    @property
    def history(self) -> tuple[Message, ...]:
        """System prompt (if any), earlier turns, and the user's message last."""
        ...
