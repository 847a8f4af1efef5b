"""The vision service through the client: a menu is read over a real socket, and what is no picture is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from edged.client import Client
from edged.errors import Code, InvalidInput, MissingExtra, RemoteError
from edged.events import Image
from edged.v1 import vision_pb2, vision_pb2_grpc
from edged.vision.ocr import Ocr
from edged.vision.sight import Sight
from edged.vision.weights import text_folder
from tests.server.conftest import MAX_MESSAGE_BYTES, Daemon
from tests.vision.menu import character_error_rate, expected_text, menu, photographed
from tests.vision.test_pictures import BAD

MENU = Image(data=photographed(menu()), media_type="image/jpeg")


@pytest.fixture(scope="module")
def networks() -> Ocr:
    return Ocr(text_folder(), threads=2)


@pytest.fixture
async def seeing(run_dir: Path, networks: Ocr) -> AsyncIterator[Client]:
    sight = Sight(lambda: networks)
    daemon = Daemon(run_dir / "s", sight=sight)
    await daemon.server.start(daemon.socket)
    daemon.server.serve()
    async with Client(daemon.address) as client:
        yield client
    await daemon.server.drain(0)
    sight.close()


async def test_a_menu_is_read(seeing: Client) -> None:
    read = await seeing.vision.read_text(MENU)
    assert character_error_rate(expected_text(), read.text) <= 0.02
    assert (read.width, read.height) == (1280, 960)
    assert read.rows[1][0].startswith("Mapo Tofu") and read.rows[1][-1] == "38.00"
    assert [line.text for line in read.lines] == [cell for row in read.rows for cell in row]


async def test_a_menu_is_described(seeing: Client) -> None:
    seen = await seeing.vision.describe(MENU)
    (row,) = [row for row in seen.text.splitlines() if "Mapo Tofu" in row]
    assert "hot" in row and "38.00" in row
    assert seen.read == await seeing.vision.read_text(MENU)
    assert seen.colours


async def test_words_are_found(seeing: Client) -> None:
    (found,) = (await seeing.vision.find(MENU, "kung pao")).found
    assert found.text == "Kung Pao" and len(found.corners) == 4
    nothing = await seeing.vision.find(MENU, "pizza")
    assert nothing.found == () and nothing.only_words
    with pytest.raises(RemoteError) as raised:
        await seeing.vision.find(MENU, "")
    assert (raised.value.code, raised.value.field) == (Code.INVALID_ARGUMENT, "words")
    with pytest.raises(InvalidInput):
        await seeing.vision.find(MENU, "\udcff")


@pytest.mark.parametrize("kind", [kind for kind in BAD if "40 MB" not in kind])
async def test_what_is_no_picture_is_refused(seeing: Client, kind: str) -> None:
    make, problem = BAD[kind]
    picture = Image(data=make(), media_type="image/png")
    for call in (seeing.vision.read_text(picture), seeing.vision.describe(picture), seeing.vision.find(picture, "x")):
        with pytest.raises(RemoteError, match=problem) as raised:
            await call
        assert (raised.value.code, raised.value.field) == (Code.INVALID_ARGUMENT, "picture")
        assert "\n" not in raised.value.message


async def test_what_is_larger_than_a_message_is_refused(seeing: Client) -> None:
    with pytest.raises(RemoteError) as raised:
        await seeing.vision.read_text(Image(data=bytes(MAX_MESSAGE_BYTES), media_type="image/png"))
    assert raised.value.code is Code.RESOURCE_EXHAUSTED
    assert (await seeing.vision.read_text(MENU)).lines


async def test_without_what_reads_pictures_it_says_what_to_install(client: Client) -> None:
    with pytest.raises(RemoteError, match=r"pip install 'edged\[vision\]'") as raised:
        await client.vision.read_text(MENU)
    assert (raised.value.code, raised.value.reason) == (Code.FAILED_PRECONDITION, MissingExtra.reason)


async def test_a_stock_stub_is_enough(seeing: Client) -> None:
    async with grpc.aio.insecure_channel(seeing.address) as channel:
        stub = vision_pb2_grpc.VisionServiceStub(channel)  # type: ignore[no-untyped-call]
        answer = await stub.ReadText(vision_pb2.ReadTextRequest(picture={"data": MENU.data}))
        assert answer.read.rows[1].cells[-1] == "38.00"
