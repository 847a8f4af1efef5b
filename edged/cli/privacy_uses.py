"""What `edged privacy prove` makes a daemon do: its main uses, each once, through the same client as anybody's."""

from __future__ import annotations

import asyncio
import http.client
import json
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edged.config import Config
from edged.errors import EdgedError, MissingExtra
from edged.events import Audio, Finished, Image, Part, SamplingOptions, Text
from edged.voice_events import Button, Opening, SpokenAudio, SpokenInput, VoiceMode

if TYPE_CHECKING:
    from edged.client import Client

QUESTION = "What is the capital of France?"
ANSWER: SamplingOptions = {"max_tokens": 16, "temperature": 0.0}
_HTTP_SECONDS = 300.0
_PIECE_BYTES = 2 * 1600
"""A tenth of a second of sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One of the uses, and what became of it."""

    name: str
    done: bool
    detail: str
    """What was done; or why it was not."""


async def main_uses(config: Config, client: Client) -> AsyncIterator[Use]:
    """One after another. A use that lacks an extra or a model is said not to be done; anything else is raised."""
    uses: dict[str, Callable[[Config, Client], Awaitable[str]]] = {
        "text": _ask,
        "history": _look_back,
        "picture": _show,
        "recording": _play,
        "voice": _talk,
        "HTTP": _post,
        "tools": _offer_a_tool,
        "device on the LAN": _pair,
    }
    for name, use in uses.items():
        try:
            yield Use(name=name, done=True, detail=await use(config, client))
        except EdgedError as exc:
            if exc.reason not in (MissingExtra.reason, _NoModel.reason):  # the daemon, too, may lack an extra
                raise
            yield Use(name=name, done=False, detail=exc.message)


class _NoModel(EdgedError):
    """No installed engine can take part in this use."""

    reason = "NO_MODEL"


async def _ask(config: Config, client: Client) -> str:
    return f"a question was answered in {await _answered(client, Text(text=QUESTION))} pieces and stored"


async def _look_back(config: Config, client: Client) -> str:
    hits = (await client.search("capital")).hits
    exported = [transcript async for transcript in client.export()]
    return f"{len(exported)} conversation listed, searched ({len(hits)} hits) and exported"


async def _show(config: Config, client: Client) -> str:
    seeing = next((model.name for model in await client.list_models() if "images" in model.reads), None)
    if seeing is None:
        raise _NoModel("no installed engine reads pictures")
    picture = Image(data=_red_square(), media_type="image/png")
    pieces = await _answered(client, picture, Text(text="What colour is this?"), model=seeing)
    return f"{seeing} answered about a picture in {pieces} pieces"


async def _play(config: Config, client: Client) -> str:
    from edged.audio.pcm import from_bytes, to_wav

    recording = Audio(data=to_wav(from_bytes(await _spoken(config))), media_type="audio/wav")
    return f"a spoken question was written down and answered in {await _answered(client, recording)} pieces"


async def _talk(config: Config, client: Client) -> str:
    sound = await _spoken(config)
    call = client.converse(Opening(mode=VoiceMode.PUSH_TO_TALK))
    await call.send(Button(is_pressed=True))
    for begin in range(0, len(sound), _PIECE_BYTES):
        await call.send(SpokenInput(data=sound[begin : begin + _PIECE_BYTES]))
    await call.send(Button(is_pressed=False))
    async with aclosing(call.events()) as events:
        async for event in events:
            if isinstance(event, SpokenAudio):
                return "a spoken question was answered aloud"
    raise EdgedError("a conversation by voice broke off")


async def _post(config: Config, client: Client) -> str:
    finish_reason = await _completed(client, {})
    return f"a program was answered over HTTP ({finish_reason})"


async def _offer_a_tool(config: Config, client: Client) -> str:
    place = {"type": "object", "properties": {"place": {"type": "string"}}}
    tool = {"type": "function", "function": {"name": "weather", "description": "Says it.", "parameters": place}}
    finish_reason = await _completed(client, {"tools": [tool]})
    return f"a program that offers a tool was answered ({finish_reason})"


async def _completed(client: Client, asked: dict[str, Any]) -> str:
    """Why the answer of the HTTP API ended. Raises _NoModel where the engine cannot do what was asked."""
    served = [place for place in (await client.status()).listening_on if place.endswith("(HTTP)")]
    if not served:
        raise MissingExtra("the HTTP API needs an extra: `make setup` or pip install 'edged[web]'")
    model = (await client.list_models())[0].name
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 16, **asked}
    status, answer = await asyncio.to_thread(_posted, served[0].removeprefix("http://").partition(" ")[0], body)
    if status == http.client.BAD_REQUEST:
        raise _NoModel(answer["error"]["message"])
    if status != http.client.OK:
        raise EdgedError(f"the HTTP API answered with {status}")
    return str(answer["choices"][0]["finish_reason"])


def _posted(address: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(address, timeout=_HTTP_SECONDS)
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


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


async def _spoken(config: Config) -> bytes:
    """The question aloud, as 16-bit samples at 16 kHz. Raises MissingExtra."""
    try:
        from edged.audio.pcm import to_bytes
        from edged.audio.resample import Resampler
        from edged.daemon.speech import Speech
    except ImportError as exc:
        raise MissingExtra("speech needs an extra: `make setup EXTRAS=voice` or pip install 'edged[voice]'") from exc
    voice = (speech := Speech(config)).voice
    try:
        await asyncio.to_thread(voice.load)
        pieces = [piece async for piece in voice.say(QUESTION)]
    finally:
        speech.close()
    resampler = Resampler(voice.sample_rate)
    return b"".join([*(to_bytes(resampler.push(piece[:, None])) for piece in pieces), to_bytes(resampler.flush())])


def _red_square(side: int = 64) -> bytes:
    """PNG (ISO/IEC 15948)."""
    rows = (b"\0" + b"\xd0\x20\x20" * side) * side

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
