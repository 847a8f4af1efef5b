"""Who leaves in the middle of an answer, seen token by token."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from edged.config import EngineConfig
from edged.engine.session import Logits
from edged.engine.worker import EngineWorker
from edged.events import GenerationEvent, GenerationRequest
from tests.engine.scripted import ScriptedSession, scripted_engine
from tests.server.api.http_daemon import HttpDaemon


class WatchedWorker(EngineWorker):
    """Says when nobody reads an answer any more."""

    is_left = False

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[GenerationEvent, None]:
        try:
            async with aclosing(super().generate(request)) as events:
                async for event in events:
                    yield event
        finally:
            self.is_left = True


class Allowance:
    """Lets a session compute as many tokens as it is given."""

    def __init__(self, session: ScriptedSession, monkeypatch: pytest.MonkeyPatch) -> None:
        self._session = session
        self._tokens = threading.Semaphore(0)
        self._decode: Callable[..., Logits] = session.decode
        monkeypatch.setattr(session, "decode", self._decode_one)

    def give(self, tokens: int) -> None:
        self._tokens.release(tokens)

    def _decode_one(self, *args: object) -> Logits:
        assert self._tokens.acquire(timeout=60)
        return self._decode(*args)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # another thread makes it true
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_at_most_one_more_token_is_computed(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, session = scripted_engine(tmp_path, "la " * 150, capacity=512)
    allowance = Allowance(session, monkeypatch)
    monkeypatch.setattr("edged.engine.worker.load_engine", lambda *_: engine)
    worker = WatchedWorker(EngineConfig(default="scripted"), [tmp_path])
    await worker.start()
    try:
        async with HttpDaemon(worker=worker).serving() as daemon:
            asked = {"messages": [{"role": "user", "content": "Sing"}]} if "chat" in path else {"prompt": "Sing"}
            body = json.dumps({**asked, "max_tokens": 150, "stream": True}).encode()
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            allowance.give(8)
            async with asyncio.timeout(20):
                await reader.readuntil(b': "l')
            writer.transport.abort()
            await until(lambda: worker.is_left)
            computed = session.decodes
            allowance.give(1000)
            await until(lambda: worker.status().active_requests == 0)
            assert session.decodes <= computed + 1
    finally:
        allowance.give(1000)
        await worker.close()
