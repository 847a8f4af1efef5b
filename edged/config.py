"""edged.toml and the environment, parsed once into a frozen `Config`.

Order: environment `EDGED_<SECTION>__<KEY>` over drop-ins `edged.d/*.toml` over `edged.toml` over the
defaults below. Only this module reads the environment.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from edged.errors import ConfigError, nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonConfig:
    """[daemon]: where clients reach it."""

    socket: str = ""
    """Path of the unix socket; empty derives one from the state directory."""
    tcp: str = ""
    """HOST:PORT on loopback, e.g. "127.0.0.1:50051"; empty listens on the unix socket only."""
    drain_seconds: float = 10.0
    """How long answers under way may take to finish after SIGTERM."""
    max_message_bytes: int = 32 * 1024 * 1024
    """Largest request accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """[engine]: which model runs, and how much of the machine it may take."""

    default: str = "smollm2-135m"
    """Name of an installed engine (`edged models list`)."""
    max_seq_len: int = 4096
    """Context in tokens; the model's own limit applies when it is lower."""
    threads: int = 0
    """CPU threads; 0 takes the cores that this process may use."""
    prefill_chunk: int = 512
    """Prompt tokens computed between two looks at the queue and at cancellations."""
    kv_cache_mb: int = 1024
    """Keys and values of recent conversations kept for the next turn, in MiB."""
    max_active: int = 2
    """Answers generated at the same time, a token each in turn."""
    max_queued: int = 8
    """Requests that may wait; one more is refused."""
    max_loaded: int = 1
    """Engines kept in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """[sampling]: used where a request names nothing."""

    temperature: float = 0.7
    top_k: int = 0
    top_p: float = 0.95
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreConfig:
    """[store]: where conversations are kept."""

    key: str = "auto"
    """Where the database key lies: "auto" (keyring where there is one, else a file), "keyring" or "file"."""
    max_text_bytes: int = 1024 * 1024
    """Longest text of one message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrivacyConfig:
    """[privacy]: the egress guard."""

    sandbox: bool = True
    """Landlock and the audit hook; switch off only to debug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingConfig:
    """[logging]."""

    level: str = "info"
    """debug, info, warning or error."""
    content: bool = False
    """Also log what people and the model say. For debugging only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """Directories, resolved from the environment."""

    state: Path
    """Database, installed engines, lock."""
    config: Path
    """edged.toml, edged.d/ and the database key: outside state and its backups."""
    runtime: Path
    """Sockets."""
    engines: tuple[Path, ...]
    """Where engines are looked for, first match wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be configured."""

    paths: Paths
    daemon: DaemonConfig = field(default_factory=DaemonConfig)
    engine: EngineConfig = field(default_factory=EngineConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)
    store: StoreConfig = field(default_factory=StoreConfig)
    privacy: PrivacyConfig = field(default_factory=PrivacyConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)

    @property
    def socket_path(self) -> Path:
        """The unix socket; one per state directory, short enough for sockaddr_un (108 bytes)."""
        if self.daemon.socket:
            return Path(self.daemon.socket).expanduser()
        digest = hashlib.sha256(os.fsencode(self.paths.state.resolve())).hexdigest()[:16]
        return self.paths.runtime / f"{digest}.sock"


SECTIONS: dict[str, type] = {
    "daemon": DaemonConfig,
    "engine": EngineConfig,
    "sampling": SamplingConfig,
    "store": StoreConfig,
    "privacy": PrivacyConfig,
    "logging": LoggingConfig,
}
ENVIRONMENT = ("EDGED_CONFIG", "EDGED_STATE_DIR", "EDGED_ENGINES_DIR")
_LEVELS = ("debug", "info", "warning", "error")
_RANGES: dict[str, tuple[float, float]] = {
    "daemon.drain_seconds": (0, 300),
    "daemon.max_message_bytes": (64 * 1024, 1024**3),
    "engine.max_seq_len": (64, 1_048_576),
    "engine.threads": (0, 1024),
    "engine.prefill_chunk": (16, 8192),
    "engine.kv_cache_mb": (0, 1_048_576),
    "engine.max_active": (1, 64),
    "engine.max_queued": (0, 1024),
    "engine.max_loaded": (1, 16),
    "sampling.temperature": (0, 2),
    "sampling.top_k": (0, 1_000_000),
    "sampling.top_p": (0, 1),
    "sampling.min_p": (0, 1),
    "sampling.repetition_penalty": (0.01, 10),
    "sampling.max_tokens": (1, 1_048_576),
    "store.max_text_bytes": (1024, 256 * 1024 * 1024),
}


def load_config(environ: Mapping[str, str] | None = None) -> Config:
    """Read files and environment. Raises ConfigError naming the file, the key and the nearest valid one."""
    environ = os.environ if environ is None else environ
    file = _config_file(environ)
    values: dict[str, dict[str, object]] = {name: {} for name in SECTIONS}
    for path in [file, *sorted((file.parent / "edged.d").glob("*.toml"))]:
        if path.is_file():
            _merge_file(values, path)
    _merge_environment(values, environ)
    sections = {name: cls(**values[name]) for name, cls in SECTIONS.items()}
    return Config(paths=_paths(environ, file.parent), **sections)


def _config_file(environ: Mapping[str, str]) -> Path:
    if named := environ.get("EDGED_CONFIG"):
        path = Path(named).expanduser()
        if not path.is_file():
            raise ConfigError(f"EDGED_CONFIG names {path}, which is not a file")
        return path
    user = _xdg(environ, "XDG_CONFIG_HOME", ".config") / "edged" / "edged.toml"
    system = Path("/etc/edged/edged.toml")
    return system if not user.is_file() and system.is_file() else user


def _paths(environ: Mapping[str, str], config_dir: Path) -> Paths:
    # systemd sets STATE_DIRECTORY and RUNTIME_DIRECTORY for StateDirectory= and RuntimeDirectory=.
    state = environ.get("EDGED_STATE_DIR") or environ.get("STATE_DIRECTORY")
    state_dir = Path(state).expanduser() if state else _xdg(environ, "XDG_STATE_HOME", ".local/state") / "edged"
    if service := environ.get("RUNTIME_DIRECTORY"):
        runtime = Path(service)
    elif session := environ.get("XDG_RUNTIME_DIR"):
        runtime = Path(session) / "edged"
    else:
        runtime = Path(tempfile.gettempdir()) / f"edged-{os.getuid()}"
    checkout = Path(__file__).resolve().parent.parent / "build" / "engines"
    named = [Path(part).expanduser() for part in environ.get("EDGED_ENGINES_DIR", "").split(os.pathsep) if part]
    return Paths(
        state=state_dir,
        config=config_dir,
        runtime=runtime,
        engines=(*named, state_dir / "engines", checkout),
    )


def _xdg(environ: Mapping[str, str], name: str, fallback: str) -> Path:
    return Path(environ[name]) if environ.get(name) else Path(environ.get("HOME", "/")) / fallback


def _merge_file(values: dict[str, dict[str, object]], path: Path) -> None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: not valid TOML: {exc}") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    for section, table in document.items():
        if section not in SECTIONS:
            raise ConfigError(f"{path}: unknown section [{section}]{nearest(section, SECTIONS)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {section} must be a table, written [{section}]")
        for key, value in table.items():
            values[section][key] = _checked(section, key, value, source=f"{path}: ")


def _merge_environment(values: dict[str, dict[str, object]], environ: Mapping[str, str]) -> None:
    for name, text in environ.items():
        if not name.startswith("EDGED_") or "__" not in name:
            continue
        section, _, key = name.removeprefix("EDGED_").lower().partition("__")
        if section not in SECTIONS:
            raise ConfigError(f"environment {name}: unknown section {section}{nearest(section, SECTIONS)}")
        kind = _kinds(section).get(key, str)
        values[section][key] = _checked(section, key, _from_text(kind, text, name), source=f"environment {name}: ")


def _from_text(kind: type, text: str, name: str) -> object:
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ConfigError(f"environment {name}: must be true or false, not {text!r}")
    try:
        return kind(text)
    except ValueError as exc:
        raise ConfigError(f"environment {name}: must be {_ARTICLES[kind]}, not {text!r}") from exc


_ARTICLES: Mapping[type, str] = types.MappingProxyType(
    {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
)


def _kinds(section: str) -> dict[str, type]:
    hints = typing.get_type_hints(SECTIONS[section])
    return {item.name: hints[item.name] for item in fields(SECTIONS[section])}


def _checked(section: str, key: str, value: object, *, source: str) -> object:
    """The value if the key exists and the value has its type and range."""
    kinds = _kinds(section)
    full = f"{section}.{key}"
    if key not in kinds:
        raise ConfigError(f"{source}unknown key {full}{nearest(key, kinds)}")
    kind = kinds[key]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"{source}{full} must be {_ARTICLES[kind]}, not {value!r}")
    if full in _RANGES:
        low, high = _RANGES[full]
        if not low <= value <= high:  # type: ignore[operator]  # only numeric keys have ranges
            raise ConfigError(f"{source}{full} must be between {low:g} and {high:g}, not {value}")
    _check_choice(full, value, source)
    return value


def _check_choice(full: str, value: object, source: str) -> None:
    choices = {"logging.level": _LEVELS, "store.key": ("auto", "keyring", "file")}.get(full)
    if choices and value not in choices:
        raise ConfigError(f"{source}{full} must be one of {', '.join(choices)}, not {value!r}")
