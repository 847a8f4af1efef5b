"""The server over the real engine and the real store: refusals come before anything is stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest

from edged.client import Client
from edged.config import EngineConfig
from edged.engine.worker import EngineWorker
from edged.errors import Code, RemoteError
from edged.events import Audio, Finished, MessageState, Sampling, Text, TextDelta, TurnEvent
from edged.pipeline.turn import TurnConductor
from edged.server import Server
from edged.store import AsyncStore, KeySource
from tests.server.scripted import privacy
from tests.tiny_artefact import tiny_artefact


@asynccontextmanager
async def everything_real(run_dir: Path) -> AsyncIterator[Client]:
    tiny_artefact(run_dir / "engines", "tiny")
    store = await AsyncStore.open(run_dir, KeySource(kind="file", directory=run_dir))
    worker = EngineWorker(EngineConfig(default="tiny", threads=1), [run_dir / "engines"])
    server = Server(
        turns=TurnConductor(worker, store, 1_000_000),
        conversations=store,
        engines=worker,
        privacy=privacy,
        sampling=Sampling(temperature=0, max_tokens=8),
        max_message_bytes=4_000_000,
    )
    (address,) = await server.start(run_dir / "s")
    await worker.start()
    server.serve()
    async with Client(address) as client:
        yield client
    await server.drain(5)
    await worker.close()
    await store.close()


async def asked(client: Client, **arguments: object) -> list[TurnEvent]:
    async with aclosing(client.ask(**{"parts": [Text(text="Hello")], **arguments})) as turn:  # type: ignore[arg-type]
        return [event async for event in turn]


async def test_an_answer_is_what_is_stored(run_dir: Path) -> None:
    async with everything_real(run_dir) as client:
        events = await asked(client)
        (conversation,) = (await client.list_conversations()).conversations
        answer = (await client.get_conversation(conversation.id)).messages[-1]
    assert isinstance(events[-1], Finished)
    assert answer.text == "".join(event.text for event in events if isinstance(event, TextDelta))
    assert answer.state is MessageState.COMPLETE


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"sampling": {"temperature": 3.0}}, Code.INVALID_ARGUMENT),
        ({"sampling": {"stop": ("",)}}, Code.INVALID_ARGUMENT),
        ({"parts": [Audio(data=b"RIFF", media_type="audio/wav")]}, Code.UNIMPLEMENTED),
        ({"parts": [Text(text="word " * 50_000)]}, Code.OUT_OF_RANGE),
        ({"parts": [Text(text="word " * 250_000)]}, Code.INVALID_ARGUMENT),
        ({"model": "huge"}, Code.NOT_FOUND),
        ({"conversation_id": "nothing"}, Code.NOT_FOUND),
    ],
)
async def test_what_is_refused_leaves_nothing_behind(run_dir: Path, arguments: dict[str, object], code: Code) -> None:
    async with everything_real(run_dir) as client:
        with pytest.raises(RemoteError) as raised:
            await asked(client, **arguments)
        assert raised.value.code is code
        assert "\n" not in raised.value.message
        assert (await client.list_conversations()).conversations == ()
        assert isinstance((await asked(client))[-1], Finished)
