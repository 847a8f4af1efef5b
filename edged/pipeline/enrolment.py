"""Getting to know a voice: recordings of one person to the mean of their voiceprints."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from edged.audio.decode import RecordingFormat, begin_samples
from edged.audio.pcm import SAMPLE_RATE
from edged.errors import AlreadyExists, InvalidInput
from edged.events import Audio
from edged.pipeline.ports import People, SpeakerEncoder
from edged.pipeline.speaker_identity import mean_voice, odd_one, taken_by
from edged.records import EnrolledSpeaker

if TYPE_CHECKING:
    from edged.pipeline.ports import Voiceprint

RECORDINGS = range(3, 11)
LEAST_SECONDS = 1.0
"""Of speech in each."""
MOST_SECONDS = 30
_FORMAT = RecordingFormat(sample_rate=SAMPLE_RATE, max_seconds=MOST_SECONDS)


class Enrolment:
    """Who is known. Satisfies `edged.server.speakers.Speakers`."""

    def __init__(self, encoder: SpeakerEncoder, people: People) -> None:
        self._encoder = encoder
        self._people = people

    async def enrol(self, name: str, recordings: Sequence[Audio]) -> EnrolledSpeaker:
        """Remember a voice; the recordings are not kept.

        Raises InvalidInput for a name or recordings that will not do, AlreadyExists for a name or a voice that is
        known, and what the encoder and the store raise.
        """
        name = await self._people.free_name(name)
        if len(recordings) not in RECORDINGS:
            few, many = RECORDINGS[0], RECORDINGS[-1]
            raise InvalidInput(f"{few} to {many} recordings are needed, not {len(recordings)}", field="recordings")
        voiceprints = [await self._voiceprint(place, recording) for place, recording in enumerate(recordings)]
        if (odd := odd_one(voiceprints)) is not None:
            raise InvalidInput(
                f"recording {odd + 1} does not sound like the others: all must be of one person, alone and near the "
                "microphone; record it again",
                field=f"recordings[{odd}]",
            )
        voice = mean_voice(voiceprints)
        if other := taken_by(voice, await self._people.voiceprints()):
            raise AlreadyExists(
                f"this voice cannot be told from that of {other}, who is enrolled already: delete {other} first",
                resource=("speaker", other),
            )
        return await self._people.add_speaker(name, voice)

    async def list(self) -> tuple[EnrolledSpeaker, ...]:
        """Everybody, by name."""
        return await self._people.speakers()

    async def delete(self, name: str) -> None:
        """Leave nothing of them. Raises NotFound."""
        await self._people.delete_speaker(name)

    async def _voiceprint(self, place: int, recording: Audio) -> Voiceprint:
        try:
            samples = await asyncio.wrap_future(begin_samples(recording.data, _FORMAT))
            return await self._encoder.embed(samples, least_seconds=LEAST_SECONDS)
        except InvalidInput as exc:
            raise InvalidInput(f"recording {place + 1}: {exc.message}", field=f"recordings[{place}]") from exc
