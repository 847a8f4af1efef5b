"""When a camera that was just opened has come to see as bright as it will."""

from __future__ import annotations

STEADY_FRAMES = 3
"""As many in a row must be about as bright as the one before each."""
STEADY_SHARE = 0.04
"""What two frames may differ by in brightness, of the brighter one."""
DARK = 4.0
"""Less of 255 is a lens cap or a night: there is nothing to wait for."""


class ExposureSettling:
    """Fed with one frame after the other, from the first one on."""

    def __init__(self, *, warm_up_frames: int, max_seconds: float = 1.0) -> None:
        """warm_up_frames: settled by none of them. max_seconds: after those, a flickering light is taken as it is."""
        self._frames_left = warm_up_frames
        self._seconds_left = max_seconds
        self._steady = 0
        self._last: float | None = None

    def push(self, *, brightness: float, seconds: float) -> bool:
        """Whether this frame is fit to be shown. brightness: 0 to 255. seconds: since the frame before."""
        last, self._last = self._last, brightness
        brighter = max(brightness, last or 0.0)
        is_steady = last is not None and abs(brightness - last) <= max(STEADY_SHARE * brighter, DARK)
        self._steady = self._steady + 1 if is_steady else 0
        if self._frames_left > 0:
            self._frames_left -= 1
            return False
        self._seconds_left -= seconds
        return self._steady >= STEADY_FRAMES or self._seconds_left <= 0
