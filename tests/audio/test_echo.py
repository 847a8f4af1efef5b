"""Echo paths of every kind: how much of the echo is left, and whether who speaks meanwhile is still heard."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from edged.audio.echo import EchoCanceller
from edged.audio.microphone import Microphone
from edged.audio.pcm import FRAME_SAMPLES, Pcm, to_pcm
from edged.audio.speaker import Speaker
from edged.errors import MissingExtra
from tests.audio.sound_server import SoundServer

pytestmark = pytest.mark.alone

SECOND = 16_000


def speech(seconds: float, seed: int, pitch: float) -> NDArray[np.float32]:
    """Not speech, but as speech is: a voice of many harmonics, syllables four times a second, and hissing."""
    random, time = np.random.default_rng(seed), np.arange(round(seconds * SECOND)) / SECOND
    glide = pitch * (1 + 0.2 * np.sin(2 * np.pi * 0.7 * time + seed))
    phase = 2 * np.pi * np.cumsum(glide) / SECOND
    voice = sum(np.sin(number * phase + random.uniform(0, 6)) / number for number in range(1, 25))
    hiss = 0.4 * random.standard_normal(len(time))
    choice = np.repeat(random.uniform(0, 1, len(time) // 4_000 + 1), 4_000)[: len(time)]
    syllables = np.maximum(0, np.sin(2 * np.pi * 4 * time + random.uniform(0, 6))) * (0.3 + choice)
    return (0.12 * syllables * np.where(choice > 0.25, voice, hiss)).astype(np.float32)


def echo_path(delay_ms: int, gain: float, *, room_seconds: float) -> NDArray[np.float32]:
    """Direct sound, then what the walls send back, dying away."""
    random = np.random.default_rng(delay_ms)
    tail = 0.15 * random.standard_normal(3_000) * np.exp(-6.9 * np.arange(3_000) / SECOND / max(room_seconds, 1e-3))
    tail[0] = 1
    return np.concatenate([np.zeros(delay_ms * SECOND // 1000), gain * tail / np.sqrt(np.sum(tail**2))]).astype(
        np.float32
    )


def through(path: NDArray[np.float32], sound: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.convolve(sound, path)[: len(sound)].astype(np.float32)


def frames(pcm: Pcm) -> NDArray[np.int16]:
    return pcm[: len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)


def cancelled(near: Pcm, far: Pcm, *, late_frames: int = 0) -> Pcm:
    """late_frames: the far end comes in bursts of so many frames."""
    canceller, found, burst = EchoCanceller(), [], []
    for near_frame, far_frame in zip(frames(near), frames(far), strict=True):
        burst.append(far_frame)
        if len(burst) > late_frames:
            for frame in burst:
                canceller.far(frame)
            burst = []
        found.append(canceller.process(near_frame))
    return np.concatenate(found)


def decibels(sound: Pcm) -> float:
    return float(10 * np.log10(np.mean(np.square(sound.astype(float))) + 1e-3))


def removed(near: Pcm, found: Pcm, begin_seconds: int, end_seconds: int) -> float:
    """Echo return loss enhancement (ERLE), in dB."""
    part = slice(begin_seconds * SECOND, end_seconds * SECOND)
    return decibels(near[part]) - decibels(found[part])


@pytest.mark.parametrize("room_seconds", [0, 0.2])
@pytest.mark.parametrize("gain", [0.8, 0.3])
@pytest.mark.parametrize("delay_ms", [20, 60, 100, 150])
def test_the_echo_is_taken_out(delay_ms: int, gain: float, room_seconds: float) -> None:
    far = speech(8, 1, 120)
    far[:SECOND] = 0
    noise = 0.0001 * np.random.default_rng(2).standard_normal(len(far)).astype(np.float32)
    near = to_pcm(through(echo_path(delay_ms, gain, room_seconds=room_seconds), far) + noise)
    found = cancelled(near, to_pcm(far))
    assert removed(near, found, 2, 4) > 15
    assert removed(near, found, 4, 8) > 20


def test_a_far_end_in_bursts_does_no_harm() -> None:
    far = speech(10, 1, 120)
    far[:SECOND] = 0
    near = to_pcm(through(echo_path(80, 0.5, room_seconds=0.2), far))
    assert removed(near, cancelled(near, to_pcm(far), late_frames=4), 5, 10) > 20


@pytest.mark.parametrize("gain", [0.1, 0.3, 0.6])
def test_who_speaks_over_the_echo_is_still_heard(gain: float) -> None:
    """Against the same voice through the canceller while next to nothing is played: it filters and delays that too."""
    far, voice = speech(12, 1, 120), 0.8 * speech(12, 7, 210)
    far[:SECOND] = 0
    voice[: 7 * SECOND] = 0
    hiss = np.random.default_rng(0).integers(-1, 2, len(far)).astype(np.int16)
    clean = cancelled(to_pcm(voice), hiss)
    echo = through(echo_path(60, gain, room_seconds=0.2), far)
    found = cancelled(to_pcm(echo + voice), to_pcm(far))
    part = slice(8 * SECOND, 12 * SECOND)
    assert np.corrcoef(found[part].astype(float), clean[part].astype(float))[0, 1] > 0.9
    assert decibels(found[part]) == pytest.approx(decibels(clean[part]), abs=2)


def test_nothing_is_played_and_nothing_is_touched() -> None:
    canceller, sound = EchoCanceller(), to_pcm(speech(3, 3, 150))
    for near in frames(sound):
        canceller.far(np.zeros(FRAME_SAMPLES, np.int16))
        assert canceller.process(near) is near and canceller.is_passing_through


def test_it_wakes_up_with_the_first_sound_and_rests_two_seconds_after_the_last() -> None:
    canceller, silence = EchoCanceller(), np.zeros(FRAME_SAMPLES, np.int16)
    canceller.far(np.ones(FRAME_SAMPLES, np.int16))
    canceller.process(silence)
    assert not canceller.is_passing_through
    awake = 0
    while not canceller.is_passing_through:
        canceller.process(silence)  # without a far end: as if it were silent
        awake += 1
    assert awake == 200


def test_what_changes_every_frame_never_rests() -> None:
    assert not EchoCanceller(noise_suppression=True).is_passing_through


def test_what_piles_up_of_the_far_end_is_left_out() -> None:
    """After a pause of the microphone, or as one clock runs faster; in silence, so that the delay is right again."""
    canceller, silence = EchoCanceller(), np.zeros(FRAME_SAMPLES, np.int16)
    for _ in range(150):
        canceller.far(silence)
    for _ in range(100):
        canceller.far(silence)
        canceller.process(silence)
    assert len(canceller._far) == 2
    for _ in range(1_000):
        canceller.far(silence)
    assert len(canceller._far) == 200


@pytest.mark.parametrize("samples", [0, 159, 161, 320])
def test_a_frame_of_another_length_is_refused(samples: int) -> None:
    canceller = EchoCanceller()
    for take in (canceller.far, canceller.process):
        with pytest.raises(ValueError, match="160 samples"):
            take(np.zeros(samples, np.int16))


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "livekit.rtc.apm", None)
    with pytest.raises(MissingExtra, match=r"pip install 'edged\[voice\]'"):
        EchoCanceller()


def test_the_library_opens_no_connection_and_no_file_for_writing() -> None:
    """What the process has open afterwards: pipes to itself and nothing else."""
    code = """
import os
before = set(os.listdir("/proc/self/fd"))
import numpy as np
from edged.audio.echo import EchoCanceller
canceller = EchoCanceller(noise_suppression=True)
canceller.far(np.ones(160, np.int16))
canceller.process(np.ones(160, np.int16))
unix = open("/proc/net/unix").read()
for name in set(os.listdir("/proc/self/fd")) - before:
    if os.path.exists(f"/proc/self/fd/{name}"):
        target = os.readlink(f"/proc/self/fd/{name}")
        if target.startswith("socket:["):
            target = "unix" if f" {target[8:-1]}" in unix else target
        print(target.split(":")[0])
"""
    found = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True).stdout
    assert set(found.split()) <= {"unix", "anon_inode", "pipe"}


async def removed_for_real(sound_server: SoundServer) -> float:
    """ERLE through both devices, their buffers and their rates, once the canceller has found the delay."""
    canceller, heard, found = EchoCanceller(), [], []
    microphone, speaker = Microphone(), Speaker()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(microphone.run()), group.create_task(speaker.run())]
        await speaker.open()
        await microphone.open()
        sound_server.loop_echo()
        speaker.far_end()
        await asyncio.sleep(0.5)
        speaker.play(to_pcm(0.8 * speech(10, 1, 120)), sample_rate=SECOND)
        async for frame in microphone:
            for far in speaker.far_end():
                canceller.far(far)
            heard.append(frame)
            found.append(canceller.process(frame))
            if not speaker.is_playing:
                break
        for task in tasks:
            task.cancel()
    sound_server.end_echo()
    near, clean = np.concatenate(heard), np.concatenate(found)
    assert len(near) > 9 * SECOND and decibels(near[5 * SECOND :]) > 40
    return removed(near, clean, 5, 9)


async def test_a_real_echo_is_taken_out(sound_server: SoundServer) -> None:
    """The microphone hears the speaker. On a busy machine a device runs dry: then the delay has to be found again."""
    for _ in range(3):
        if await removed_for_real(sound_server) > 15:
            return
    pytest.fail("most of the echo is left")
