"""The HTTP API on a port of loopback, with a scripted engine behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from openai import AsyncOpenAI

from edged.audio.mel import Samples
from edged.audio.pcm import Pcm
from edged.events import Sampling
from edged.pipeline.turn import TurnConductor
from edged.records import DaemonState, PictureDescription, PictureText
from edged.server.call_border import CallBorder
from edged.server.health import HealthServicer
from edged.server.lifecycle import Lifecycle
from edged.server.openai.app import Parts, make_app
from edged.server.openai.door import Door
from edged.server.web.http_server import HttpServer
from tests.server.scripted import DictMemory, ScriptedModel

MAX_BYTES = 200_000
RATE = 16_000


class Ears:
    """Hears how long a recording is."""

    async def transcribe(self, samples: Samples) -> str:
        return f"{len(samples) / RATE:.1f} seconds of sound"


class Eyes:
    """Sees how many bytes a picture has."""

    async def describe(self, data: bytes, *, field: str) -> PictureDescription:
        nothing = PictureText(width=9, height=9, lines=(), rows=(), text="", markdown="")
        return PictureDescription(text=f"a picture of {len(data)} bytes", read=nothing, codes=(), colours=())


class Mouth:
    """A tenth of a second for each word."""

    sample_rate = RATE

    def load(self) -> None:
        pass

    async def say(self, text: str) -> AsyncGenerator[Pcm, None]:
        for _ in text.split():
            yield np.full(RATE // 10, 1000, np.int16)


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class HttpDaemon:
    def __init__(self, *, max_bytes: int = MAX_BYTES) -> None:
        self.model = ScriptedModel()
        self.lifecycle = Lifecycle(HealthServicer(()))
        self.lifecycle.enter(DaemonState.SERVING)
        parts = Parts(
            model=self.model,
            engines=self.model,  # type: ignore[arg-type]  # a list is a sequence
            border=CallBorder(self.lifecycle),
            state=lambda: self.lifecycle.state,
            sampling=Sampling(top_k=40),
            alias="autoglm-phone-9b",
            alias_engine="",
            perceive=TurnConductor(self.model, DictMemory(), MAX_BYTES, speech=Ears(), vision=Eyes()).perceived,
            speech=Ears(),
            voice=Mouth(),
            max_recording_seconds=60,
            docs=None,
        )
        app = Door(make_app(parts), max_bytes=max_bytes)
        self.server = HttpServer(app, key="http.listen", tls=None, most_per_address=64)
        self.port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[HttpDaemon]:
        self.port = int(self.server.listen("127.0.0.1", 0).rpartition(":")[2])
        running = asyncio.create_task(self.server.run())
        yield self
        await self.server.close(0)
        await running

    def client(self) -> AsyncOpenAI:
        return AsyncOpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key="EMPTY", max_retries=0, timeout=20)

    async def raw(self, head: str, body: bytes = b"") -> Answer:
        """All that comes back for these lines and this body."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.replace("\n", "\r\n").encode() + body)
        try:
            async with asyncio.timeout(10):
                answer = await reader.read()
        finally:
            writer.transport.abort()
        first, _, rest = answer.partition(b"\r\n")
        lines, _, content = rest.partition(b"\r\n\r\n")
        pairs = (line.split(": ", 1) for line in lines.decode("latin-1").split("\r\n"))
        return Answer(int(first.split()[1]), {name.lower(): value for name, value in pairs}, content)

    async def post(self, path: str, content: object, *headers: str, host: str = "127.0.0.1") -> Answer:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        lines = [
            f"POST {path} HTTP/1.1",
            f"Host: {host}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *headers,
        ]
        return await self.raw("\n".join([*lines, "", ""]), body)

    async def chat(self, *, content: object = "Hello", **options: object) -> Answer:
        message = {"role": "user", "content": content}
        return await self.post("/v1/chat/completions", {"messages": [message], **options})
