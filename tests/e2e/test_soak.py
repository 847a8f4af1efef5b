"""Eight hours of everything, compressed: memory, descriptors, threads and disk of the daemon stay what they were."""

from __future__ import annotations

import asyncio
import contextlib
import io
import itertools
import json
import os
import random
import socket
import ssl
import urllib.request
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import linear_regression, median

import pytest
from PIL import Image as Picture

from edged.cli.privacy_speech import PIECE_BYTES, spoken
from edged.client import Client
from edged.client.pairing import Comparing, pair
from edged.events import Audio, Finished, Image, Part, Started, Text, TextDelta
from edged.records import PairingCandidate
from edged.voice_events import Button, Opening, SpokenAudio, SpokenInput, VoiceMode
from tests.audio.recordings import encoded, tone
from tests.e2e.program import DaemonProcess, Home
from tests.e2e.test_http import free_port
from tests.sensing_artefact import sensing_artefact
from tests.tiny_artefact import tiny_artefact
from tests.vision.mjpeg_camera import MjpegCamera

ROUNDS = int(os.environ.get("SOAK_ROUNDS", "360"))
"""Of fourteen turns each: with 360, one every six seconds for eight hours, which is a large household all day long."""
SLEEPLESS = """
import asyncio
slept = asyncio.sleep
asyncio.sleep = lambda seconds, *result: slept(5 if seconds == 3600 else seconds, *result)
"""
"""Part of the daemon's Python: what is done every hour (retention) is done every five seconds."""
TOOL = {"name": "weather", "parameters": {"type": "object", "properties": {"place": {"type": "string"}}}}
LOOKS = 4
"""Rounds between two looks through the camera, which closes meanwhile."""
KEPT_CONVERSATIONS = 150
"""By hand; more than fits into the megabyte that retention leaves."""
MEGABYTE = 2**20


@dataclass(frozen=True)
class Use:
    """Of the daemon, at one moment."""

    memory_bytes: int
    """Its own, in memory or swapped out; what it only maps (weights, libraries) comes and goes as others need room."""
    descriptors: int
    threads: int
    disk_bytes: int

    @classmethod
    def of(cls, daemon: DaemonProcess, state: Path) -> Use:
        process = Path(f"/proc/{daemon.process.pid}")
        status = process.joinpath("status").read_text()
        kibibytes = [int(status.partition(f"{name}:")[2].split()[0]) for name in ("RssAnon", "VmSwap")]
        return cls(
            memory_bytes=1024 * sum(kibibytes),
            descriptors=len(list(process.joinpath("fd").iterdir())),
            threads=int(status.partition("Threads:")[2].split()[0]),
            disk_bytes=sum(file.stat().st_size for file in state.rglob("*") if file.is_file()),
        )


ALLOWED = Use(memory_bytes=6 * MEGABYTE, descriptors=3, threads=2, disk_bytes=MEGABYTE)
"""Growth from warm to the end, on the line through all that was measured."""


class People:
    """All who use one daemon: its operator, a program on the LAN, programs that speak HTTP, and strangers."""

    def __init__(self, home: Home, http: str, web: tuple[str, int], question: bytes) -> None:
        """question: aloud, as 16-bit samples at 16 kHz."""
        self._home = home
        self._question = question
        self._rounds = itertools.count()
        self._http = http
        self._web = web
        self._dice = random.Random(8)
        self._numbers = iter(range(10**9))
        # What was seen and heard lately is kept, up to a bound: few enough here to be all kept while this warms up.
        self._pictures = [self._picture() for _ in range(30)]
        self._recordings = [self._recording() for _ in range(30)]

    @contextlib.asynccontextmanager
    async def paired(self) -> AsyncIterator[People]:
        async with Client(self._home.address) as operator:
            offer = await operator.devices.open_pairing()
            async with aclosing(pair(link=offer.link, device_name="Desk")) as steps:
                shown = await anext(steps)
                assert isinstance(shown, Comparing)
                async with aclosing(operator.devices.watch_pairing(offer.pairing_id)) as candidates:
                    while not isinstance(await anext(candidates), PairingCandidate):
                        pass
                await operator.devices.confirm_pairing(offer.pairing_id, shown.short_string)
                self._pairing = await anext(steps)
            yield self

    async def round(self) -> None:
        """Fourteen turns, and what people do between them."""
        async with Client(self._home.address) as client:
            name = await self._ask(client, Text(text=self._words()))
            await self._ask(client, Text(text=self._words()), conversation_id=name)
            await self._ask(client, Text(text="What is this?"), self._dice.choice(self._pictures), model="sensing")
            await self._ask(client, Text(text="What was that?"), self._dice.choice(self._recordings), model="sensing")
            # One that does not see is told what the picture shows, and one that does not hear what was said.
            await self._ask(client, Text(text="Read it."), self._dice.choice(self._pictures))
            await self._talk(client)
            await self._ask(client, Text(text=self._words()), incognito=True)
            if next(self._rounds) % LOOKS == 0:
                assert (await client.camera.snapshot()).jpeg
            await asyncio.gather(self._break_off(client), self._ask(client, Text(text=self._words())))
            await self._tidy(client)
        async with Client(self._pairing.grpc_address, self._pairing.credentials) as desk:
            await self._ask(desk, Text(text=self._words()))
        await asyncio.to_thread(self._over_http)
        await asyncio.to_thread(self._knock)

    def _words(self) -> str:
        return f"question {next(self._numbers)} " + "word " * self._dice.randrange(60)

    def _picture(self) -> Image:
        file = io.BytesIO()
        size = self._dice.randrange(30, 400), self._dice.randrange(30, 400)
        Picture.effect_noise(size, 80).save(file, "JPEG")
        return Image(data=file.getvalue(), media_type="image/jpeg")

    def _recording(self) -> Audio:
        return Audio(data=encoded(tone(self._dice.uniform(0.3, 2.5))), media_type="audio/wav")

    async def _ask(
        self, client: Client, *parts: Part, conversation_id: str = "", model: str = "", incognito: bool = False
    ) -> str:
        sampling = {"max_tokens": self._dice.choice((2, 8, 20))}
        events = client.ask(parts, conversation_id=conversation_id, model=model, sampling=sampling, incognito=incognito)
        async for event in events:
            if isinstance(event, Started):
                conversation_id = event.conversation_id
        assert isinstance(event, Finished)
        return conversation_id

    async def _talk(self, client: Client) -> None:
        call = client.converse(Opening(mode=VoiceMode.PUSH_TO_TALK))
        await call.send(Button(is_pressed=True))
        for begin in range(0, len(self._question), PIECE_BYTES):
            await call.send(SpokenInput(data=self._question[begin : begin + PIECE_BYTES]))
        await call.send(Button(is_pressed=False))
        await call.finish()
        heard = [event async for event in call.events()]
        assert any(isinstance(event, SpokenAudio) for event in heard)

    async def _break_off(self, client: Client) -> None:
        async with aclosing(client.ask((Text(text=self._words()),), sampling={"max_tokens": 300})) as answer:
            async for event in answer:
                if isinstance(event, TextDelta):
                    return

    async def _tidy(self, client: Client) -> None:
        assert (await client.search("question")).hits
        for old in (await client.list_conversations(page_size=200)).conversations[KEPT_CONVERSATIONS:]:
            await client.delete(old.id)

    def _over_http(self) -> None:
        for more in ({}, {"stream": True}, {"store": True}, {"tools": [{"type": "function", "function": TOOL}]}):
            asked = {"model": "tiny", "messages": [{"role": "user", "content": self._words()}], "max_tokens": 8}
            body = json.dumps({**asked, **more}).encode()
            request = urllib.request.Request(f"http://{self._http}/v1/chat/completions", body)
            request.add_header("Content-Type", "application/json")
            with urllib.request.urlopen(request) as answer:
                assert answer.read()

    def _knock(self) -> None:
        """Somebody at the LAN's doors who is not paired, and somebody who speaks no TLS."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection(self._web) as plain, context.wrap_socket(plain) as secure:
            secure.sendall(b"GET /edged.v1.StatusService/GetStatus HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            while secure.recv(4096):
                pass
        with socket.create_connection(self._web) as plain:
            plain.sendall(random.Random(1).randbytes(200))


@contextlib.asynccontextmanager
async def everything(home: Home, engines: Path) -> AsyncIterator[tuple[DaemonProcess, People]]:
    """A daemon with all its doors open, and those who come through them."""
    tiny_artefact(engines, "tiny")
    sensing_artefact(engines)
    http, web = f"127.0.0.1:{free_port()}", free_port()
    home.engines = engines
    lan = {"HOST": "127.0.0.1", "GRPC_PORT": str(free_port()), "WEB_PORT": str(web), "ANNOUNCE": "false"}
    home.extra = {f"EDGED_LAN__{key}": value for key, value in lan.items()}
    # What conversations keep in memory is bounded: small enough here to be full while this warms up.
    home.extra |= {"EDGED_ENGINE__MAX_LOADED": "2", "EDGED_ENGINE__KV_CACHE_MB": "2"}
    home.extra |= {"EDGED_LOGGING__LEVEL": "warning", "EDGED_VOICE__VOICE": "espeak"}
    home.extra |= {"EDGED_SAMPLING__MAX_TOKENS": "12", "EDGED_RETENTION__MAX_MB": "1"}
    (engines / "sitecustomize.py").write_text(SLEEPLESS)
    home.extra["PYTHONPATH"] = str(engines)
    camera = MjpegCamera()
    home.extra["EDGED_CAMERA__SOURCE"] = camera.url
    question = await spoken(home.config)
    with home.daemon("--lan", "--http", http) as daemon:
        async with People(home, http, ("127.0.0.1", web), question).paired() as people:
            yield daemon, people
        camera.unplug()
        assert "Traceback" not in daemon.log.read_text()


def growth(uses: list[Use]) -> Use:
    """From the first to the last, on the straight line through all; outliers count little."""

    def grown(name: str) -> int:
        values = [getattr(use, name) for use in uses]
        smooth = [median(values[max(0, place - 5) : place + 6]) for place in range(len(values))]
        return round(linear_regression(range(len(smooth)), smooth).slope * len(smooth))

    return Use(**{field.name: grown(field.name) for field in fields(Use)})


async def test_everybody_at_once(home: Home, tmp_path: Path) -> None:
    async with everything(home, tmp_path) as (_, people):
        await people.round()


@pytest.mark.soak
@pytest.mark.timeout(4 * 3600)
async def test_eight_hours_leave_nothing_behind(home: Home, tmp_path: Path) -> None:
    uses: list[Use] = []
    async with everything(home, tmp_path) as (daemon, people):
        for number in range(ROUNDS):
            await people.round()
            uses.append(Use.of(daemon, home.state))
            if number % 20 == 0:
                print(number, uses[-1], flush=True)
        async with Client(home.address) as operator:
            happened = (await operator.devices.audit_events(page_size=200)).events
        assert any("past their time" in event.action for event in happened), "retention had nothing to do"
    warm = uses[ROUNDS // 3 :]
    grown = growth(warm)
    print(f"warm {warm[0]}\nend  {warm[-1]}\ngrown {grown}")
    over = [field.name for field in fields(Use) if getattr(grown, field.name) > getattr(ALLOWED, field.name)]
    assert not over, grown
