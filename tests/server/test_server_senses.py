"""Pictures and recordings through every layer: client, server, turn, engine, store."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from contextlib import aclosing
from pathlib import Path

import numpy as np
import pytest

from edged.audio.decode import RecordingFormat, begin_samples
from edged.client import Client
from edged.config import EngineConfig
from edged.engine.worker import EngineWorker
from edged.errors import Code, RemoteError
from edged.events import (
    Audio,
    Finished,
    GenerationRequest,
    Image,
    Measured,
    Message,
    Part,
    Role,
    Sampling,
    Started,
    Text,
    TurnEvent,
    Usage,
)
from tests.audio.recordings import AT_16_KHZ, encoded, tone, wav
from tests.engine.test_senses import picture
from tests.sensing_artefact import sensing_artefact
from tests.server.real import everything_real
from tests.tiny_artefact import tiny_artefact

SOUND = Audio(data=encoded(tone(1.0, 44_100), 44_100, "MP3"), media_type="audio/mpeg")
SPOKEN = Audio(data=encoded(tone(0.5)), media_type="audio/wav")
PICTURE = picture(120, 90)


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("senses")
    sensing_artefact(folder)
    sensing_artefact(folder, "deaf", ears=False)
    tiny_artefact(folder, "blind")
    return folder


async def asked(client: Client, *parts: Part, conversation: str = "", model: str = "") -> list[TurnEvent]:
    async with aclosing(client.ask(parts, conversation_id=conversation, model=model)) as turn:
        return [event async for event in turn]


def usage(events: list[TurnEvent]) -> Usage:
    return next(event.usage for event in events if isinstance(event, Measured))


async def test_a_conversation_about_pictures_and_recordings_goes_on(engines: Path) -> None:
    parts = (PICTURE, SOUND, Text(text="Which?"), SPOKEN)
    async with everything_real(engines, "sensing") as client:
        first = await asked(client, *parts)
        conversation = next(event for event in first if isinstance(event, Started)).conversation_id
        second = await asked(client, SPOKEN, conversation=conversation)
        stored = (await client.get_conversation(conversation)).messages
        models = {model.name: model.reads for model in await client.list_models()}
    assert isinstance(first[-1], Finished) and isinstance(second[-1], Finished)
    assert usage(second).cached_tokens >= usage(first).prompt_tokens - 1
    assert stored[0].parts == parts and stored[2].parts == (SPOKEN,)
    assert models == {
        "sensing": ("text", "images", "audio"),
        "deaf": ("text", "images"),
        "blind": ("text",),
    }


@pytest.mark.parametrize(
    ("part", "model", "code", "message"),
    [
        (
            dataclasses.replace(SPOKEN, data=SPOKEN.data[:900]),
            "",
            Code.INVALID_ARGUMENT,
            "damaged: the file breaks off",
        ),
        (dataclasses.replace(SPOKEN, data=b"hello"), "", Code.INVALID_ARGUMENT, "not a WAV, MP3, FLAC or OGG file"),
        (dataclasses.replace(SPOKEN, data=wav(b"")), "", Code.INVALID_ARGUMENT, "the recording is empty"),
        (Audio(data=encoded(tone(3.5)), media_type="audio/wav"), "", Code.INVALID_ARGUMENT, "3 seconds at most"),
        (SPOKEN, "deaf", Code.UNIMPLEMENTED, "deaf reads text and images, not audio; choose another engine"),
        (SPOKEN, "blind", Code.UNIMPLEMENTED, "blind reads text only, not audio; choose another engine"),
        (PICTURE, "blind", Code.UNIMPLEMENTED, "blind reads text only, not image; choose another engine"),
        (Image(data=PICTURE.data[:500], media_type="image/png"), "", Code.INVALID_ARGUMENT, "picture is damaged"),
    ],
)
async def test_what_cannot_be_taken_is_refused_before_it_is_stored(
    engines: Path, part: Part, model: str, code: Code, message: str
) -> None:
    async with everything_real(engines, "sensing") as client:
        with pytest.raises(RemoteError, match=message) as raised:
            await asked(
                client, SOUND if "deaf" not in model and "blind" not in model else Text(text="?"), part, model=model
            )
        assert raised.value.code is code and "\n" not in raised.value.message
        assert (await client.list_conversations()).conversations == ()


@pytest.mark.parametrize("default", ["sensing", "blind"])
async def test_what_cannot_fit_is_not_decoded(engines: Path, default: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the engine is loaded or not."""
    decoded: list[object] = []
    monkeypatch.setattr("edged.audio.decode.read_samples", lambda *recording: decoded.append(recording))
    recordings = [Audio(data=encoded(tone(3, hertz=400 + number)), media_type="audio/wav") for number in range(14)]
    async with everything_real(engines, default) as client:
        with pytest.raises(
            RemoteError, match=r"the recordings need 532 tokens, the context holds 512; send fewer"
        ) as raised:
            await asked(client, *recordings, model="sensing")
        with pytest.raises(RemoteError, match=r"the pictures and recordings need \d+ tokens"):
            await asked(client, *recordings, PICTURE, model="sensing")
    assert raised.value.code is Code.OUT_OF_RANGE
    assert not decoded


async def test_a_client_that_left_is_not_waited_for(engines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first recording is being decoded, the second never is."""
    decoded: list[bytes] = []
    begun, leave = threading.Event(), threading.Event()

    def slowly(data: bytes, recording_format: RecordingFormat) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        decoded.append(data)
        begun.set()
        assert leave.wait(10)
        return np.zeros(1, np.float32)

    monkeypatch.setattr("edged.audio.decode.read_samples", slowly)
    message = Message(role=Role.USER, parts=(SPOKEN, SOUND))
    request = GenerationRequest(messages=(message,), sampling=Sampling(), model="sensing")
    worker = EngineWorker(EngineConfig(default="sensing", threads=1), [engines])
    await worker.start()
    checking = asyncio.create_task(worker.check(request))
    assert await asyncio.to_thread(begun.wait, 10)
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking
    leave.set()
    begin_samples(b"the next", AT_16_KHZ).result(10)
    assert decoded == [SPOKEN.data, b"the next"]
    await worker.close()


async def test_an_engine_that_is_deaf_goes_on_after_sounds(engines: Path) -> None:
    async with everything_real(engines, "sensing") as client:
        first = await asked(client, SPOKEN)
        conversation = next(event for event in first if isinstance(event, Started)).conversation_id
        second = await asked(client, Text(text="And?"), conversation=conversation, model="blind")
        assert isinstance(second[-1], Finished)
        with pytest.raises(RemoteError, match="blind reads text only, not audio"):
            await asked(client, SPOKEN, conversation=conversation, model="blind")
