"""edged.v1.SpeakerService."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import grpc

from edged import wire
from edged.errors import MissingExtra
from edged.events import Audio
from edged.records import EnrolledSpeaker
from edged.v1 import speaker_pb2 as pb
from edged.v1 import speaker_pb2_grpc


class Speakers(Protocol):
    """Whose voices are known."""

    async def enrol(self, name: str, recordings: Sequence[Audio]) -> EnrolledSpeaker:
        """Make one known. Raises InvalidInput, AlreadyExists, MissingExtra."""
        ...

    async def list(self) -> tuple[EnrolledSpeaker, ...]:
        """Everybody, by name."""
        ...

    async def delete(self, name: str) -> None:
        """Leave nothing of one. Raises NotFound."""
        ...


class SpeakerServicer(speaker_pb2_grpc.SpeakerServiceServicer):
    """See speaker.proto for what each call does."""

    def __init__(self, speakers: Speakers | None) -> None:
        """None where the daemon has no ears."""
        self._speakers = speakers

    async def EnrolSpeaker(
        self, request: pb.EnrolSpeakerRequest, context: grpc.aio.ServicerContext
    ) -> pb.EnrolSpeakerResponse:
        recordings = [Audio(data=blob.data, media_type=blob.media_type) for blob in request.recordings]
        enrolled = await self._require().enrol(request.name, recordings)
        return pb.EnrolSpeakerResponse(speaker=wire.speaker_to_wire(enrolled))

    async def ListSpeakers(
        self, request: pb.ListSpeakersRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListSpeakersResponse:
        return pb.ListSpeakersResponse(speakers=map(wire.speaker_to_wire, await self._require().list()))

    async def DeleteSpeaker(
        self, request: pb.DeleteSpeakerRequest, context: grpc.aio.ServicerContext
    ) -> pb.DeleteSpeakerResponse:
        await self._require().delete(request.name)
        return pb.DeleteSpeakerResponse()

    def _require(self) -> Speakers:
        if self._speakers is None:
            raise MissingExtra("this daemon has no ears: `make setup EXTRAS=voice` or pip install 'edged[voice]'")
        return self._speakers
