"""A sound card without hardware: a private PulseAudio with a microphone to play into, and a speaker to listen to.

    with SoundServer() as server:
        subprocess.Popen([...], env=server.environment)
        server.play("question.wav")

Needs the Debian packages pulseaudio, pulseaudio-utils, libasound2-plugins and libportaudio2.
"""

from __future__ import annotations

import asyncio
import ctypes.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

from edged.audio.pcm import Pcm, from_bytes, to_bytes

RATE = 48_000
"""Of both sinks, in samples a second."""
_SINK = "module-null-sink sink_name={name} rate=48000 channels={channels} format=s16le norewinds=1"
"""norewinds: a sink that wakes up every 50 ms; without it the first sound takes up to two seconds."""
_MODULES = (
    _SINK.format(name="mic_sink", channels=1),
    _SINK.format(name="speaker", channels=2),
    "module-remap-source master=mic_sink.monitor source_name=virt_mic",
)
_START_SECONDS = 20


def missing_packages() -> list[str]:
    """Debian packages that a sound server needs and that are not here."""
    needed = {"pulseaudio": "pulseaudio", "pactl": "pulseaudio-utils"}
    missing = [package for command, package in needed.items() if shutil.which(command) is None]
    if ctypes.util.find_library("portaudio") is None:
        missing.append("libportaudio2")
    plugins = ("/usr/lib", "/usr/lib64")
    if not any(next(Path(root).glob("**/alsa-lib/libasound_module_pcm_pulse.so"), None) for root in plugins):
        missing.append("libasound2-plugins")
    return missing


class SoundServer:
    """Starts with `with`, and is gone with all its files at the end."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="edged-sound-"))  # short: a socket's path has 108 bytes at most
        self._daemon: subprocess.Popen[bytes] | None = None
        self._echo = ""
        home, runtime = self._folder / "home", self._folder / "run"
        for folder in (home, runtime, runtime / "pulse"):
            folder.mkdir(mode=0o700)
        (home / ".asoundrc").write_text("pcm.!default { type pulse }\nctl.!default { type pulse }\n")
        (home / "client.conf").write_text("autospawn = no\n")
        self._socket = runtime / "pulse" / "native"
        self.variables = {
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "PULSE_RUNTIME_PATH": str(runtime / "pulse"),
            "PULSE_SERVER": f"unix:{self._socket}",
            "PULSE_CLIENTCONFIG": str(home / "client.conf"),
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        }
        """What a process must have in its environment from the start to hear and speak here."""

    @property
    def environment(self) -> dict[str, str]:
        """This process's, with the sound card in it."""
        return {**os.environ, **self.variables}

    def __enter__(self) -> SoundServer:
        self.replug()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unplug()
        shutil.rmtree(self._folder)

    def replug(self) -> None:
        """The microphone and the speaker are there. Waits for that. Idempotent."""
        if self._daemon is not None:
            return
        with (self._folder / "log").open("ab") as log:
            loads = [f"--load={module}" for module in (*_MODULES, f"module-native-protocol-unix socket={self._socket}")]
            flags = (
                "--daemonize=no",
                "--exit-idle-time=-1",
                "--use-pid-file=no",
                "--high-priority=no",
                "--realtime=no",
            )
            self._daemon = subprocess.Popen(
                ["pulseaudio", "-n", *flags, *loads], env=self.environment, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _START_SECONDS
        while self._ask("info", check=False).returncode:
            assert self._daemon.poll() is None and time.monotonic() < deadline, (self._folder / "log").read_text()
            time.sleep(0.05)
        self._ask("set-default-source", "virt_mic")
        self._ask("set-default-sink", "speaker")

    def unplug(self) -> None:
        """Both are gone in an instant, as when a cable is pulled."""
        daemon, self._daemon, self._echo = self._daemon, None, ""
        if daemon is not None:
            daemon.kill()
            daemon.wait()
            self._socket.unlink(missing_ok=True)

    def play(self, sound: Path | Pcm, sample_rate: int = 16_000) -> None:
        """Into the microphone, to its end. sample_rate: of samples; a WAV file says its own."""
        command = ["paplay", "--device=mic_sink"]
        if isinstance(sound, Path):
            subprocess.run([*command, str(sound)], env=self.environment, check=True)
            return
        raw = ["--raw", "--format=s16le", "--channels=1", f"--rate={sample_rate}"]
        subprocess.run([*command, *raw], input=to_bytes(sound), env=self.environment, check=True)

    @contextmanager
    def recorded(self) -> Iterator[Recording]:
        """What the speaker plays meanwhile."""
        path = self._folder / "recording"
        command = ["parec", "--device=speaker.monitor", "--raw", "--format=s16le", "--channels=1"]
        with path.open("wb") as file:
            recorder = subprocess.Popen(
                [*command, f"--rate={RATE}", "--latency-msec=10"], env=self.environment, stdout=file
            )
        recording = Recording(path)
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not recording.samples_so_far:
                assert recorder.poll() is None and time.monotonic() < deadline
                time.sleep(0.01)
            yield recording
        finally:
            recorder.terminate()
            recorder.wait()

    def loop_echo(self, latency_ms: int = 60) -> None:
        """The microphone hears the speaker from now on, so many milliseconds late."""
        self._echo = self._ask(
            "load-module",
            "module-loopback",
            "source=speaker.monitor",
            "sink=mic_sink",
            f"latency_msec={latency_ms}",
        ).stdout.strip()

    def end_echo(self) -> None:
        """It does not any more."""
        if self._echo:
            self._ask("unload-module", self._echo)
            self._echo = ""

    def listeners(self) -> list[str]:
        """Streams that programs record from the microphone, a line each."""
        lines = self._ask("list", "short", "source-outputs").stdout.splitlines()
        return [line for line in lines if line.split("\t")[2] != "-"]

    def players(self) -> list[str]:
        """Streams that programs play, a line each."""
        lines = self._ask("list", "short", "sink-inputs").stdout.splitlines()
        return [line for line in lines if line.split("\t")[2] != "-"]

    async def played_by(self, streams: int) -> None:
        """Wait until there are so many: one is listed a moment after it was opened."""
        async with asyncio.timeout(10):
            while len(await asyncio.to_thread(self.players)) != streams:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    def _ask(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["pactl", *words], env=self.environment, check=check, capture_output=True, text=True)


class Recording:
    """Grows while it is made."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def samples_so_far(self) -> int:
        """At 48 kHz."""
        return self._path.stat().st_size // 2

    def samples(self) -> Pcm:
        """All that was recorded by now, at 48 kHz."""
        data = self._path.read_bytes()
        return from_bytes(data[: len(data) // 2 * 2])


@contextmanager
def in_this_process(server: SoundServer) -> Iterator[None]:
    """PortAudio here sees the server's devices, and those of before afterwards."""
    before = {name: os.environ.get(name) for name in server.variables}
    os.environ.update(server.variables)
    _read_anew()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        _read_anew()


def _read_anew() -> None:
    """ALSA and PortAudio read their configuration once, so both have to forget it."""
    sounddevice = sys.modules.get("sounddevice")
    if sounddevice is None:
        return
    with suppress(sounddevice.PortAudioError):
        if sounddevice._initialized:
            sounddevice._terminate()
        ctypes.CDLL("libasound.so.2").snd_config_update_free_global()
        sounddevice._initialize()
