"""Who calls over the web port: browsers show a cookie."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from edged.errors import Unauthenticated
from edged.records import Device, DeviceKind
from edged.server.call_border import NOT_PAIRED
from edged.server.caller import PAIRING, Caller

COOKIE = "__Host-edged"
"""By this prefix browsers make sure that it comes from this host alone, and over TLS."""
LONGEST = timedelta(days=400)
"""For how long browsers keep a cookie at most."""
_TOKEN = re.compile(r"[A-Za-z0-9_-]{32,128}")
"""Never the bytes of a certificate, whose hash is a credential too but whose bytes are no secret."""


class Registry(Protocol):
    """Which devices are paired."""

    def identify(self, credential: bytes) -> Device:
        """The device with this SHA-256 of a token. Raises Unauthenticated."""
        ...


def identify(registry: Registry, method: str, headers: Headers, address: str) -> Caller:
    """Who calls the method ("/edged.v1.Service/Method"). Raises Unauthenticated for a token that is worth nothing now.

    Whoever pairs is a stranger, even with an old token.
    """
    token = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
    if method.startswith(PAIRING) or not _TOKEN.fullmatch(token):
        return Caller(is_stranger=True, address=address)
    device = registry.identify(hashlib.sha256(token.encode("ascii")).digest())
    if device.kind is not DeviceKind.BROWSER:
        raise Unauthenticated(NOT_PAIRED)  # a key of the HTTP API is for that alone
    return Caller(device=device, address=address)


def cookie(token: str, expires_at: datetime | None) -> str:
    """The header Set-Cookie that makes a browser keep a token; None: as long as it can."""
    lifetime = LONGEST if expires_at is None else min(expires_at - datetime.now(UTC), LONGEST)
    seconds = max(0, int(lifetime.total_seconds()))
    return f"{COOKIE}={token}; Max-Age={seconds}; Path=/; Secure; HttpOnly; SameSite=Strict"
