"""What each of the daemon's own tools does, and for whom."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import jsonschema
import pytest
from llguidance import LLMatcher, LLTokenizer

from edged.engine.output_format import schema_grammar
from edged.errors import CameraOff
from edged.events import Image, Role, ToolCall
from edged.pipeline.skills import Skills
from edged.pipeline.timers import Timers
from edged.pipeline.tools.camera import look_tool
from edged.pipeline.tools.clock import clock_tool
from edged.pipeline.tools.conversations import conversations_tool
from edged.pipeline.tools.device import device_tool
from edged.pipeline.tools.local_tool import LocalTool, Occasion
from edged.pipeline.tools.ocr import read_picture_tool
from edged.pipeline.tools.timers import MAX_OWNERS, timers_tool
from edged.pipeline.tools.toolbox import Toolbox
from edged.records import (
    OPERATOR,
    CameraFrame,
    Conversation,
    PictureDescription,
    PictureText,
    Reader,
    Scope,
    SearchHit,
)

NOW = datetime(2026, 11, 27, 15, 5, tzinfo=UTC)
GUEST = Reader(owner="device:guest", sees_all=False)
JPEG = b"\xff\xd8jpeg"
PICTURE = PictureText(width=9, height=9, lines=(), rows=(), text="Exit", markdown="")


async def call(
    tool: LocalTool, reader: Reader = OPERATOR, pictures: tuple[Image, ...] = (), **arguments: object
) -> str:
    """Through the toolbox, with arguments that its schema admits."""
    jsonschema.validate(arguments, json.loads(tool.declaration.parameters))
    called = ToolCall(id="1", name=tool.name, arguments=json.dumps(arguments))
    return await Toolbox([tool]).call(called, Occasion(reader=reader, pictures=[*pictures]))


async def test_the_clock() -> None:
    assert await call(clock_tool(lambda: NOW)) == "It is Friday, November 27, 2026, 15:05 (UTC+00:00)."


class Time:
    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


async def test_timers_are_set_seen_and_cancelled() -> None:
    time = Time()
    timers = timers_tool(Timers(), time)
    assert await call(timers, action="list") == "no timers"
    assert await call(timers, action="set", seconds=90, name="tea") == "set: tea: 90 seconds left of 90"
    await call(timers, action="set", seconds=5)
    time.seconds = 110
    assert await call(timers, action="list") == "timer: done, it was set to 5 seconds\ntea: 80 seconds left of 90"
    assert await call(timers, action="cancel", name="Tea") == "cancelled: tea: 80 seconds left of 90"
    assert (await call(timers, action="cancel", name="tea")).startswith("error: ")


@pytest.mark.parametrize(
    ("arguments", "is_one"),
    [
        ({"action": "set", "seconds": 45}, True),
        ({"action": "set", "seconds": 45, "name": "tea"}, True),
        ({"action": "cancel", "name": "tea"}, True),
        ({"action": "cancel"}, True),
        ({"action": "list"}, True),
        ({"action": "set"}, False),
        ({"action": "set", "name": "tea"}, False),
        ({"action": "ring"}, False),
        ({"seconds": 45}, False),
    ],
)
def test_no_timer_is_set_without_saying_for_how_long(arguments: dict[str, object], is_one: bool) -> None:
    """By the schema, and by the grammar that a model is held to."""
    declared = timers_tool(Timers(), Time()).declaration
    assert jsonschema.Draft202012Validator(json.loads(declared.parameters)).is_valid(arguments) == is_one
    matcher = LLMatcher(LLTokenizer("byte"), schema_grammar(declared.parameters, "tools"))
    taken = matcher.consume_tokens(list(json.dumps(arguments).encode()))
    assert (taken and matcher.is_accepting()) == is_one


async def test_everybody_has_timers_of_their_own() -> None:
    timers = timers_tool(Timers(), Time())
    await call(timers, action="set", seconds=60, name="tea")
    assert await call(timers, GUEST, action="list") == "no timers"


async def test_too_many_timers_or_people_are_too_many() -> None:
    timers = timers_tool(Timers(), Time())
    answers = [await call(timers, action="set", seconds=60) for _ in range(60)]
    assert answers[-1].startswith("error: ") and not answers[0].startswith("error")
    for number in range(2 * MAX_OWNERS):
        await call(timers, replace(GUEST, owner=f"device:{number}"), action="set", seconds=60)
    assert await call(timers, replace(GUEST, owner="device:0"), action="list") == "no timers"
    assert (await call(timers, action="list")).count("\n") == 49


async def test_the_operators_timers_ring_in_the_room() -> None:
    time, shared = Time(), Timers()
    skills = Skills(shared, language="en", clock=time, now=lambda: NOW)
    await call(timers_tool(shared, time), action="set", seconds=10, name="tea")
    assert skills.has_timers and skills.due() == ""
    time.seconds += 11
    assert "tea" in skills.due()


class Memory:
    def __init__(self) -> None:
        self.asked: list[tuple[str, Reader]] = []

    async def search(
        self, query: str, *, reader: Reader, page_size: int = 0, page_token: str = ""
    ) -> tuple[tuple[SearchHit, ...], str]:
        self.asked.append((query, reader))
        if query == "nothing":
            return (), ""
        conversation = Conversation(id="c1", title="Tea", created_at=NOW, updated_at=NOW, message_count=2, owner="")
        return (SearchHit(conversation=conversation, message_id="m", role=Role.USER, snippet="\x02tea\x03 at 5"),), ""


async def test_only_ones_own_conversations_are_searched_whoever_asks() -> None:
    memory = Memory()
    search = conversations_tool(memory)
    assert await call(search, words="tea") == '2026-11-27, "Tea", user: tea at 5'
    assert await call(search, words="nothing") == "nothing was said with these words"
    assert [reader.sees_all for _, reader in memory.asked] == [False, False]
    assert await call(search, GUEST, words="tea") == "error: there is no such tool"
    assert len(memory.asked) == 2


class Eyes:
    def __init__(self) -> None:
        self.seen: list[bytes] = []

    async def describe(self, data: bytes, *, field: str) -> PictureDescription:
        self.seen.append(data)
        return PictureDescription(text="A door.", read=PICTURE, codes=(), colours=())

    async def read_text(self, data: bytes, *, field: str) -> PictureText:
        self.seen.append(data)
        return PICTURE if data == JPEG else replace(PICTURE, text="")


class Camera:
    is_off = False

    async def snapshot(self) -> CameraFrame:
        if self.is_off:
            raise CameraOff("the camera is switched off")
        return CameraFrame(jpeg=JPEG, taken_at=NOW)


async def test_looking_takes_a_picture_that_can_be_read_after() -> None:
    eyes, camera = Eyes(), Camera()
    look, occasion = look_tool(camera, eyes), Occasion(reader=OPERATOR)
    assert await look.run({}, occasion) == "A door."
    assert await read_picture_tool(eyes).run({}, occasion) == "Exit" and eyes.seen == [JPEG, JPEG]
    camera.is_off = True
    assert await call(look) == "error: the camera is switched off"
    assert await call(look_tool(None, eyes)) == "error: this machine has no camera"


@pytest.mark.parametrize(("scopes", "is_offered"), [((Scope.CHAT,), False), ((Scope.CHAT, Scope.CAMERA), True)])
async def test_only_who_may_see_through_the_camera_looks(scopes: tuple[Scope, ...], is_offered: bool) -> None:
    look, guest = look_tool(Camera(), Eyes()), replace(GUEST, scopes=frozenset(scopes))
    assert bool(Toolbox([look]).offered(guest)) == is_offered
    assert (await call(look, guest) == "A door.") == is_offered


async def test_the_newest_picture_is_read() -> None:
    read = read_picture_tool(Eyes())
    old, new = (Image(data=data, media_type="image/jpeg") for data in (b"old", JPEG))
    assert await call(read) == "error: there is no picture in this conversation"
    assert await call(read, pictures=(old, new)) == "Exit"
    assert await call(read, pictures=(new, old)) == "there is no text in the picture"


async def test_the_device() -> None:
    report = {"model": "tiny on 2 threads", "free disk": "3.0 GiB"}
    assert await call(device_tool(lambda: report)) == "model: tiny on 2 threads\nfree disk: 3.0 GiB"
