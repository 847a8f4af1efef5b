"""A daemon that also speaks Wyoming: what it opens, what it says when it cannot, and how it ends."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event, Eventable
from wyoming.info import Describe, Info
from wyoming.satellite import RunSatellite
from wyoming.snd import Played
from wyoming.wake import Detection

from edged.audio.pcm import from_bytes, to_bytes, to_pcm, to_samples
from edged.client import Client
from edged.speech.weights import whisper_folder
from edged.speech.whisper import Whisper
from tests.audio.recordings import tone
from tests.audio.sound_server import SoundServer, missing_packages
from tests.e2e.program import EDGED, SECONDS, Home
from tests.speech.voices import noise, spoken, wrong_words

pytestmark = pytest.mark.alone


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


async def info(client: AsyncTcpClient, *before: Eventable) -> Info:
    for event in (*before, Describe()):
        await client.write_event(event.event())
    answer = await client.read_event()
    assert answer is not None
    return Info.from_event(answer)


async def test_both_ports_and_their_end(home: Home) -> None:
    listen, satellite = free_ports(2)
    home.extra["EDGED_WYOMING__LISTEN"] = f"127.0.0.1:{listen}"
    home.extra["EDGED_WYOMING__SATELLITE"] = f"localhost:{satellite}"
    with home.daemon() as daemon:
        services, room = (AsyncTcpClient("127.0.0.1", port, read_timeout=20) for port in (listen, satellite))
        await services.connect()
        await room.connect()
        assert [len(found) for found in ((await info(services)).asr, (await info(room, RunSatellite())).asr)] == [1, 0]
        async with Client(home.address) as client:
            status = await client.status()
        assert status.listening_on[1:] == (f"127.0.0.1:{listen} (Wyoming)", f"127.0.0.1:{satellite} (Wyoming)")
        assert status.privacy.refused_connections == 0
        began = time.monotonic()
        daemon.stop()
        assert time.monotonic() - began < 5, "clients are not waited for"
        assert await services.read_event() is None
        for one in (services, room):
            await one.disconnect()
    log = daemon.log.read_text()
    assert "Traceback" not in log, log


def test_a_port_in_use_is_one_line(home: Home) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        done = home.run("serve", EDGED_WYOMING__LISTEN=f"127.0.0.1:{port}")
    assert done.returncode == 1
    line = f"edged: port {port} on 127.0.0.1 is in use; end what uses it or set wyoming.listen"
    assert done.stderr.splitlines()[-1] == line
    assert not home.config.socket_path.exists()


@pytest.mark.parametrize("is_wanted", [True, False])
def test_without_the_extra(home: Home, tmp_path: Path, is_wanted: bool) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['wyoming'] = None\n")
    home.extra["PYTHONPATH"] = os.fspath(tmp_path)
    if not is_wanted:
        with home.daemon() as daemon:
            daemon.stop()
        return
    environ = {**home.environ, "EDGED_WYOMING__SATELLITE": "127.0.0.1:0"}
    done = subprocess.run([*EDGED, "serve"], env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "edged: Wyoming needs an extra: `make setup EXTRAS=wyoming` or pip install 'edged[wyoming]'"
    )


@pytest.fixture
def server() -> Iterator[SoundServer]:
    if missing := missing_packages():
        pytest.skip(f"needs a sound server: apt-get install {' '.join(missing)}")
    with SoundServer() as server:
        yield server


async def test_home_assistant_in_the_room(home: Home, server: SoundServer) -> None:
    """A sound server's microphone and speaker, the real wake word, and Whisper where Home Assistant would be."""
    (port,) = free_ports(1)
    home.extra |= {name: value for name, value in server.variables.items() if name != "XDG_RUNTIME_DIR"}
    home.extra["EDGED_WYOMING__SATELLITE"] = f"127.0.0.1:{port}"
    with home.daemon() as daemon:
        async with AsyncTcpClient("127.0.0.1", port, read_timeout=30) as client:
            assert server.listeners() == []
            await info(client, RunSatellite())
            async with asyncio.timeout(30):
                while not server.listeners():  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
            said = [noise(1.5), spoken("Okay Nabu."), noise(0.3), spoken("Turn on the kitchen light."), noise(1.0)]
            whole = np.concatenate(said)
            playing = asyncio.to_thread(server.play, whole + noise(len(whole) / 16_000, 0.003)[: len(whole)])
            events, _ = await asyncio.gather(_question(client), playing)
            assert Detection.from_event(events[0]).name == "okay_nabu"
            assert [event.type for event in events[1:3]] == ["run-pipeline", "streaming-started"]
            heard = from_bytes(b"".join(event.payload or b"" for event in events[3:]))
            text = Whisper(whisper_folder()).transcribe(to_samples(heard)).text
            assert wrong_words("Turn on the kitchen light.", text) <= 1, text
            await client.write_event(Transcript(text=text).event())
            with server.recorded() as recording:
                await _answer(client)
                answer = recording.samples()
            assert np.abs(answer).max() > 1_000
        async with asyncio.timeout(20):
            while server.listeners():  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        daemon.stop()
    log = daemon.log.read_text()
    assert "Traceback" not in log, log


async def _question(client: AsyncTcpClient) -> list[Event]:
    """What comes until three seconds of the question have."""
    events: list[Event] = []
    while sum(len(event.payload or b"") for event in events) < 2 * 16_000 * 3:
        event = await client.read_event()
        assert event is not None
        events.append(event)
    return events


async def _answer(client: AsyncTcpClient) -> None:
    """Half a second of a tone; returns when it was played."""
    sound = to_bytes(to_pcm(tone(0.5, 22_050)))
    await client.write_event(AudioStart(22_050, 2, 1).event())
    for start in range(0, len(sound), 2048):
        await client.write_event(AudioChunk(22_050, 2, 1, sound[start : start + 2048]).event())
    await client.write_event(AudioStop().event())
    while (event := await client.read_event()) is not None:
        if Played.is_type(event.type):
            return
    raise AssertionError("it was never played")
