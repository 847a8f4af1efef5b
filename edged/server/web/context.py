"""What servicers see of a call over the web port, in the place of gRPC's context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from google.protobuf.message import Message
from starlette.datastructures import Headers
from starlette.types import Scope

from edged.server.web.headers import server_host
from edged.server.web.identity import cookie

MAPPED = "::ffff:"
"""How an address of IPv4 begins where it comes by a socket for both."""


class WebContext:
    """Of one call."""

    def __init__(
        self,
        scope: Scope,
        write: Callable[[Message], Awaitable[None]],
        set_cookie: Callable[[str], None],
    ) -> None:
        """set_cookie: takes the header's value, before the response begins."""
        self._scope = scope
        self._write = write
        self._set_cookie = set_cookie

    async def write(self, response: Message) -> None:
        """Send one response of a stream; returns when there is room for the next one."""
        await self._write(response)

    def peer_address(self) -> str:
        """IP address of the caller."""
        return peer_address(self._scope)

    def server_host(self) -> str:
        """The name or IP address by which the caller reached this machine. Raises InvalidInput."""
        return server_host(Headers(scope=self._scope))

    def give_token(self, token: str, expires_at: datetime | None) -> None:
        """Let a browser keep this token, and show it from here on; None: for good."""
        self._set_cookie(cookie(token, expires_at))


def peer_address(scope: Scope) -> str:
    """IP address of the caller."""
    return str(scope["client"][0]).removeprefix(MAPPED)
