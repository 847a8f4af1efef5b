"""A real stream to a virtual speaker, and what was recorded from it. Times are counted in samples of the recording."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest

from edged.audio.device_stream import DeviceState
from edged.audio.pcm import Pcm
from edged.audio.playback import Playback
from edged.audio.resample import Resampler
from edged.audio.speaker import Speaker
from edged.errors import InvalidInput
from tests.audio.sound_server import RATE, Recording, SoundServer

pytestmark = pytest.mark.alone

PATIENCE_SECONDS = 20
VOICE_RATE = 22_050


@asynccontextmanager
async def running(speaker: Speaker) -> AsyncIterator[Speaker]:
    """Its task runs meanwhile, as in the daemon."""
    task = asyncio.create_task(speaker.run())
    try:
        await speaker.open()
        yield speaker
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def until(speaker: Speaker, state: DeviceState) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while speaker.state is not state:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def played_for(playback: Playback, seconds: float) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while playback.played_samples < seconds * VOICE_RATE:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def drained(speaker: Speaker) -> None:
    await asyncio.wait_for(speaker.drained(), PATIENCE_SECONDS)
    await asyncio.sleep(0.3)  # until it is in the recording


def tone(seconds: float, hertz: float = 500.0) -> Pcm:
    time = np.arange(round(seconds * VOICE_RATE)) / VOICE_RATE
    return np.rint(12_000 * np.sin(2 * np.pi * hertz * time)).astype(np.int16)


def sounding(recording: Recording) -> tuple[int, int]:
    """First and last loud sample."""
    loud = np.flatnonzero(np.abs(recording.samples()) > 1_000)
    return int(loud[0]), int(loud[-1])


async def heard(server: SoundServer, speaker: Speaker, play: Callable[[], object]) -> Pcm:
    """What sounded in the speaker; again where the machine was so busy that the device ran dry."""
    for _ in range(3):
        before = speaker.underruns
        with server.recorded() as recording:
            play()
            await drained(speaker)
        if speaker.underruns == before:
            break
    first, last = sounding(recording)
    return recording.samples()[first : last + 1]


def level(sound: Pcm) -> float:
    return float(np.sqrt(2 * np.mean(np.square(sound.astype(float)))))


async def test_what_is_played_is_heard_whole(sound_server: SoundServer) -> None:
    async with running(Speaker()) as speaker:
        playbacks: list[Playback] = []
        sound = await heard(
            sound_server, speaker, lambda: playbacks.append(speaker.play(tone(1), sample_rate=VOICE_RATE))
        )
        assert len(sound) == pytest.approx(RATE, abs=RATE // 100)
        middle = sound[2_000:-2_000]
        spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
        assert np.argmax(spectrum) * RATE / len(middle) == pytest.approx(500, abs=2)
        assert level(middle) == pytest.approx(12_000, rel=0.02)
        assert playbacks[-1].is_done and playbacks[-1].played_samples == playbacks[-1].samples == VOICE_RATE
        assert not speaker.is_playing


async def test_pieces_of_a_sound_have_no_seam(sound_server: SoundServer) -> None:
    """Nothing but the tone is in the recording: a missing or doubled sample would be a click."""

    def play() -> None:
        pieces = np.array_split(tone(1), 9)
        for number, piece in enumerate(pieces, 1):
            speaker.play(piece, sample_rate=VOICE_RATE, last=number == len(pieces))

    async with running(Speaker()) as speaker:
        sound = await heard(sound_server, speaker, play)
        assert len(sound) == pytest.approx(RATE, abs=RATE // 100)
        middle = sound[1_000:-1_000].astype(float)
        angle = 2 * np.pi * 500 * np.arange(len(middle)) / RATE
        waves = np.stack([np.sin(angle), np.cos(angle)], axis=1)
        rest = middle - waves @ np.linalg.lstsq(waves, middle)[0]
        assert np.abs(rest).max() < 500


async def test_a_cut_silences_the_speaker_within_a_fifth_of_a_second(sound_server: SoundServer) -> None:
    async with running(Speaker()) as speaker:
        with sound_server.recorded() as recording:
            playback = speaker.play(tone(5), sample_rate=VOICE_RATE)
            following = speaker.play(tone(5), sample_rate=VOICE_RATE)
            await played_for(playback, 0.8)
            begun = recording.samples_so_far
            speaker.cut()
            assert playback.is_done and following.is_done and following.played_samples == 0
            await drained(speaker)
            assert not speaker.is_playing
        first, last = sounding(recording)
        assert last - begun < RATE / 5
        # What was counted is what was heard: history keeps no more.
        assert playback.played_samples / VOICE_RATE == pytest.approx((last - first) / RATE, abs=0.02)


async def test_after_a_cut_it_plays_again(sound_server: SoundServer) -> None:
    async with running(Speaker()) as speaker:
        await played_for(speaker.play(tone(5), sample_rate=VOICE_RATE, last=False), 0.2)
        speaker.cut()
        await drained(speaker)
        sound = await heard(sound_server, speaker, lambda: speaker.play(tone(0.5), sample_rate=VOICE_RATE))
        assert len(sound) == pytest.approx(RATE / 2, abs=RATE // 100)


async def test_it_is_turned_down_lowered_and_raised_without_clicks(sound_server: SoundServer) -> None:
    async with running(Speaker(volume_percent=100)) as speaker:
        with sound_server.recorded() as recording:
            playback = speaker.play(tone(2.4, hertz=100), sample_rate=VOICE_RATE)
            await played_for(playback, 0.6)
            speaker.volume_percent = 50
            await played_for(playback, 1.2)
            speaker.duck(0.4)
            await played_for(playback, 1.8)
            speaker.duck(1)
            await drained(speaker)
        first, _ = sounding(recording)
        sound = recording.samples()[first:]
        levels = [level(sound[round(RATE * second) : round(RATE * (second + 0.3))]) for second in (0.2, 0.8, 1.4, 2.0)]
        assert levels == pytest.approx([12_000, 3_000, 1_200, 3_000], rel=0.1)
        steepest = 12_000 * 2 * np.pi * 100 / RATE
        assert np.abs(np.diff(sound[: 2 * RATE].astype(int))).max() < 1.5 * steepest


async def test_the_far_end_is_what_was_played(sound_server: SoundServer) -> None:
    """At 16 kHz, in frames of 10 ms, with the silence between, volume and cut in it."""
    async with running(Speaker(volume_percent=50)) as speaker:
        speaker.far_end()
        frames: list[Pcm] = []
        with sound_server.recorded() as recording:
            await asyncio.sleep(0.2)
            for hertz in (400, 900):
                playback = speaker.play(tone(0.8, hertz), sample_rate=VOICE_RATE)
                await played_for(playback, 0.5)
                frames += speaker.far_end()
                speaker.cut()
                await drained(speaker)
                frames += speaker.far_end()
        assert all(frame.shape == (160,) for frame in frames)
        resampler = Resampler(RATE)
        heard, far = resampler.push(recording.samples()).astype(float), np.concatenate(frames).astype(float)
        assert len(far) == pytest.approx(len(heard), abs=16_000 // 5)
        length = 1 << (len(far) + len(heard)).bit_length()
        product = np.fft.irfft(np.fft.rfft(heard, length) * np.conj(np.fft.rfft(far, length)))
        assert product.max() / np.sqrt(np.sum(heard**2) * np.sum(far**2)) > 0.98


async def test_of_the_far_end_that_nobody_fetches_a_second_is_kept(sound_server: SoundServer) -> None:
    async with running(Speaker()) as speaker:
        await asyncio.sleep(1.5)
        assert 90 <= len(speaker.far_end()) <= 101
        assert len(speaker.far_end()) < 10


async def test_a_muted_speaker_has_no_stream_and_drops_what_it_is_given(sound_server: SoundServer) -> None:
    states: list[DeviceState] = []
    speaker = Speaker(on_state=states.append)
    dropped = speaker.play(tone(1), sample_rate=VOICE_RATE)
    assert dropped.is_done and dropped.played_samples == 0 and dropped.samples == VOICE_RATE
    await asyncio.wait_for(speaker.drained(), 1)
    async with running(speaker):
        await sound_server.played_by(1)
        playback = speaker.play(tone(5), sample_rate=VOICE_RATE)
        await played_for(playback, 0.1)
        await speaker.close()
        assert playback.is_done and not speaker.is_playing and not sound_server.players()
        assert speaker.far_end() == []
        await speaker.open()
        with sound_server.recorded() as recording:
            await asyncio.sleep(0.3)
        assert not recording.samples().any()
    assert states == [DeviceState.OPEN, DeviceState.MUTED, DeviceState.OPEN, DeviceState.MUTED]


async def test_an_unplugged_speaker_comes_back_by_itself(sound_server: SoundServer) -> None:
    async with running(Speaker()) as speaker:
        playback = speaker.play(tone(5), sample_rate=VOICE_RATE)
        await played_for(playback, 0.1)
        sound_server.unplug()
        await until(speaker, DeviceState.LOST)
        await asyncio.wait_for(speaker.drained(), 1)  # nobody waits for what cannot be heard
        await asyncio.to_thread(sound_server.replug)
        await until(speaker, DeviceState.OPEN)
        assert playback.is_done and playback.played_samples < VOICE_RATE * 4
        assert speaker.reconnects == 1
        sound = await heard(sound_server, speaker, lambda: speaker.play(tone(0.5), sample_rate=VOICE_RATE))
        assert len(sound) == pytest.approx(RATE / 2, abs=RATE // 100)


@pytest.mark.parametrize("percent", [-1, 101])
def test_a_volume_beyond_its_range_is_refused(percent: int) -> None:
    with pytest.raises(InvalidInput, match="0 to 100 percent"):
        Speaker(volume_percent=percent)
    speaker = Speaker()
    with pytest.raises(InvalidInput, match=f"not {percent}"):
        speaker.volume_percent = percent
    assert speaker.volume_percent == 100


@pytest.mark.parametrize("factor", [-0.1, 1.1])
def test_a_factor_beyond_its_range_is_refused(factor: float) -> None:
    with pytest.raises(InvalidInput, match="0 to 1"):
        Speaker().duck(factor)
