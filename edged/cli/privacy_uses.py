"""What `edged privacy prove` makes a daemon do: its main uses, each once, through the same client as anybody's."""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edged.cli import privacy_programs
from edged.cli.privacy_speech import PIECE_BYTES, QUESTION, ask_by_wyoming, spoken
from edged.config import Config
from edged.errors import ContextOverflow, EdgedError, MissingExtra, UnsupportedPart
from edged.events import Audio, Finished, Image, Part, SamplingOptions, Text
from edged.records import PhoneStep, StepRequest
from edged.voice_events import Button, Opening, SpokenAudio, SpokenInput, VoiceMode

if TYPE_CHECKING:
    from edged.client import Client

ANSWER: SamplingOptions = {"max_tokens": 16, "temperature": 0.0}
_LACKING = (MissingExtra.reason, UnsupportedPart.reason, ContextOverflow.reason)
"""Why a use is left out: this machine or the daemon lacks an extra, or no engine can take part or takes so much."""
NOT_TRIED = {
    "mDNS": "lan.announce is off here: what it says is meant for the LAN, and would be counted",
    "microphone and speaker": "they are this machine's; sound comes by the client and by Wyoming instead",
}
"""Uses that no one makes of the daemon here, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One of the uses, and what became of it."""

    name: str
    done: bool
    detail: str
    """What was done; or why it was not."""


async def main_uses(config: Config, client: Client) -> AsyncIterator[Use]:
    """One after another. A use that lacks an extra or an engine is said not to be done; anything else is raised."""
    uses: dict[str, Callable[[Config, Client], Awaitable[str]]] = {
        "text": _ask,
        "history": _look_back,
        "picture": _show,
        "picture in words": _describe,
        "recording": _play,
        "voice": _talk,
        "HTTP": privacy_programs.complete,
        "tools": privacy_programs.offer_a_tool,
        "embeddings": privacy_programs.embed,
        "transcription": privacy_programs.transcribe,
        "speech": privacy_programs.say_aloud,
        "phone": _step,
        "camera": _look,
        "Wyoming": ask_by_wyoming,
        "device on the LAN": _pair,
    }
    for name, use in uses.items():
        try:
            yield Use(name=name, done=True, detail=await use(config, client))
        except EdgedError as exc:
            if exc.reason not in _LACKING:
                raise
            yield Use(name=name, done=False, detail=exc.message)
    for name, why in NOT_TRIED.items():
        yield Use(name=name, done=False, detail=why)


async def _ask(config: Config, client: Client) -> str:
    return f"a question was answered in {await _answered(client, Text(text=QUESTION))} pieces and stored"


async def _look_back(config: Config, client: Client) -> str:
    hits = (await client.search("capital")).hits
    exported = [transcript async for transcript in client.export()]
    return f"{len(exported)} conversation listed, searched ({len(hits)} hits) and exported"


async def _show(config: Config, client: Client) -> str:
    name, pieces = await _answered_about_a_picture(client, sees=True)
    return f"{name}, which sees, answered about a picture in {pieces} pieces"


async def _describe(config: Config, client: Client) -> str:
    name, pieces = await _answered_about_a_picture(client, sees=False)
    return f"{name}, which sees nothing, was told what is in a picture, and answered in {pieces} pieces"


async def _answered_about_a_picture(client: Client, *, sees: bool) -> tuple[str, int]:
    """Who answered, and in how many pieces. Raises UnsupportedPart where no engine is of that kind."""
    fitting = [model.name for model in await client.list_models() if ("images" in model.reads) is sees]
    if not fitting:
        raise UnsupportedPart("no installed engine sees" if sees else "all installed engines see")
    picture = Image(data=_red_square(), media_type="image/png")
    return fitting[0], await _answered(client, picture, Text(text="What colour is this?"), model=fitting[0])


async def _step(config: Config, client: Client) -> str:
    asked = StepRequest(task="Open the settings", screenshot=_red_square(), max_reasoning_tokens=16)
    async with aclosing(client.agent.step(asked)) as events:
        async for event in events:
            if isinstance(event, PhoneStep):
                return f"a step on a phone was decided: {type(event.action).__name__}"
    raise EdgedError("a step on a phone broke off")


async def _look(config: Config, client: Client) -> str:
    if not config.camera.source:
        raise MissingExtra("cameras need an extra: `make setup` or pip install 'edged[vision]'")
    frame = await client.camera.snapshot()
    return f"a picture of {len(frame.jpeg)} bytes was taken by a camera on the network, which stood on loopback"


async def _play(config: Config, client: Client) -> str:
    from edged.audio.pcm import from_bytes, to_wav

    recording = Audio(data=to_wav(from_bytes(await spoken(config))), media_type="audio/wav")
    return f"a spoken question was written down and answered in {await _answered(client, recording)} pieces"


async def _talk(config: Config, client: Client) -> str:
    sound = await spoken(config)
    call = client.converse(Opening(mode=VoiceMode.PUSH_TO_TALK))
    await call.send(Button(is_pressed=True))
    for begin in range(0, len(sound), PIECE_BYTES):
        await call.send(SpokenInput(data=sound[begin : begin + PIECE_BYTES]))
    await call.send(Button(is_pressed=False))
    async with aclosing(call.events()) as events:
        async for event in events:
            if isinstance(event, SpokenAudio):
                return "a spoken question was answered aloud"
    raise EdgedError("a conversation by voice broke off")


async def _pair(config: Config, client: Client) -> str:
    if not config.lan.enabled:
        raise MissingExtra("pairing needs an extra: `make setup` or pip install 'edged[web]'")
    from edged.client import Client as DeviceClient
    from edged.client.pairing import Comparing, pair

    offer = await client.devices.open_pairing()
    port = offer.addresses[0].rpartition(":")[2]
    async with aclosing(pair(f"127.0.0.1:{port}", code=offer.code, device_name="prove")) as steps:
        async for step in steps:
            if isinstance(step, Comparing):
                await client.devices.confirm_pairing(offer.pairing_id, step.short_string)
            else:
                async with DeviceClient(step.grpc_address, step.credentials) as device:
                    pieces = await _answered(device, Text(text=QUESTION))
                return f"a device was paired, and its question answered in {pieces} pieces over TLS"
    raise EdgedError("pairing broke off")


async def _answered(client: Client, *parts: Part, model: str = "") -> int:
    """Events of the turn. Raises EdgedError where it does not end."""
    count = 0
    async with aclosing(client.ask(parts, sampling=ANSWER, model=model)) as events:
        async for event in events:
            count += 1
            if isinstance(event, Finished):
                return count
    raise EdgedError("an answer broke off")


def _red_square(side: int = 64) -> bytes:
    """PNG (ISO/IEC 15948)."""
    rows = (b"\0" + b"\xd0\x20\x20" * side) * side

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
