"""Takes what the speaker plays out of what the microphone hears, so that the assistant does not hear itself."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from edged.audio.devices import INSTALL_EXTRA
from edged.audio.pcm import FRAME_SAMPLES, SAMPLE_RATE, Pcm, from_bytes
from edged.errors import MissingExtra

_FADE_FRAMES = 200
"""Echo may go on for so long after the last sound."""
_MOST_FAR_FRAMES = 200
_SLACK_WINDOW = 100
"""Frames over which the least that lay ready is what was not needed."""
_SLACK_FRAMES = 3
"""What may lie ready of the far end, the next one included: less than an echo's delay, yet a late block is no hole."""
_SILENCE: Pcm = np.zeros(FRAME_SAMPLES, np.int16)


class EchoCanceller:
    """WebRTC's, in frames of 10 ms at 16 kHz. Costs next to nothing while nothing is played.

    For each frame of the microphone: `for frame in speaker.far_end(): canceller.far(frame)`, then `process`.

    The far end is taken in one frame for one of the near end, whatever the bursts in which devices give them: the
    canceller looks for one delay, and loses it when frames of one side are missing.
    """

    def __init__(self, *, noise_suppression: bool = False) -> None:
        """Raises MissingExtra without livekit."""
        try:
            from livekit.rtc.apm import AudioProcessingModule
            from livekit.rtc.audio_frame import AudioFrame
        except (ImportError, OSError) as exc:
            raise MissingExtra(INSTALL_EXTRA) from exc
        self._frame = AudioFrame
        self._module = AudioProcessingModule(
            echo_cancellation=True,
            noise_suppression=noise_suppression,
            high_pass_filter=True,
            auto_gain_control=False,
        )
        self._must_process = noise_suppression
        self._far: deque[Pcm] = deque(maxlen=_MOST_FAR_FRAMES)
        self._quiet_frames = _FADE_FRAMES
        self._least_waiting = _MOST_FAR_FRAMES
        self._until_trim = _SLACK_WINDOW
        self._module.set_stream_delay_ms(0)  # it finds the delay by itself

    @property
    def is_passing_through(self) -> bool:
        """Nothing was played lately: frames come back untouched."""
        return not self._must_process and self._quiet_frames >= _FADE_FRAMES

    def far(self, frame: Pcm) -> None:
        """What the speaker was handed, 160 samples, silence included. Raises ValueError for another length."""
        self._far.append(_whole(frame))

    def process(self, near: Pcm) -> Pcm:
        """The microphone's next 160 samples without the echo. Raises ValueError for another length."""
        near = _whole(near)
        if not self._far and self.is_passing_through:
            self._least_waiting, self._until_trim = _MOST_FAR_FRAMES, _SLACK_WINDOW
            return near
        far = self._next_far()
        self._quiet_frames = 0 if far.any() else min(self._quiet_frames + 1, _FADE_FRAMES)
        if self.is_passing_through:
            return near
        self._module.process_reverse_stream(self._framed(far))
        frame = self._framed(near)
        self._module.process_stream(frame)
        return from_bytes(bytes(frame.data))

    def _next_far(self) -> Pcm:
        """Silence where none came; what lies ready for long is too much, as the two devices' clocks differ."""
        self._least_waiting = min(self._least_waiting, len(self._far))
        self._until_trim -= 1
        if not self._until_trim:
            surplus = self._least_waiting - _SLACK_FRAMES
            if surplus > 1:
                for _ in range(surplus):
                    self._far.popleft()
            self._least_waiting, self._until_trim = _MOST_FAR_FRAMES, _SLACK_WINDOW
        return self._far.popleft() if self._far else _SILENCE

    def _framed(self, pcm: Pcm) -> Any:
        return self._frame(bytearray(pcm.tobytes()), SAMPLE_RATE, 1, FRAME_SAMPLES)


def _whole(frame: Pcm) -> Pcm:
    if frame.shape != (FRAME_SAMPLES,):
        raise ValueError(f"a frame is {FRAME_SAMPLES} samples")
    return frame
