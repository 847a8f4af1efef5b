"""Methods whose requests are a stream, for browsers: a WebSocket at the method's path, a message for each request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edged.errors import EdgedError, InvalidInput, PermissionDenied
from edged.server.call_border import CallBorder
from edged.server.interceptors import forget_frames, parsed
from edged.server.status_details import shortened, status_code, status_message
from edged.server.web.context import WebContext, peer_address
from edged.server.web.headers import require_same_origin
from edged.server.web.identity import Registry, identify

MAX_WAITING = 4
"""Messages that came and are not taken yet; more wait in the network."""
CLOSE_SECONDS = 5.0
"""How long a caller may leave the end unread."""
MAX_REASON_BYTES = 123
"""RFC 6455, section 5.5."""
CLOSE_OK = 1000
FIRST_CLOSE_CODE = 4000
"""Of those for applications; the number of the canonical code is added."""


class WebSocketMethod:
    """An ASGI application for one method."""

    def __init__(
        self,
        path: str,
        method: MethodDescriptor,
        behaviour: Callable[[AsyncIterator[Any], WebContext], Awaitable[None]],
        border: CallBorder,
        registry: Registry,
    ) -> None:
        self._path = path
        self._parse = GetMessageClass(method.input_type).FromString
        self._behaviour = behaviour
        self._border = border
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call: from the opening of the WebSocket to its end."""
        headers = Headers(scope=scope)
        try:
            require_same_origin(headers)
        except PermissionDenied as exc:
            await Response(exc.message, 403, media_type="text/plain")(scope, receive, send)
            return
        # Only after this can a browser be told why it is refused.
        await send({"type": "websocket.accept"})
        code, reason = CLOSE_OK, ""
        connection = _Connection(receive, send)
        context = WebContext(scope, connection.write, _no_cookie)
        requests = parsed(connection.messages(), self._parse)
        try:
            await self._border.answer(
                self._path,
                lambda: identify(self._registry, self._path, headers, peer_address(scope)),
                lambda: self._behaviour(requests, context),
            )
        except EdgedError as exc:
            code = FIRST_CLOSE_CODE + status_code(exc).value[0]
            reason = shortened(status_message(exc), MAX_REASON_BYTES)
            forget_frames(exc)
        except asyncio.CancelledError:
            if not connection.is_gone:
                raise
        finally:
            await connection.close(code, reason)


class _Connection:
    """Of the task that answers the call, which is cancelled when the caller leaves."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.is_gone = False
        self._receive, self._send = receive, send
        self._task = asyncio.current_task()
        self._waiting: asyncio.Queue[bytes | None] = asyncio.Queue(MAX_WAITING)
        self._reading = asyncio.create_task(self._read())

    async def messages(self) -> AsyncIterator[bytes]:
        """What the caller sends. Raises InvalidInput for text."""
        while (data := await self._waiting.get()) is not None:
            yield data
        raise InvalidInput("each message must be binary: one request in protobuf's own form", field="request")

    async def write(self, response: Any) -> None:
        """Returns when there is room for the next one."""
        try:
            await self._send({"type": "websocket.send", "bytes": response.SerializeToString()})
        except OSError:
            self._leave()
            await asyncio.Event().wait()  # for the cancellation, which says it to everybody

    async def close(self, code: int, reason: str) -> None:
        """Say how it ended, to who is still there."""
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        if not self.is_gone:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})

    async def _read(self) -> None:
        while (message := await self._receive())["type"] != "websocket.disconnect":
            if message["type"] == "websocket.receive":
                await self._waiting.put(message.get("bytes"))
        self._leave()

    def _leave(self) -> None:
        if not self.is_gone and self._task:
            self.is_gone = True
            self._task.cancel()


def _no_cookie(value: str) -> None:
    raise TypeError("a WebSocket sets no cookie once it is open")
