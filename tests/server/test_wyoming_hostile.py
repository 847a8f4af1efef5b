"""What nobody should send to a Wyoming server, and clients that do not behave."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import tracemalloc
from collections.abc import AsyncIterator

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.ping import Ping, Pong
from wyoming.wake import Detect

from edged.audio.pcm import Pcm
from edged.errors import AlreadyRunning, ConfigError
from edged.server.wyoming import connection, reading, services, transcription
from edged.server.wyoming.server import WyomingServer
from tests.pipeline.stages import EvenVoice, silence, speech
from tests.server.scripted import until
from tests.server.wyoming_ears import START, Ears, chunk, hear, nothing, refusal, say, transcript


def header(**fields: object) -> bytes:
    return json.dumps(fields).encode() + b"\n"


HOSTILE = {
    "endless line": b"x" * 300_000,
    "no json": b"hello\n",
    "no object": b"[1, 2]\n",
    "not even text": b"\xff\xfe\x00\n",
    "nested": b"[" * 60_000 + b"\n",
    "no type": b"{}\n",
    "type of another type": header(type=5),
    "long type": header(type="x" * 1000),
    "data of another type": header(type="transcribe", data="en"),
    "huge data": header(type="describe", data_length=10**12),
    "huge payload": header(type="audio-chunk", payload_length=10**12),
    "negative payload": header(type="audio-chunk", payload_length=-5),
    "payload of half a byte": header(type="audio-chunk", payload_length=1.5),
    "payload of true": header(type="audio-chunk", payload_length=True),
    "nested data": header(type="describe", data_length=200_000) + b"[" * 200_000,
    "data is no object": header(type="describe", data_length=3) + b"[1]",
    "sound without a format": header(type="audio-chunk", payload_length=2) + b"ab",
    "sound with a strange format": header(
        type="audio-chunk", data={"rate": "fast", "width": 2, "channels": 1}, payload_length=2
    )
    + b"ab",
    "sound of no rate": header(type="audio-chunk", data={"rate": 0, "width": 2, "channels": 1}),
    "sound of no width": header(type="audio-chunk", data={"rate": 16000, "width": 0, "channels": 1}),
    "sound of a million channels": header(type="audio-chunk", data={"rate": 16000, "width": 2, "channels": 10**6}),
    "start without a format": header(type="audio-start"),
    "text of another type": header(type="synthesize", data={"text": 5}),
    "no text": header(type="synthesize"),
    "a voice of another type": header(type="synthesize", data={"text": "a", "voice": 5}),
    "markup": header(type="synthesize", data={"text": "<a/>", "text_format": "ssml"}),
    "endless text": header(type="synthesize", data={"text": "a" * 30_000}),
    "a piece of text of another type": header(type="synthesize-start")
    + header(type="synthesize-chunk", data={"text": []}),
    "two texts at once": header(type="synthesize-start") * 2,
    "a language nobody knows": header(type="transcribe", data={"language": "tlh"}),
    "a language of another type": header(type="transcribe", data={"language": {"a": 1}}),
    "names of another type": header(type="detect", data={"names": "okay_nabu"}),
    "names within names": header(type="detect", data={"names": [["okay_nabu"]]}),
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
async def test_hostile_input(ears: Ears, sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """An error, a closed connection, no traceback, and everybody else is served."""
    client = ears.client()
    async with client, asyncio.timeout(10):
        assert client._writer is not None
        client._writer.write(sent)
        await client._writer.drain()
        events = []
        while (event := await client.read_event()) is not None:
            events.append(event)
        assert len(refusal(events[-1])) < 200
    assert "Traceback" not in caplog.text and "broke" not in caplog.text
    async with ears.client() as other:
        await say(other, Ping())
        assert Pong.is_type((await hear(other)).type)


@pytest.mark.parametrize(
    "sent",
    [
        b'{"type": "descr',
        header(type="describe", data_length=100) + b"{",
        header(type="audio-chunk", data={"rate": 16000, "width": 2, "channels": 1}, payload_length=1000) + b"abc",
    ],
)
@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_client_that_stops_in_the_middle(
    ears: Ears, sent: bytes, is_reset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", ears.port)
    writer.write(sent)
    await writer.drain()
    if is_reset:
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    writer.close()
    async with ears.client() as other:
        await say(other, Ping())
        assert Pong.is_type((await hear(other)).type)
    assert caplog.text == ""


async def test_a_recording_has_an_end(ears: Ears) -> None:
    async with ears.client() as client:
        await say(client, START)
        with contextlib.suppress(ConnectionError):
            for _ in range(60):
                await say(client, chunk(speech(1)))
        assert "4 seconds" in refusal(await client.read_event())
    assert ears.speech.seconds == []


async def test_few_recordings_are_kept_at_a_time(ears: Ears) -> None:
    ears.speech.release.clear()
    async with contextlib.AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(ears.client()) for _ in range(services.MAX_RECORDINGS)]
        for client in clients:
            await say(client, START, chunk(speech(1)), AudioStop())
        await until(lambda: len(ears.speech.seconds) == services.MAX_RECORDINGS)
        async with ears.client() as one_more:
            await say(one_more, Transcribe())
            assert "try again" in refusal(await one_more.read_event())
        ears.speech.release.set()
        for client in clients:
            assert Transcript.is_type((await hear(client)).type)
        assert (await transcript(clients[0], START, chunk(speech(1)), AudioStop())).text


async def test_a_silent_client_is_closed(ears: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "FIRST_SECONDS", 0.05)
    monkeypatch.setattr(connection, "SILENT_SECONDS", 0.1)
    async with ears.client() as client:
        assert await client.read_event() is None
    async with ears.client() as client:
        await say(client, Ping())
        assert Pong.is_type((await hear(client)).type)
        assert await client.read_event() is None
    ears.speech.release.clear()
    async with ears.client() as client:
        await say(client, START, chunk(speech(1)), AudioStop())
        await asyncio.sleep(0.5)
        ears.speech.release.set()
        assert Transcript.is_type((await hear(client)).type), "whoever waits for us is not silent"


async def test_a_client_that_does_not_read_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SEND_SECONDS", 0.2)
    monkeypatch.setattr(connection, "LINGER_SECONDS", 0.1)
    async with Ears(voice=Endless()).open() as ears:
        _, writer = await asyncio.open_connection("127.0.0.1", ears.port, limit=1)
        writer.write(header(type="synthesize", data={"text": "On and on."}))
        async with asyncio.timeout(10):
            await until(lambda: isinstance(ears.voice, Endless) and ears.voice.is_closed)
        assert isinstance(ears.voice, Endless) and ears.voice.seconds < 1000, "memory is what the connection holds"
        writer.transport.abort()


class Endless(EvenVoice):
    """Speaks for ever."""

    sample_rate = 48_000
    seconds = 0
    is_closed = False

    async def say(self, text: str) -> AsyncIterator[Pcm]:  # type: ignore[override]
        try:
            while True:
                self.seconds += 1
                yield silence(3)
                await asyncio.sleep(0)
        finally:
            self.is_closed = True


async def test_a_hundred_clients(caplog: pytest.LogCaptureFixture) -> None:
    """Those that fit are served, the others are closed at once, and it costs nothing."""
    async with Ears(most=10).open() as ears:
        tracemalloc.start()
        clients = [ears.client() for _ in range(100)]
        for client in clients:
            await client.connect()
        answers = await asyncio.gather(*(pinged(client) for client in clients))
        assert answers == [True] * 10 + [False] * 90
        await clients[0].disconnect()
        await until_served(ears)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()
        for client in clients[1:]:
            with contextlib.suppress(ConnectionError):
                await client.disconnect()
    assert caplog.text == ""


async def until_served(ears: Ears) -> None:
    async with asyncio.timeout(5):
        is_served = False
        while not is_served:
            with contextlib.suppress(ConnectionError):
                async with ears.client() as client:
                    is_served = await pinged(client)


async def pinged(client: AsyncTcpClient) -> bool:
    try:
        await say(client, Ping())
        return await client.read_event() is not None
    except ConnectionError:
        return False


async def test_megabytes_that_nobody_asked_for(ears: Ears) -> None:
    """Sound within all limits but that of its length, from several clients at a time."""

    async def pour() -> None:
        async with ears.client() as client:
            with contextlib.suppress(ConnectionError):
                await say(client, Detect(), START)
                for _ in range(20):
                    await say(client, chunk(np.zeros(reading.MAX_PAYLOAD_BYTES // 2, np.int16)))

    tracemalloc.start()
    await asyncio.gather(*(pour() for _ in range(5)))
    assert tracemalloc.get_traced_memory()[1] < 40_000_000, "of 100 MB"
    tracemalloc.stop()


async def test_the_end_of_the_daemon_waits_for_nobody() -> None:
    async with Ears().open() as ears:
        ears.speech.release.clear()
        client = ears.client()
        await client.connect()
        await say(client, START, chunk(speech(1)), AudioStop())
        await until(lambda: ears.speech.seconds)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 0.5
    assert ears.speech.cancelled == 1
    assert await client.read_event() is None
    await client.disconnect()


async def test_a_bug_is_no_traceback_for_the_client(ears: Ears, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(self: transcription.Transcription) -> None:
        raise RuntimeError("".join(reversed("yksihw")))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transcription.Transcription, "finish", broken)
        async with ears.client() as client:
            await say(client, START, chunk(speech(1)), AudioStop())
            assert "internal error" in refusal(await client.read_event())
    assert "in broken" in caplog.text and "whisky" not in caplog.text


# --- the port ---


def test_a_port_in_use() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        server = WyomingServer("wyoming.listen", ("127.0.0.1", port), lambda _: nothing(), most=1)
        with pytest.raises(AlreadyRunning, match=f"port {port} on 127.0.0.1 is in use; .* set wyoming.listen"):
            server.listen()


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_nowhere_but_on_loopback(host: str) -> None:
    with pytest.raises(ConfigError, match="loopback"):
        WyomingServer("wyoming.listen", (host, 0), lambda _: nothing(), most=1).listen()
