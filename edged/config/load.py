"""Reads files and environment into a `Config`."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from edged.config.check import check_misspelt, checked, from_text, kinds_of, nearest_section
from edged.config.paths import find_config_file, find_paths, find_supervisor
from edged.config.schema import ENVIRONMENT, SOCKET_PATH_BYTES, Config
from edged.config.sections import SECTIONS
from edged.errors import ConfigError


def load_config(environ: Mapping[str, str] | None = None) -> Config:
    """Read files and environment. Raises ConfigError naming the file, the key and the nearest valid one."""
    environ = os.environ if environ is None else environ
    file = find_config_file(environ)
    values: dict[str, dict[str, object]] = {name: {} for name in SECTIONS}
    for path in [file, *sorted((file.parent / "edged.d").glob("*.toml"))]:
        if path.is_file():
            _merge_file(values, path)
    _merge_environment(values, environ)
    sections = {name: cls(**values[name]) for name, cls in SECTIONS.items()}
    config = Config(paths=find_paths(environ, file.parent), supervisor=find_supervisor(environ), **sections)
    socket = config.socket_path
    if (length := len(os.fsencode(socket))) > SOCKET_PATH_BYTES:
        raise ConfigError(f"daemon.socket: {socket} has {length} bytes, {SOCKET_PATH_BYTES} fit: set a shorter path")
    try:
        _ = config.http_address
    except ValueError as exc:
        raise ConfigError(f"http.listen {exc}, not {config.http.listen!r}") from exc
    return config


def environment_for(config: Config) -> dict[str, str]:
    """The environment for a daemon that this process starts: its `load_config` gives `config` again.

    The configuration directory stays the one that this process's own environment names, and the child
    does not speak to the supervisor of this process.
    """
    supervisor = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM")
    environ = {name: value for name, value in os.environ.items() if name not in supervisor}
    for section, cls in SECTIONS.items():
        for item in fields(cls):
            environ[f"EDGED_{section}__{item.name}".upper()] = str(getattr(getattr(config, section), item.name))
    environ["EDGED_DAEMON__SOCKET"] = str(config.socket_path)
    environ["EDGED_STATE_DIR"] = str(config.paths.state)
    environ["EDGED_ENGINES_DIR"] = os.pathsep.join(str(path) for path in config.paths.engines)
    return environ


def _merge_file(values: dict[str, dict[str, object]], path: Path) -> None:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        raise ConfigError(f"{path}: not valid TOML: {exc}") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc
    for section, table in document.items():
        if section in SECTIONS and not isinstance(table, dict):
            raise ConfigError(f"{path}: {section} must be a table, written [{section}]")
        if section not in SECTIONS:
            what = f"unknown section [{section}]" if isinstance(table, dict) else f"{section} stands in no section"
            raise ConfigError(f"{path}: {what}{nearest_section(section)}")
        for key, value in table.items():
            values[section][key] = checked(section, key, value, source=f"{path}: ")


def _merge_environment(values: dict[str, dict[str, object]], environ: Mapping[str, str]) -> None:
    for name, text in environ.items():
        if not name.startswith("EDGED_") or name in ENVIRONMENT:
            continue
        section, separator, key = name.removeprefix("EDGED_").lower().partition("__")
        if not separator:
            check_misspelt(name)
            continue
        source = f"environment {name}: "
        if section not in SECTIONS:
            raise ConfigError(f"{source}unknown section {section}{nearest_section(section)}")
        kind = kinds_of(section).get(key, str)
        values[section][key] = checked(section, key, from_text(kind, text, f"{source}{section}.{key}"), source=source)
