"""The daemon's own tools in the real program, with the default engine, and switched off where nobody wants them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from edged.client import Client
from edged.errors import Code, RemoteError
from edged.events import (
    Finished,
    Image,
    Part,
    SamplingOptions,
    Text,
    ToolCallStarted,
    ToolChoice,
    ToolReturned,
    ToolUse,
    TurnEvent,
)
from tests.e2e.program import Home, short_folder
from tests.tiny_artefact import tiny_artefact, tiny_tokenizer
from tests.vision.menu import encoded, menu
from tests.vision.mjpeg_camera import MjpegCamera

DEFAULT = Path(__file__).parents[2] / "build/engines/smollm2-135m"
KEYS = ("clock", "timers", "conversations", "camera", "ocr", "device")
ENDS = {tiny_tokenizer().token_to_id(character): 9.0 for character in '"}'}
"""A model of random scores would write into its arguments for ever."""


@pytest.fixture
def network_camera() -> Iterator[MjpegCamera]:
    camera = MjpegCamera()
    yield camera
    camera.unplug()


@pytest.fixture
def home(tmp_path: Path, network_camera: MjpegCamera) -> Iterator[Home]:
    tiny_artefact(tmp_path, "roomy", context_length=8192)
    switches = {f"EDGED_TOOLS__{key.upper()}": "true" for key in KEYS}
    extra = {**switches, "EDGED_CAMERA__SOURCE": network_camera.url, "EDGED_ENGINE__MAX_SEQ_LEN": "8192"}
    with short_folder() as folder:
        yield Home(folder, tmp_path, engine="roomy", extra=extra)


async def asked(client: Client, name: str, *parts: Part, ends: dict[int, float] = ENDS) -> list[TurnEvent]:
    use = ToolUse(tools=(), choice=ToolChoice.NAMED, name=name)
    sampling = SamplingOptions(max_tokens=120, temperature=0, logit_bias=ends)
    async with aclosing(client.ask(parts or (Text(text="Well?"),), tool_use=use, sampling=sampling)) as turn:
        events = [event async for event in turn]
    assert isinstance(events[-1], Finished)
    assert next(event.name for event in events if isinstance(event, ToolCallStarted)) == name
    return events


async def returned(client: Client, name: str, *parts: Part) -> str:
    return next(event.content for event in await asked(client, name, *parts) if isinstance(event, ToolReturned))


async def test_every_tool_does_what_it_says(home: Home) -> None:
    with home.daemon():
        status = home.run("status")
        assert ", ".join(f"{key} on" for key in KEYS) in status.stdout
        async with Client(home.address) as client:
            assert (await returned(client, "clock")).startswith("It is ")
            assert "roomy" in await returned(client, "device_status")
            assert not (await returned(client, "timers")).startswith("error: there is no such")
            assert not (await returned(client, "search_conversations")).startswith("error")
            assert not (await returned(client, "look")).startswith("error")
            picture = Image(data=encoded(menu()), media_type="image/png")
            assert "error" not in await returned(client, "read_picture", picture, Text(text="What does it say?"))
            newest = (await client.list_conversations()).conversations[0].id
        shown = home.run("conversations", "show", newest).stdout
        assert "[called read_picture {" in shown and "[returned] " in shown


async def test_nothing_can_be_called_that_is_not_switched_on(home: Home) -> None:
    off = {f"EDGED_TOOLS__{key.upper()}": "false" for key in KEYS}
    with home.daemon(**off):
        listed = json.loads(home.run("status", "--json").stdout)["tools"]
        assert listed == [{"name": key, "is_on": False} for key in KEYS]
        async with Client(home.address) as client:
            with pytest.raises(RemoteError) as raised:
                await returned(client, "clock")
    assert (raised.value.code, raised.value.field) == (Code.INVALID_ARGUMENT, "tool_choice")


async def test_the_default_engine_calls_as_well(home: Home) -> None:
    if not DEFAULT.is_dir():
        pytest.skip("the default engine is not built")
    usual = replace(home, engines=DEFAULT.parent, engine=DEFAULT.name)
    off = {f"EDGED_TOOLS__{key.upper()}": "false" for key in KEYS[1:]}
    with usual.daemon(**off):
        async with Client(usual.address) as client:
            events = await asked(client, "clock", ends={})
            assert "It is " in next(event.content for event in events if isinstance(event, ToolReturned))
