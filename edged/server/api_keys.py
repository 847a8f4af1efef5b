"""Keys for the HTTP API on the LAN: the daemon keeps their hashes alone."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from edged.errors import InvalidInput
from edged.records import ApiKey, DeviceKind, Scope
from edged.server.device_registry import DeviceRegistry

DEFAULT_SCOPES = frozenset({Scope.CHAT, Scope.VOICE})
"""What its paths ask for."""
PREFIX = "edged-"
"""By which programs that look for leaked keys can tell one."""
FORM = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
"""256 bits: nobody guesses one, so that guesses need no limit."""


class KeyIssuer:
    """Of a daemon that serves the API on the LAN."""

    def __init__(self, registry: DeviceRegistry, addresses: Callable[[], Sequence[str]]) -> None:
        """addresses: HOST:PORT of the web port, the most likely one first."""
        self._registry = registry
        self._addresses = addresses

    async def create(
        self, *, name: str, person: str, scopes: frozenset[Scope], expires_at: datetime | None, address: str
    ) -> ApiKey:
        """A new one. scopes: none takes DEFAULT_SCOPES. address: IP address of who asks for it.

        Raises InvalidInput, QueueFull, Unavailable, StoreError.
        """
        if expires_at is not None and expires_at <= datetime.now(UTC):
            raise InvalidInput("expires_at is over already", field="expires_at")
        addresses = tuple(self._addresses())
        key = PREFIX + secrets.token_urlsafe(32)
        device = await self._registry.add(
            device_id=secrets.token_hex(6),
            name=name,
            kind=DeviceKind.API_KEY,
            person=person,
            scopes=scopes or DEFAULT_SCOPES,
            expires_at=expires_at,
            credential=credential_of(key),
            address=address,
        )
        return ApiKey(device=device, key=key, addresses=addresses)


def credential_of(key: str) -> bytes:
    """What the registry knows a key by."""
    return hashlib.sha256(key.encode("ascii")).digest()
