"""Where things lie on this machine, and who supervises this process: all read from the environment."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from edged.config.schema import Paths, Supervisor, absolute
from edged.errors import ConfigError


def find_config_file(environ: Mapping[str, str]) -> Path:
    """The edged.toml to read, which need not exist. Raises ConfigError when EDGED_CONFIG names no file."""
    if named := environ.get("EDGED_CONFIG"):
        path = absolute(named)
        if not path.is_file():
            raise ConfigError(f"EDGED_CONFIG names {path}, which is not a file")
        return path
    user = _xdg(environ, "XDG_CONFIG_HOME", ".config") / "edged" / "edged.toml"
    system = Path("/etc/edged/edged.toml")
    return system if not user.is_file() and system.is_file() else user


def find_paths(environ: Mapping[str, str], config_dir: Path) -> Paths:
    """Directories of a service, of a plain user (XDG), or those named by EDGED_STATE_DIR and EDGED_ENGINES_DIR."""
    # systemd gives what StateDirectory= and RuntimeDirectory= made, several joined by colons.
    service_state = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    service_runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    named = environ.get("EDGED_STATE_DIR") or service_state
    state = absolute(named) if named else _xdg(environ, "XDG_STATE_HOME", ".local/state") / "edged"
    engines = [absolute(part) for part in environ.get("EDGED_ENGINES_DIR", "").split(os.pathsep) if part]
    return Paths(
        state=state,
        config=config_dir,
        runtime=absolute(service_runtime) if service_runtime else _user_runtime(environ),
        engines=tuple(dict.fromkeys([*engines, state / "engines", *_checkout_engines()])),
    )


def _user_runtime(environ: Mapping[str, str]) -> Path:
    # Under sudo or su, XDG_RUNTIME_DIR is often another user's.
    session = Path(environ.get("XDG_RUNTIME_DIR") or "/nonexistent")
    try:
        ours = session.is_absolute() and session.stat().st_uid == os.getuid()
    except OSError:
        ours = False
    return session / "edged" if ours else Path(tempfile.gettempdir()) / f"edged-{os.getuid()}"


def _checkout_engines() -> list[Path]:
    checkout = Path(__file__).resolve().parents[2]
    return [checkout / "build" / "engines"] if (checkout / "pyproject.toml").is_file() else []


def find_supervisor(environ: Mapping[str, str]) -> Supervisor:
    """What systemd passed to this process."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    # WATCHDOG_PID names the process that must ping, so that its children do not.
    ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return Supervisor(
        notify_socket=environ.get("NOTIFY_SOCKET", ""),
        watchdog_seconds=int(microseconds) / 1e6 if microseconds.isdigit() and ours else 0.0,
        credentials=environ.get("CREDENTIALS_DIRECTORY", ""),
        journal="JOURNAL_STREAM" in environ,
    )


def _xdg(environ: Mapping[str, str], name: str, fallback: str) -> Path:
    named = Path(environ.get(name) or "")
    # The specification has relative paths ignored.
    return named if named.is_absolute() else Path(environ.get("HOME", "/")) / fallback
