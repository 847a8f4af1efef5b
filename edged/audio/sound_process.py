"""The process that holds one open device: `python -m edged.audio.sound_process input 50 0.06 3 NAME`.

Why a process: PortAudio's thread may hang for ever when its device is pulled out, and who waits for it hangs too; its
list of devices is read once; and its callbacks must not wait while a model holds the interpreter's lock. A process is
killed, and what it held is closed.

It talks to the daemon over a socket that keeps packets apart (descriptor 3 here). First comes one packet of JSON: an
`Opened`, or an `OpenFailure`. Then a packet for each block: INPUT_HEAD and samples from a microphone. A speaker is
sent blocks of samples ahead, and answers each with OUTPUT_HEAD once it has gone to the device.
The process ends when the daemon does, when it is killed, or when the device is gone.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
from dataclasses import asdict, dataclass
from typing import Any

from edged.audio.devices import Direction, SoundDevice, find_device, load
from edged.errors import DeviceUnavailable, EdgedError

INPUT_HEAD = struct.Struct("<H")
"""Blocks that were lost just before this one."""
OUTPUT_HEAD = struct.Struct("<HHd")
"""How often the device ran dry, blocks of silence played as none had come, seconds from here to the ear."""
_WAIT_SECONDS = 0.02
"""A late block is waited for so long; the device's own buffer is longer."""
_FIRST_WAIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The stream runs."""

    name: str
    sample_rate: int
    """The device's own."""
    channels: int
    block_samples: int
    """Of each channel in a packet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenFailure:
    """The process ends after it."""

    error: str
    """Name of the class in `edged.errors`."""
    message: str


def main() -> None:
    """Until the daemon or the device is gone."""
    direction, blocks_per_second, latency_seconds, descriptor, name = sys.argv[1:]
    daemon = socket.socket(fileno=int(descriptor))
    try:
        _open(daemon, Direction(direction), name, int(blocks_per_second), float(latency_seconds))
    except EdgedError as exc:
        _say(daemon, OpenFailure(error=type(exc).__name__, message=exc.message))
        return
    hang_up = select.poll()
    hang_up.register(daemon, 0)
    hang_up.poll()
    os._exit(0)  # closing in good order may hang


def _open(daemon: socket.socket, direction: Direction, name: str, blocks_per_second: int, latency: float) -> None:
    """Says `Opened` before the first block."""
    device, sounddevice = find_device(name, direction), load()
    opened = Opened(
        name=device.name,
        sample_rate=device.sample_rate,
        channels=_channels(device, direction),
        block_samples=device.sample_rate // blocks_per_second,
    )
    is_input = direction is Direction.INPUT
    kind = sounddevice.RawInputStream if is_input else sounddevice.RawOutputStream
    try:
        stream = kind(
            samplerate=opened.sample_rate,
            blocksize=opened.block_samples,
            device=device.index,
            channels=opened.channels,
            dtype="int16",
            latency=latency,
            callback=_Capture(daemon) if is_input else _Playing(daemon),
            finished_callback=lambda: os._exit(1),
        )
        _say(daemon, opened)
        if not is_input:
            select.select([daemon], [], [], _FIRST_WAIT_SECONDS)  # the device asks for several blocks at once
        stream.start()
    except sounddevice.PortAudioError as exc:
        reason = " ".join(str(exc).split())
        raise DeviceUnavailable(
            f'the {direction.noun} "{device.name}" does not open ({reason}); is it plugged in, and does no other '
            "program hold it?"
        ) from exc


def _channels(device: SoundDevice, direction: Direction) -> int:
    """Both of a stereo speaker, as PortAudio would leave the right one silent; two are two ears of one microphone.

    Of a microphone with more, the first is the one that is meant for speech.
    """
    if direction is Direction.OUTPUT:
        return min(2, device.channels)
    return 2 if device.channels == 2 else 1


def _say(daemon: socket.socket, what: Opened | OpenFailure) -> None:
    daemon.send(json.dumps(asdict(what)).encode())


class _Capture:
    """A microphone's callback: copies, and nothing else."""

    def __init__(self, daemon: socket.socket) -> None:
        daemon.setblocking(False)
        self._daemon = daemon
        self._lost = 0

    def __call__(self, data: Any, frames: int, time: Any, status: Any) -> None:
        self._lost += bool(status.input_overflow)
        try:
            self._daemon.send(INPUT_HEAD.pack(min(self._lost, 0xFFFF)) + bytes(data))
        except BlockingIOError:
            self._lost += 1
        except OSError:
            os._exit(0)
        else:
            self._lost = 0


class _Playing:
    """A speaker's callback. The daemon is answered for what it sent alone, so no more than that is ever ahead."""

    def __init__(self, daemon: socket.socket) -> None:
        daemon.settimeout(_WAIT_SECONDS)
        self._daemon = daemon
        self._ran_dry = 0
        self._missed = 0

    def __call__(self, data: Any, frames: int, time: Any, status: Any) -> None:
        self._ran_dry += bool(status.output_underflow)
        try:
            block = self._daemon.recv(len(data))
            if not block:
                os._exit(0)
            data[:] = block
            seconds = time.outputBufferDacTime - time.currentTime
            self._daemon.send(OUTPUT_HEAD.pack(min(self._ran_dry, 0xFFFF), min(self._missed, 0xFFFF), seconds))
            self._ran_dry = self._missed = 0
        except TimeoutError:
            data[:] = bytes(len(data))
            self._missed += 1
        except OSError:
            os._exit(0)


if __name__ == "__main__":
    main()
