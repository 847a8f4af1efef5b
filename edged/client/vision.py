"""What a daemon can say of pictures: the calls of VisionService."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from edged import wire
from edged.client.remote_error import encodable
from edged.events import Image
from edged.records import PictureDescription, PictureSearch, PictureText
from edged.v1 import message_pb2, vision_pb2, vision_pb2_grpc

Call = Callable[[Any, Any], Awaitable[Any]]


class VisionCalls:
    """Of one client; its methods raise what the client's do."""

    def __init__(self, channel: Any, call: Call) -> None:
        """call: makes one call of a method with a request."""
        self._stub: Any = vision_pb2_grpc.VisionServiceStub(channel)
        self._call = call

    async def read_text(self, picture: Image) -> PictureText:
        """All text in a picture, in reading order."""
        request = vision_pb2.ReadTextRequest(picture=_blob(picture))
        return wire.picture_text_from_wire((await self._call(self._stub.ReadText, request)).read)

    async def describe(self, picture: Image) -> PictureDescription:
        """What can be said of a picture without a model that sees."""
        request = vision_pb2.DescribeRequest(picture=_blob(picture))
        return wire.description_from_wire(await self._call(self._stub.Describe, request))

    async def find(self, picture: Image, words: str) -> PictureSearch:
        """Where in the picture these words stand, and the objects of that English name."""
        with encodable():
            request = vision_pb2.FindRequest(picture=_blob(picture), words=words)
        return wire.picture_search_from_wire(await self._call(self._stub.Find, request))


def _blob(picture: Image) -> message_pb2.Blob:
    with encodable():
        return message_pb2.Blob(data=picture.data, media_type=picture.media_type)
