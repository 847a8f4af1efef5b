"""What a value must be; every refusal names the key and the nearest valid one."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields
from difflib import get_close_matches

from edged.config.camera_source import parse_camera
from edged.config.schema import CHOICES, ENVIRONMENT, RANGES, parse_address, parse_devices, parse_ip, parse_loopback
from edged.config.sections import SECTIONS
from edged.errors import ConfigError, nearest


def check_misspelt(name: str) -> None:
    """Refuse what is nearly one of our variables; other programs may use the prefix for their own."""
    known = [*ENVIRONMENT, *(f"EDGED_{key.replace('.', '__')}".upper() for key in _all_keys())]
    if matches := get_close_matches(name, known, n=1, cutoff=0.9):
        raise ConfigError(f'environment {name}: unknown variable (did you mean "{matches[0]}"?)')


def from_text(kind: type, text: str, name: str) -> object:
    """An environment variable's value as the key's type. Raises ConfigError."""
    if kind is bool:
        if text.lower() in ("1", "true", "yes", "on"):
            return True
        if text.lower() in ("0", "false", "no", "off"):
            return False
        raise ConfigError(f"{name} must be true or false, not {text!r}")
    try:
        return kind(text)
    except ValueError as exc:
        raise ConfigError(f"{name} must be {_ARTICLES[kind]}, not {text!r}") from exc


_ARTICLES: Mapping[type, str] = types.MappingProxyType(
    {bool: "true or false", int: "a whole number", float: "a number", str: "a string"}
)


def kinds_of(section: str) -> dict[str, type]:
    """The keys of a section and the type of each."""
    hints = typing.get_type_hints(SECTIONS[section])
    return {item.name: hints[item.name] for item in fields(SECTIONS[section])}


def _all_keys() -> list[str]:
    return [f"{section}.{key}" for section in SECTIONS for key in kinds_of(section)]


def nearest_section(name: str) -> str:
    """` (did you mean ...?)` for the section, or for the key of that name which stands outside its section."""
    homes = [full for full in _all_keys() if full.partition(".")[2] == name]
    return nearest(name, SECTIONS) if not homes else f' (did you mean "{homes[0]}"?)'


def _nearest_key(section: str, key: str) -> str:
    """The like-named key of another section, or the most similar one of this section, or of all."""
    homes = [full for full in _all_keys() if full.partition(".")[2] == key]
    siblings = nearest(key, kinds_of(section))
    if homes:
        return f' (did you mean "{homes[0]}"?)'
    return siblings or nearest(f"{section}.{key}", _all_keys())


def checked(section: str, key: str, value: object, *, source: str) -> object:
    """The value if the key exists and the value has its type and range."""
    kinds = kinds_of(section)
    full = f"{section}.{key}"
    if key not in kinds:
        raise ConfigError(f"{source}unknown key {full}{_nearest_key(section, key)}")
    kind = kinds[key]
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not kind:
        raise ConfigError(f"{source}{full} must be {_ARTICLES[kind]}, not {value!r}")
    if full in RANGES:
        low, high = RANGES[full]
        if not low <= value <= high:  # type: ignore[operator]  # only numeric keys have ranges
            raise ConfigError(f"{source}{full} must be between {low} and {high}, not {value}")
    _check_text(full, value, source)
    return value


def _check_text(full: str, value: object, source: str) -> None:
    choices = CHOICES.get(full)
    if choices and value not in choices:
        raise ConfigError(
            f"{source}{full} must be one of {', '.join(choices)}, not {value!r}{nearest(str(value), choices)}"
        )
    parse = _PARSERS.get(full)
    if parse and value:
        try:
            parse(str(value))
        except ValueError as exc:
            shown = "" if full in _WITH_SECRETS else f", not {value!r}"
            raise ConfigError(f"{source}{full} {exc}{shown}") from exc


_PARSERS: Mapping[str, Callable[[str], object]] = types.MappingProxyType(
    {
        "camera.source": parse_camera,
        "daemon.tcp": parse_loopback,
        "engine.devices": parse_devices,
        "http.listen": parse_address,
        "lan.host": parse_ip,
        "wyoming.listen": parse_loopback,
        "wyoming.satellite": parse_loopback,
    }
)
"""Texts with a form of their own."""
_WITH_SECRETS = frozenset({"camera.source"})
"""Texts that may hold a password."""
