"""A speaker that falls silent at once when it is cut, and knows what of each utterance was really played."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import numpy as np

from edged.audio.device_stream import DeviceState, DeviceStream, Service
from edged.audio.devices import Direction
from edged.audio.pcm import FRAME_SAMPLES, SAMPLE_RATE, Pcm
from edged.audio.playback import Playback, PlaybackQueue
from edged.audio.resample import Resampler
from edged.audio.sound_process import OUTPUT_HEAD, Opened
from edged.errors import InvalidInput

BLOCKS_PER_SECOND = 100
LATENCY_SECONDS = 0.04
"""What the device buffers, and so plays on after a cut: four blocks."""
_BLOCKS_AHEAD = 2
"""Sent to the process that holds the device before it asks: these too are played on after a cut."""
_MOST_FAR_BLOCKS = BLOCKS_PER_SECOND
_SETTLED_BLOCKS = 5
"""Longer than a resampler keeps anything back."""
_DRAINED_STEP_SECONDS = 0.01


class Speaker:
    """Muted until opened. For one event loop; `run` belongs in the daemon's TaskGroup."""

    def __init__(
        self,
        device: str = "",
        *,
        volume_percent: int = 100,
        on_state: Callable[[DeviceState], None] = lambda state: None,
    ) -> None:
        """device: as `find_device` takes it. on_state: called in the event loop when the state changed."""

        def changed(state: DeviceState) -> None:
            if state is DeviceState.LOST:
                self._forget()  # nobody will hear what is queued, and nobody shall wait for it
            on_state(state)

        self._device = DeviceStream(
            device,
            Direction.OUTPUT,
            self._begin,
            blocks_per_second=BLOCKS_PER_SECOND,
            latency_seconds=LATENCY_SECONDS,
            on_state=changed,
        )
        self._output: _Output | None = None
        self._resampler: Resampler | None = None
        self._past_underruns = 0
        self._duck_factor = 1.0
        self.volume_percent = volume_percent

    @property
    def state(self) -> DeviceState:
        """Open, muted or lost."""
        return self._device.state

    @property
    def underruns(self) -> int:
        """How often sound came too late: within one that was to go on, or to the device."""
        output = self._output
        return self._past_underruns + (output.underruns + output.queue.underruns if output else 0)

    @property
    def reconnects(self) -> int:
        """How often the device came back."""
        return self._device.reconnects

    @property
    def is_playing(self) -> bool:
        """Something is queued, or still in the device's buffer."""
        output = self._output
        return output is not None and self.state is DeviceState.OPEN and output.is_playing

    @property
    def volume_percent(self) -> int:
        """0 to 100, as loudness is felt: half of it is a quarter of the amplitude. Changes with a short ramp.

        Raises InvalidInput beyond.
        """
        return self._volume_percent

    @volume_percent.setter
    def volume_percent(self, percent: int) -> None:
        if not 0 <= percent <= 100:
            raise InvalidInput(f"a volume is 0 to 100 percent, not {percent}", field="volume_percent")
        self._volume_percent = percent
        self._set_gain()

    async def open(self) -> None:
        """Ready to play. Idempotent. Raises as `Microphone.open` does."""
        await self._device.open()

    async def close(self) -> None:
        """Afterwards no stream exists; what was queued is dropped. Idempotent."""
        await self._device.close()
        self._forget()

    async def run(self) -> None:
        """Brings the device back whenever it is lost, until cancelled; then closes."""
        try:
            await self._device.run()
        finally:
            self._forget()

    def play(self, pcm: Pcm, *, sample_rate: int, last: bool = True) -> Playback:
        """Queues one sound, or a piece of one that goes on without a gap (last=False).

        Where the speaker is not open, the sound is dropped: it would be heard at the wrong time.
        """
        output = self._output
        if output is None or self.state is not DeviceState.OPEN:
            return Playback(pcm[:0], len(pcm))
        rates = (sample_rate, output.queue.sample_rate)
        if self._resampler is None or (self._resampler.from_rate, self._resampler.to_rate) != rates:
            self._resampler = Resampler(*rates)
        sound = self._resampler.push(pcm)
        if last:
            sound = np.concatenate([sound, self._resampler.flush()])
        return output.queue.add(sound, len(pcm), goes_on=not last)

    def cut(self) -> None:
        """Silence from the next block of 10 ms on, after a fade of 5 ms; what was queued is dropped."""
        self._resampler = None
        if self._output is not None:
            self._output.queue.cut()

    def duck(self, factor: float) -> None:
        """Lowers what is played to so much of the volume's amplitude (0 to 1), with a ramp; 1 brings it back."""
        if not 0 <= factor <= 1:
            raise InvalidInput(f"sound is lowered to a part of 0 to 1, not {factor}", field="factor")
        self._duck_factor = factor
        self._set_gain()

    async def drained(self) -> None:
        """Everything queued was heard, cut or dropped."""
        while self.is_playing:  # noqa: ASYNC110  # a device that is lost sets no event
            await asyncio.sleep(_DRAINED_STEP_SECONDS)

    def far_end(self) -> list[Pcm]:
        """What was handed to the device since the last call, in frames of 10 ms at 16 kHz, silence included.

        In step with the microphone: for each frame the microphone gives, about one. Of what is not fetched, the last
        second is kept.
        """
        return self._output.far_frames() if self._output is not None else []

    def _gain(self) -> float:
        return (self._volume_percent / 100) ** 2 * self._duck_factor

    def _set_gain(self) -> None:
        if self._output is not None:
            self._output.queue.set_gain(self._gain())

    def _begin(self, opened: Opened) -> Service:
        self._forget()
        self._output = output = _Output(opened, self._gain())
        return output

    def _forget(self) -> None:
        output, self._output, self._resampler = self._output, None, None
        if output is not None:
            output.queue.drop()
            self._past_underruns += output.underruns + output.queue.underruns


class _Output:
    """What one opened device has to play, and what it played."""

    def __init__(self, opened: Opened, gain: float) -> None:
        self.queue = PlaybackQueue(opened.sample_rate, gain=gain)
        self.underruns = 0
        self.latency_seconds = LATENCY_SECONDS
        self._block_samples = opened.block_samples
        self._channels = opened.channels
        self._far: deque[Pcm] = deque(maxlen=_MOST_FAR_BLOCKS)
        self._resampler = Resampler(opened.sample_rate)
        self._silent_blocks = 0
        self._rest: Pcm = np.zeros(0, np.int16)

    @property
    def is_playing(self) -> bool:
        """Something is queued, or still on its way to the ear."""
        is_heard = self.queue.silent_samples >= self.latency_seconds * self.queue.sample_rate
        return not self.queue.is_empty or not is_heard

    def begin(self) -> list[bytes]:
        """Part of `Service`."""
        return [self._next_block() for _ in range(_BLOCKS_AHEAD)]

    def serve(self, packet: bytes) -> bytes:
        """Part of `Service`: a block for a block."""
        ran_dry, missed, device_seconds = OUTPUT_HEAD.unpack(packet)
        self.underruns += ran_dry + missed
        self._far.extend([np.zeros(self._block_samples, np.int16)] * min(missed, _MOST_FAR_BLOCKS))
        ahead_seconds = _BLOCKS_AHEAD / BLOCKS_PER_SECOND
        self.latency_seconds = min(1.0, ahead_seconds + max(LATENCY_SECONDS, device_seconds))
        return self._next_block()

    def _next_block(self) -> bytes:
        """Interleaved."""
        block = self.queue.take(self._block_samples)
        self._far.append(block)
        return np.repeat(block, self._channels).tobytes()

    def far_frames(self) -> list[Pcm]:
        """Whole frames since the last call."""
        pieces = [self._rest]
        while self._far:
            pieces.append(self._at_16_khz(self._far.popleft()))
        joined = np.concatenate(pieces)
        whole = len(joined) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = joined[whole:]
        return list(joined[:whole].reshape(-1, FRAME_SAMPLES))

    def _at_16_khz(self, block: Pcm) -> Pcm:
        """Most of it is silence, which costs nothing once the resampler has let go of what came before."""
        self._silent_blocks = 0 if block.any() else self._silent_blocks + 1
        samples, left_over = divmod(len(block) * SAMPLE_RATE, self._resampler.from_rate)
        if self._silent_blocks > _SETTLED_BLOCKS and not left_over:
            return np.zeros(samples, np.int16)
        return self._resampler.push(block)
