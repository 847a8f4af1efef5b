"""Which files a daemon needs: decisions taken from the configuration and from where Python is installed.

Sockets are none of them: whoever may connect to a unix socket is for its own permissions to say.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edged.config import CameraKind, Config
from edged.config.schema import absolute

_SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/nix/store", "/gnu/store")
"""Libraries and programs: the linker's, those of a GPU's driver, espeak."""
_SETTINGS = ("/etc", "/proc", "/sys", "/run/udev", "/run/systemd/resolve", "/var/lib/dbus", "/var/cache/fontconfig")
_HOME_SETTINGS = (".asoundrc", ".config/pulse", ".config/pipewire", ".config/python_keyring")
"""Of sound and keyring."""
_NODES = Path("/dev")
_DEVICES = ("null", "zero", "full", "random", "urandom", "snd", "dri", "nvgpu", "nvidia-caps", "dma_heap")
_NUMBERED_DEVICES = ("nvidia*", "nvhost*", "nvmap", "nvsciipc", "host1x-fence", "tegra*")
"""GPUs of a PC and of a Jetson."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileAccess:
    """Paths, each with all that is below it."""

    run: tuple[Path, ...]
    """Read and executed."""
    read: tuple[Path, ...]
    """Read only."""
    use: tuple[Path, ...]
    """Devices: read, written and controlled."""
    change: tuple[Path, ...]
    """Read and written; entries made, renamed and removed; nothing executed."""
    abstract_sockets: bool = False
    """Unix sockets of others that have a name and no path may be reached: the supervisor's or the keyring's is one."""


def files_of(config: Config, environ: Mapping[str, str]) -> FileAccess:
    """What this configuration opens.

    environ: tells where the linker looks, where CUDA keeps its kernels, and which bus the keyring is on.
    """
    led = [absolute(config.camera.led)] if config.camera.led else []
    return FileAccess(
        run=_unique(map(Path, [*_SYSTEM, *_python(), *environ.get("LD_LIBRARY_PATH", "").split(":")])),
        read=_unique(
            [
                *map(Path, _SETTINGS),
                *(absolute(f"~/{name}") for name in _HOME_SETTINGS),
                config.paths.config,
                config.key_directory,
                *_engines(config.paths.engines),
                *_models(config),
                *_pictures(config),
            ]
        ),
        use=_unique([*_devices(config), *led]),
        change=_unique([*own_folders(config, environ), _NODES / "shm"]),
        abstract_sockets=config.supervisor.notify_socket.startswith("@")
        or "abstract=" in environ.get("DBUS_SESSION_BUS_ADDRESS", ""),
    )


def own_folders(config: Config, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Those that the daemon writes; they have to be there before a rule can name them."""
    recording = config.voice.debug_recording
    has_gpu = any((_NODES / name).exists() for name in ("nvidiactl", "nvmap"))
    return _unique(
        [
            config.paths.state,
            config.socket_path.parent,
            *([] if config.store.key == "keyring" else [config.key_directory]),
            *([absolute(recording)] if recording else []),
            *([absolute(environ.get("CUDA_CACHE_PATH") or "~/.nv")] if has_gpu else []),
        ]
    )


def _python() -> list[str]:
    """Where this interpreter and what it imports are installed."""
    return [sys.prefix, sys.base_prefix, *sys.path, str(Path(__file__).parents[1])]


def _engines(folders: Iterable[Path]) -> list[Path]:
    """With the engines and files that are links to elsewhere."""
    links = [path for folder in folders for path in [*folder.glob("*"), *folder.glob("*/*")] if path.is_symlink()]
    return [*folders, *(link.resolve() for link in links)]


def _models(config: Config) -> list[Path]:
    """What the configuration names by its path lies beside a second file that describes it."""
    words = [word.strip() for word in config.voice.wake_words.split(",")]
    named = [word for word in words if "/" in word or word.endswith(".json")]
    named += [config.voice.voice] if config.voice.voice not in ("", "espeak") else []
    recognizer = [absolute(config.voice.recognizer)] if config.voice.recognizer else []
    return [*recognizer, *(absolute(name).parent for name in named)]


def _pictures(config: Config) -> list[Path]:
    """A camera may be a recording, or numbered pictures."""
    source = config.camera_source
    return [Path(source.place).parent] if source and source.kind is CameraKind.FILE else []


def _devices(config: Config) -> list[Path]:
    source = config.camera_source
    if source and source.kind in (CameraKind.DEVICE, CameraKind.GSTREAMER):
        # A rule names a node, and a camera gets a new one each time that it is plugged in.
        return [_NODES]
    numbered = [node for name in _NUMBERED_DEVICES for node in _NODES.glob(name)]
    return [*(_NODES / name for name in _DEVICES), *numbered]


def _unique(paths: Iterable[Path]) -> tuple[Path, ...]:
    """Without the working directory, which an empty name would mean."""
    return tuple(dict.fromkeys(path for path in paths if path.is_absolute()))
