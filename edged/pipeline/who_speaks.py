"""Who says what is being said: found out beside the transcript, and never waited for long.

The name goes with the transcript to whoever follows the conversation. It is not told to the model: it may be wrong,
and a prompt that changes with the speaker is computed anew. Nor is it stored with what was said: to delete a person is
then to delete all there is of them.
"""

from __future__ import annotations

import asyncio

from edged.audio.pcm import SAMPLE_RATE, Pcm, to_samples
from edged.errors import EdgedError
from edged.pipeline.ports import EnrolledPeople, SpeakerEncoder
from edged.pipeline.speaker_identity import identify

LEAST_SECONDS = 0.5
"""Of speech; less does not tell."""
MOST_SECONDS = 10.0
"""The beginning of what was said tells as much as all of it, sooner."""


class WhoSpeaks:
    """Of one conversation. `begin` starts a task: call `drop` when nobody wants to know any more."""

    def __init__(self, encoder: SpeakerEncoder, people: EnrolledPeople) -> None:
        self._encoder = encoder
        self._people = people
        self._task: asyncio.Task[str] | None = None

    def begin(self, pcm: Pcm) -> None:
        """Find out whose voice this is, unless that is under way."""
        if self._task is None:
            self._task = asyncio.create_task(self._find(pcm[: int(MOST_SECONDS * SAMPLE_RATE)]))

    def drop(self) -> None:
        """Forget what was begun."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def name(self, *, wait_seconds: float) -> str:
        """Of an enrolled person; empty where it is nobody's voice, not clear, or not known in time."""
        task = self._task
        if task is None:
            return ""
        done, _ = await asyncio.wait({task}, timeout=wait_seconds)
        return task.result() if done and not task.cancelled() else ""

    async def _find(self, pcm: Pcm) -> str:
        """What goes wrong here costs nobody the answer."""
        try:
            people = await self._people.voiceprints()
            if not people:
                return ""
            voiceprint = await self._encoder.embed(to_samples(pcm), least_seconds=LEAST_SECONDS)
        except EdgedError:
            return ""
        return identify(voiceprint, people)
