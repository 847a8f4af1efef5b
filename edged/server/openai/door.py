"""What every request passes before it is read: whom it comes from and is meant for, and how much it may be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edged.errors import Code, EdgedError, PermissionDenied, QueueFull
from edged.server.caller import Caller
from edged.server.interceptors import forget_frames
from edged.server.openai.failures import body, failure
from edged.server.web.http_call import Memory

BODY_SECONDS = 20.0
"""How long a client may send nothing of its request."""
MAX_VALUES = 250_000
"""Of JSON in a request, about: each takes a hundred times the memory that it took to send."""
LARGE_REQUESTS = 4
"""How many of the largest size may be in memory at once."""
IDENTIFY = "edged.identify"
"""In the scope of a request that passed: says who calls, and raises Unauthenticated."""
_SEPARATORS = (b",", b":", b"[", b"{")
_NOT_IN_A_HOST = frozenset("@/?#\\")
_TOO_LARGE = "the request is too large"
NOT_THIS_HOST = (
    "this port is for programs on this machine, and the header Host names another one: ask at 127.0.0.1 or localhost; "
    "of a container, http.hosts lists the names that it has for others"
)


class Door:
    """Around an application, in one of the places where it is served."""

    def __init__(self, app: ASGIApp, admit: Callable[[Scope], Callable[[], Caller]], *, max_bytes: int) -> None:
        """admit: who calls, by the scope; raises PermissionDenied, and what it returns Unauthenticated.

        max_bytes: of a request's body.
        """
        self._app = app
        self._admit = admit
        self._max_bytes = max_bytes
        self._memory = Memory(LARGE_REQUESTS * max_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # before it is accepted: 403
            return
        if scope["type"] != "http":
            return
        try:
            identify = self._admit(scope)
            identify()
        except EdgedError as exc:
            await _refused(exc)(scope, receive, send)
            return
        headers = Headers(scope=scope)
        is_json = not headers.get("content-type", "").lower().startswith("multipart/form-data")
        limited = _Limited(receive, self._memory, self._max_bytes, MAX_VALUES if is_json else None)
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length) > self._max_bytes:
            await _refusal(413, _TOO_LARGE)(scope, receive, send)
            return
        has_begun = False

        async def watched(message: Message) -> None:
            nonlocal has_begun
            if limited.problem and not has_begun:
                return  # what the application makes of half a request is not what is wrong
            has_begun = True
            await send(message)

        try:
            await self._app({**scope, IDENTIFY: identify}, limited.receive, watched)
        except _Refused:
            if has_begun:
                raise
        finally:
            forget_frames(limited.problem)
            self._memory.give_back(limited.held_bytes)
        if limited.problem and not has_begun:
            await _refusal(limited.problem.status, limited.problem.message)(scope, receive, send)


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Limited:
    def __init__(self, receive: Receive, memory: Memory, max_bytes: int, max_values: int | None) -> None:
        self._memory = memory
        self.held_bytes = 0
        self._values_left = max_values
        self._receive = receive
        self._left = max_bytes
        self._is_read = False
        self.problem: _Refused | None = None

    async def receive(self) -> Message:
        try:
            async with asyncio.timeout(None if self._is_read else BODY_SECONDS):
                message = await self._receive()
        except TimeoutError:
            self.problem = _Refused(408, "the request came too slowly")
            raise self.problem from None
        if message["type"] == "http.request":
            body = message.get("body", b"")
            self._left -= len(body)
            if self._values_left is not None:
                self._values_left -= sum(map(body.count, _SEPARATORS))
            self._is_read = not message.get("more_body", False)
            if self._left < 0:
                self.problem = _Refused(413, _TOO_LARGE)
                raise self.problem
            try:
                self._memory.take(len(body))
            except QueueFull as exc:
                self.problem = _Refused(429, exc.message)
                raise self.problem from None
            self.held_bytes += len(body)
            if self._is_read and self._values_left is not None and self._values_left < 0:
                self.problem = _Refused(413, "the request holds too many values")
                raise self.problem
        return message


def on_this_machine(scope: Scope, *, hosts: frozenset[str] = frozenset()) -> Callable[[], Caller]:
    """Every program is the operator's. hosts: names that programs may ask for beside this machine's own.

    Raises PermissionDenied for a page whose name was made to mean 127.0.0.1, and for one from elsewhere.
    """
    headers = Headers(scope=scope)
    host = headers.get("host", "")
    name = _host(f"//{host}")
    if not _NOT_IN_A_HOST.isdisjoint(host) or not (name in hosts or _is_loopback(name)):
        raise PermissionDenied(NOT_THIS_HOST)
    if not all(_is_loopback(_host(origin)) for origin in headers.getlist("origin")):
        raise PermissionDenied("this port is for programs on this machine: the header Origin names a page of elsewhere")
    return Caller


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _is_loopback(name: str) -> bool:
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _refused(error: EdgedError) -> JSONResponse:
    status, content = failure(error)
    headers = {"connection": "close"}
    if error.code is Code.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(content, status, headers)


def _refusal(status: int, text: str) -> JSONResponse:
    headers = {"connection": "close", **({"retry-after": "1"} if status == 429 else {})}
    return JSONResponse(body(text, status, code="refused"), status, headers)
