"""One call over HTTP: its request read within limits before anybody works on it, its caller watched until the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from starlette.types import Message, Receive, Scope, Send

from edged.errors import EdgedError, InvalidInput, QueueFull, Unavailable
from edged.server.caller import Caller
from edged.server.status_details import status_details, status_message
from edged.server.web.request_form import ENVELOPE_BYTES, RequestForm

STRANGER_BYTES = 16 * 1024
"""Longest request of somebody who is not paired: what pairing takes is shorter."""
BODY_SECONDS = 20.0
"""How long a paired device may send nothing of its request; a stranger has that for the whole of it."""
SEND_SECONDS = 60.0
"""How long a caller may leave a response unread, once the connection holds no more."""


class CallerStuck(ConnectionError):
    """The caller does not read what it asked for."""


class Memory:
    """What the requests of all devices take up."""

    def __init__(self, limit: int) -> None:
        """Bytes."""
        self._left = limit

    def take(self, size: int) -> None:
        """Raises QueueFull."""
        if size > self._left:
            raise QueueFull("too many large requests arrive at once; try again soon", retry_seconds=1.0)
        self._left -= size

    def give_back(self, size: int) -> None:
        """Once the call is over."""
        self._left += size


class HttpCall:
    """What connectrpc is given in the place of the connection."""

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        form: RequestForm,
        identify: Callable[[], Caller],
        max_message_bytes: int,
        memory: Memory,
    ) -> None:
        """For the task that answers it. identify: raises Unauthenticated. max_message_bytes: for paired devices."""
        self.scope = scope
        self.identify = identify
        self.is_gone = False
        """The caller left, or does not read."""
        self._receive, self._send = receive, send
        self._form = form
        self._max_bytes = max_message_bytes
        self._is_stranger = False
        self._memory = memory
        self._held_bytes = 0
        self._is_read = False
        self._is_over = False
        self._left = asyncio.Event()
        self._task = asyncio.current_task()
        self._watching: asyncio.Task[None] | None = None

    @property
    def max_bytes(self) -> int:
        """Of its request."""
        return STRANGER_BYTES if self._is_stranger else self._max_bytes

    def hold(self, size: int) -> None:
        """So many bytes more of the request are in memory. Raises QueueFull."""
        if not self._is_stranger:  # those have little
            self._memory.take(size)
            self._held_bytes += size

    async def receive(self) -> Message:
        """The whole body at first; then, when it happens, that the caller has left. Raises ConnectError."""
        if self._is_read:
            await self._left.wait()
            return {"type": "http.disconnect"}
        self._is_read = True
        try:
            body = await self._body()
        except EdgedError as exc:
            raise connect_error(exc) from None
        self._watching = asyncio.create_task(self._watch())
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        """Raises CallerStuck."""
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self._is_over = True
        try:
            async with asyncio.timeout(0 if self.is_gone else SEND_SECONDS):
                await self._send(message)
        except TimeoutError:
            self.is_gone = True
            raise CallerStuck from None

    async def close(self) -> None:
        """At its end."""
        self._memory.give_back(self._held_bytes)
        if self._watching:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    async def _body(self) -> bytes:
        """Raises InvalidInput, QueueFull, Unavailable, ConnectError."""
        try:
            who = self.identify()
            who.require(self.scope["path"])
        except EdgedError:
            return self._form.empty  # the call border refuses it in the usual way, whatever it says
        self._is_stranger = who.is_stranger
        body = await self._read()
        if not self._form.is_one_message(body):
            raise InvalidInput("the request must be one whole message", field="request")
        return body

    async def _read(self) -> bytes:
        body, has_more = bytearray(), True
        try:
            async with asyncio.timeout(BODY_SECONDS) as patience:
                while has_more:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        self.is_gone = True
                        raise ConnectError(Code.CANCELED, "the caller left")
                    piece = message.get("body", b"")
                    if len(body) + len(piece) > self.max_bytes + ENVELOPE_BYTES * self._form.is_enveloped:
                        raise too_long(self.max_bytes)
                    self.hold(len(piece))
                    body += piece
                    has_more = message.get("more_body", False)
                    if not self._is_stranger:
                        patience.reschedule(asyncio.get_running_loop().time() + BODY_SECONDS)
        except TimeoutError:
            raise Unavailable("the request came too slowly; try again") from None
        return bytes(body)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # what somebody goes on sending whose request is refused unread
        self._left.set()
        if not self._is_over and self._task:
            self.is_gone = True
            self._task.cancel()


_current: ContextVar[HttpCall] = ContextVar("edged call over HTTP")


def current_call() -> HttpCall:
    """The one that is being answered."""
    return _current.get()


def answer_call(call: HttpCall) -> None:
    """From here on this task answers that call; connectrpc hands on no more of it than some headers."""
    _current.set(call)


def too_long(max_bytes: int) -> ConnectError:
    """Of a request, as gRPC refuses it too."""
    return ConnectError(Code.RESOURCE_EXHAUSTED, f"a request may have {max_bytes} bytes: send less at once")


def connect_error(error: EdgedError) -> ConnectError:
    """With the same canonical code, message and details as over gRPC."""
    name = error.code.grpc_status.lower()
    code = Code.CANCELED if name == "cancelled" else Code(name)
    return ConnectError(code, status_message(error), status_details(error))
