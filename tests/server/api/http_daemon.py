"""The HTTP API on a port of loopback, with a scripted engine behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from openai import AsyncOpenAI

from edged.audio.mel import Samples
from edged.audio.pcm import Pcm
from edged.engine.worker import EngineWorker
from edged.errors import ArtefactError, InvalidInput
from edged.events import Sampling
from edged.pipeline.kept import Keeper
from edged.pipeline.turn import TurnConductor
from edged.records import (
    DaemonState,
    PictureDescription,
    PictureText,
    SpokenWord,
    Transcription,
    TranscriptionOptions,
)
from edged.server.call_border import CallBorder
from edged.server.health import HealthServicer
from edged.server.lifecycle import Lifecycle
from edged.server.metrics import Meter
from edged.server.openai.app import make_app
from edged.server.openai.door import Door, on_this_machine
from edged.server.openai.parts import Parts
from edged.server.web.http_server import HttpServer
from tests.server.scripted import DictMemory, ScriptedModel

MAX_BYTES = 200_000
RATE = 16_000


class Ears:
    """Hears how long a recording is."""

    def __init__(self) -> None:
        self.asked: list[TranscriptionOptions] = []

    async def transcribe(self, samples: Samples) -> str:
        return f"{len(samples) / RATE:.1f} seconds of sound"

    async def write_down(self, samples: Samples, options: TranscriptionOptions) -> Transcription:
        self.asked.append(options)
        if options.language not in ("", "en"):
            raise InvalidInput("the speech model does not know the language", field="language")
        text = await self.transcribe(samples)
        seconds = len(samples) / RATE
        names = [f" {name}" for name in text.split()]
        each = seconds / len(names)
        words = tuple(
            SpokenWord(
                text=name,
                start_seconds=place * each,
                end_seconds=(place + 1) * each,
                probability=0.5,
                tokens=(place,),
            )
            for place, name in enumerate(names)
        )
        return Transcription(
            text=text,
            language="en",
            is_speech=True,
            seconds=seconds,
            log_probability=-0.5,
            words=words if options.has_words else (),
        )


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

    async def say(self, text: str, *, speed: float = 1.0) -> AsyncGenerator[Pcm, None]:
        for word in text.split():
            if word == "BREAK":
                raise ArtefactError("the voice broke")
            yield np.full(int(RATE / 10 / speed), 1000, np.int16)


@dataclass
class Places:
    vectors: list[list[float]]
    tokens: int


class Embedder:
    """Two dimensions: how long a text is, and how many of its letters are e."""

    name = "tiny-embedder"
    dimensions = 2
    is_installed = True

    async def embed(self, texts: Sequence[str]) -> Places:
        return Places([[float(len(text)), float(text.count("e"))] for text in texts], sum(map(len, texts)))


def scripted_parts(
    model: ScriptedModel | EngineWorker, lifecycle: Lifecycle, border: CallBorder, memory: DictMemory | None = None
) -> Parts:
    memory = DictMemory() if memory is None else memory
    turns = TurnConductor(model, memory, MAX_BYTES, speech=Ears(), vision=Eyes())
    return Parts(
        model=model,
        engines=model,  # type: ignore[arg-type]  # a list is a sequence
        border=border,
        state=lambda: lifecycle.state,
        sampling=Sampling(top_k=40),
        alias="autoglm-phone-9b",
        alias_engine="",
        keeper=Keeper(turns, memory),
        perceive=turns.perceived,
        recognizer=Ears(),
        voice=Mouth(),
        embedder=Embedder(),
        meter=Meter(model.status, lambda: 3, lambda: lifecycle.state),
        max_recording_seconds=60,
        docs=None,
    )


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def answer_of(received: bytes) -> Answer:
    first, _, rest = received.partition(b"\r\n")
    lines, _, content = rest.partition(b"\r\n\r\n")
    pairs = (line.split(": ", 1) for line in lines.decode("latin-1").split("\r\n"))
    return Answer(int(first.split()[1]), {name.lower(): value for name, value in pairs}, content)


class HttpDaemon:
    def __init__(
        self, *, max_bytes: int = MAX_BYTES, worker: EngineWorker | None = None, hosts: frozenset[str] = frozenset()
    ) -> None:
        """worker: answers instead of the script. hosts: names that this machine has for others."""
        self.model = ScriptedModel()
        self.lifecycle = Lifecycle(HealthServicer(()))
        self.lifecycle.enter(DaemonState.SERVING)
        self.memory = DictMemory()
        self.parts = scripted_parts(worker or self.model, self.lifecycle, CallBorder(self.lifecycle), self.memory)
        self.parts.border.on_end = self.parts.meter.call
        app = Door(make_app(self.parts), partial(on_this_machine, hosts=hosts), max_bytes=max_bytes)
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
        return answer_of(answer)

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
