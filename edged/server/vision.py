"""edged.v1.VisionService."""

from __future__ import annotations

from typing import Protocol

import grpc

from edged import wire
from edged.errors import MissingExtra
from edged.records import PictureDescription, PictureSearch, PictureText
from edged.v1 import vision_pb2 as pb
from edged.v1 import vision_pb2_grpc


class Sight(Protocol):
    """Looks at encoded pictures; its methods raise InvalidInput, QueueFull, MissingExtra, ArtefactError."""

    async def read_text(self, data: bytes) -> PictureText:
        """All text, in reading order."""
        ...

    async def describe(self, data: bytes) -> PictureDescription:
        """What can be said of it."""
        ...

    async def find(self, data: bytes, words: str) -> PictureSearch:
        """Where these words stand, and objects of that name."""
        ...


class VisionServicer(vision_pb2_grpc.VisionServiceServicer):
    """See vision.proto for what each call does."""

    def __init__(self, sight: Sight | None) -> None:
        """None where the daemon reads no pictures."""
        self._sight = sight

    async def ReadText(self, request: pb.ReadTextRequest, context: grpc.aio.ServicerContext) -> pb.ReadTextResponse:
        read = await self._require().read_text(request.picture.data)
        return pb.ReadTextResponse(read=wire.picture_text_to_wire(read))

    async def Describe(self, request: pb.DescribeRequest, context: grpc.aio.ServicerContext) -> pb.DescribeResponse:
        return wire.description_to_wire(await self._require().describe(request.picture.data))

    async def Find(self, request: pb.FindRequest, context: grpc.aio.ServicerContext) -> pb.FindResponse:
        return wire.picture_search_to_wire(await self._require().find(request.picture.data, request.words))

    def _require(self) -> Sight:
        if self._sight is None:
            raise MissingExtra(
                "this daemon reads no pictures: `make setup EXTRAS=vision` or pip install 'edged[vision]'"
            )
        return self._sight
