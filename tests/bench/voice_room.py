"""The room of the benchmark: questions played into a virtual microphone, answers taken from a virtual speaker."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edged.audio.pcm import SAMPLE_RATE, from_bytes
from edged.client import Client
from edged.events import Finished
from edged.voice_events import StateChanged, TurnTimings, VoiceEvent, VoiceState
from tests.audio.sound_server import RATE, SoundServer
from tests.e2e.program import Home, short_folder
from tests.speech.voices import QUESTIONS, noise, spoken

ENGINES = Path(__file__).parents[2] / "build" / "engines"
LOUD = 300
"""A sample that is heard, of 32,768."""
SETTLE_SECONDS = 3.0
ASKED = tuple(question for question in QUESTIONS if not question.startswith("Stop"))
"""Those that are answered."""
SETTINGS = {
    "EDGED_ENGINE__THREADS": "2",
    "EDGED_ENGINE__KV_CACHE_MB": "1024",  # the default, which tests make smaller
    "EDGED_SAMPLING__TEMPERATURE": "0",
    "EDGED_SAMPLING__MAX_TOKENS": "48",  # when an answer begins does not depend on how long it is
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """One question."""

    seconds: float
    """From its last sample to the first of the answer, as the sound server has them."""
    timings: TurnTimings


@dataclass
class _Room:
    server: SoundServer
    events: asyncio.Queue[VoiceEvent]
    process_id: int


@asynccontextmanager
async def _room() -> AsyncIterator[_Room]:
    """A daemon that listens, with the default models on two threads."""
    with SoundServer() as server, short_folder() as folder:
        variables = {name: value for name, value in server.variables.items() if name != "XDG_RUNTIME_DIR"}
        home = Home(folder, ENGINES, "smollm2-135m", SETTINGS)
        with home.daemon(**variables) as daemon:
            async with Client(home.address) as client, aclosing(client.watch_events(listen=True)) as events:
                queue: asyncio.Queue[VoiceEvent] = asyncio.Queue()

                async def follow() -> None:
                    async for event in events:
                        queue.put_nowait(event)

                following = asyncio.create_task(follow())
                try:
                    while not server.listeners():  # noqa: ASYNC110  # the sound server tells nobody
                        await asyncio.sleep(0.1)
                    await asyncio.sleep(SETTLE_SECONDS)
                    yield _Room(server, queue, daemon.process.pid)
                finally:
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)


async def answers(count: int) -> list[Answered]:
    """Each question after the wake phrase, in low noise."""
    found: list[Answered] = []
    async with _room() as room:
        for number in range(count):
            question = ASKED[number % len(ASKED)]
            found.append(await _ask(room, question))
            print(f"  {found[-1].seconds:.2f} s: {question}", flush=True)
    return found


async def _ask(room: _Room, question: str) -> Answered:
    said = np.concatenate([spoken("Okay Nabu."), noise(0.4, 0.0), spoken(question)])
    sound = np.concatenate([noise(0.3, 0.0), said, noise(0.3, 0.0)])
    sound += noise(len(sound) / SAMPLE_RATE + 0.1, 0.001)[: len(sound)]
    async with _both(room.server) as both:
        playing = asyncio.create_task(asyncio.to_thread(room.server.play, sound))
        timings = await _until(room, TurnTimings)
        await asyncio.sleep(0.5)
        await playing
        recorded = both()
    while await _until(room, (Finished, StateChanged)) != StateChanged(state=VoiceState.LISTENING):
        pass
    while await _until(room, StateChanged) != StateChanged(state=VoiceState.WAITING):
        pass
    assert isinstance(timings, TurnTimings)
    return Answered(seconds=_between(recorded), timings=timings)


async def _until(room: _Room, kind: type[VoiceEvent] | tuple[type[VoiceEvent], ...]) -> VoiceEvent:
    async with asyncio.timeout(120):
        while not isinstance(event := await room.events.get(), kind):
            pass
    return event


@asynccontextmanager
async def _both(server: SoundServer):  # type: ignore[no-untyped-def]
    """Microphone and speaker recorded on the same clock, as two channels."""
    modules = [await _load(server, "module-null-sink", "sink_name=both", "channels=2", f"rate={RATE}", "norewinds=1")]
    for source, side in (("mic_sink.monitor", "front-left"), ("speaker.monitor", "front-right")):
        one = ("channels=1", "channel_map=mono", f"master_channel_map={side}", "remix=no")
        modules.append(await _load(server, "module-remap-sink", f"sink_name={side}", "master=both", *one))
        modules.append(await _load(server, "module-loopback", f"source={source}", f"sink={side}", "latency_msec=20"))
    recorder = await asyncio.create_subprocess_exec(
        *("parec", "--device=both.monitor", "--raw", "--format=s16le", "--channels=2", f"--rate={RATE}"),
        "--latency-msec=10",
        env=server.environment,
        stdout=asyncio.subprocess.PIPE,
    )
    assert recorder.stdout
    chunks: list[bytes] = []

    async def read() -> None:
        assert recorder.stdout
        while data := await recorder.stdout.read(65_536):
            chunks.append(data)

    reading = asyncio.create_task(read())
    await asyncio.sleep(1.0)
    try:
        yield lambda: from_bytes(b"".join(chunks)[: len(b"".join(chunks)) // 4 * 4]).reshape(-1, 2)
    finally:
        recorder.terminate()
        await recorder.wait()
        await reading
        for module in reversed(modules):
            await _run(server, "unload-module", module)


async def _load(server: SoundServer, *words: str) -> str:
    return (await _run(server, "load-module", *words)).strip()


async def _run(server: SoundServer, *words: str) -> str:
    return (await asyncio.to_thread(server._ask, *words)).stdout


def _between(both: np.ndarray) -> float:  # type: ignore[type-arg]
    """Seconds from the last loud sample on the left to the first loud one on the right after it."""
    last = int(np.flatnonzero(np.abs(both[:, 0].astype(np.int32)) > LOUD)[-1])
    heard = np.flatnonzero(np.abs(both[last:, 1].astype(np.int32)) > LOUD)
    assert len(heard), "no answer was heard"
    return float(heard[0]) / RATE


async def waiting_cost(seconds: float) -> tuple[float, int]:
    """Share of one core that the daemon and its children use while nobody speaks, and their resident bytes."""
    async with _room() as room:
        while room.server.players():  # noqa: ASYNC110  # the speaker is closed when there is nothing to say
            await asyncio.sleep(0.1)
        processes = _with_children(room.process_id)
        before = sum(map(_processor_seconds, processes))
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
        used = sum(map(_processor_seconds, processes)) - before
        elapsed = asyncio.get_running_loop().time() - began
        return used / elapsed, sum(map(_resident_bytes, processes))


def _with_children(process_id: int) -> list[int]:
    children = [
        int(child)
        for task in Path(f"/proc/{process_id}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [process_id, *(one for child in children for one in _with_children(child))]


def _processor_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(process_id: int) -> int:
    return int(Path(f"/proc/{process_id}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
