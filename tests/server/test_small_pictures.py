"""A conversation whose pictures are asked for small, as a phone shows its history."""

from __future__ import annotations

import io

import grpc
import pytest
from PIL import Image as PictureFile

from edged.events import Audio, Image, Text
from edged.records import OPERATOR, Reader
from edged.v1 import conversation_pb2 as pb
from edged.v1 import conversation_pb2_grpc
from tests.server.conftest import Daemon
from tests.vision.menu import encoded

SIDE = 256


def held(width: int, height: int) -> bytes:
    """A photograph by a telephone that was held upright, with what it says of the place."""
    exif = PictureFile.Exif()
    exif[0x0112], exif[0x010E] = 6, "Harbour Street 7"
    return encoded(PictureFile.new("RGB", (width, height), "navy"), "JPEG", exif=exif)


async def asked(daemon: Daemon, side: int) -> pb.GetConversationResponse:
    async with grpc.aio.insecure_channel(daemon.address) as channel:
        stub = conversation_pb2_grpc.ConversationServiceStub(channel)  # type: ignore[no-untyped-call]
        request = pb.GetConversationRequest(conversation_id="c1", max_picture_side=side)
        response: pb.GetConversationResponse = await stub.GetConversation(request)
        return response


async def store(daemon: Daemon, *parts: Text | Image | Audio, reader: Reader = OPERATOR) -> None:
    await daemon.memory.open_turn(conversation_id="", parts=parts, system_prompt=None, model="tiny", reader=reader)


async def test_pictures_are_small_and_upright_and_the_rest_is_as_it_was(daemon: Daemon) -> None:
    large, tiny = held(2000, 1000), encoded(PictureFile.new("RGBA", (40, 30), (255, 0, 0, 255)))
    damaged, sound = large[:500], Audio(data=b"RIFF", media_type="audio/wav")
    parts = [Image(data=data, media_type="image/png", description="blue") for data in (large, tiny, damaged)]
    await store(daemon, *parts, sound, Text(text="What is it?"))
    whole, small = (await asked(daemon, 0)).messages[0].parts, (await asked(daemon, SIDE)).messages[0].parts
    assert [part.image.data for part in whole[:3]] == [large, tiny, damaged]
    sizes = [PictureFile.open(io.BytesIO(part.image.data)).size for part in small[:2]]
    assert sizes == [(SIDE // 2, SIDE), (40, 30)]
    assert [part.image.media_type for part in small[:3]] == ["image/jpeg", "image/jpeg", "image/png"]
    assert b"Harbour" not in small[0].image.data and small[0].description == "blue"
    assert list(small[2:]) == list(whole[2:])


@pytest.mark.parametrize("side", [-1, 15, 1025])
async def test_a_size_that_is_none_is_refused(daemon: Daemon, side: int) -> None:
    await store(daemon, Text(text="Hello"))
    with pytest.raises(grpc.aio.AioRpcError, match="max_picture_side must be") as raised:
        await asked(daemon, side)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
