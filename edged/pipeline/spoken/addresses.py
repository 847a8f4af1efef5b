"""Web and e-mail addresses, as they are said: example dot com."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import unquote

ENGLISH = {".": "dot", "/": "slash", "@": "at", "-": "dash", "_": "underscore", "+": "plus", ":": "colon", "~": "tilde"}
CHINESE = {".": "点", "/": "斜杠", "@": "艾特", "-": "杠", "_": "下划线", "+": "加", ":": "冒号", "~": "波浪号"}

_TOP_LEVEL = "com|org|net|edu|gov|io|dev|app|info|ai|tv|me|us|uk|cn|de|fr|jp|eu|ca|au|local|wiki|xyz"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})"
_HOST = rf"(?:{_LABEL}\.){{1,8}}"
_PATH = r"(?:[/?#][A-Za-z0-9/?#&=%._~:@!$'()*+,;-]*)?"
_EMAIL = re.compile(rf"(?<![\w.+-])(?:mailto:)?([A-Za-z0-9_.+-]{{1,64}}+@{_HOST}[A-Za-z]{{2,24}})(?![A-Za-z0-9])")
_URL = re.compile(
    rf"(?<![A-Za-z0-9@.-])(?:(?:https?|ftp)://(?:www\.)?([A-Za-z0-9.-]{{1,253}}+(?::\d{{1,5}})?)|"
    rf"www\.({_HOST}[A-Za-z]{{2,24}})|({_HOST}(?:{_TOP_LEVEL}))(?![A-Za-z0-9-]|\.[A-Za-z0-9]))({_PATH})"
)
_TRAILING = ".,;:!?'()*-"
_PARTS = re.compile(r"[^\W_]+|[./@_+:~-]")
MAX_PATH = 60
"""A longer path is nothing to listen to, and is left out."""


def say_addresses(text: str, names: Mapping[str, str]) -> str:
    """The text with its addresses in words. Scheme, www, query and fragment are not said."""
    text = _EMAIL.sub(lambda found: _spelled(found[1], names), text)
    return _URL.sub(lambda found: _say_url(found, names), text)


def _say_url(found: re.Match[str], names: Mapping[str, str]) -> str:
    host = found[1] or found[2] or found[3]
    whole = host + found[4]
    tail = whole[len(whole.rstrip(_TRAILING)) :]
    path = re.split(r"[?#]", found[4])[0].rstrip(_TRAILING).rstrip("/")
    if len(path) > MAX_PATH:
        path = ""
    return _spelled(host.rstrip(".-") + unquote(path), names) + tail


def _spelled(address: str, names: Mapping[str, str]) -> str:
    return " ".join(names.get(part, part) for part in _PARTS.findall(address))
