"""Answers that take their time: broken off when the client leaves, through the same border as every other call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from edged.errors import EdgedError, Unavailable
from edged.server.call_border import CallBorder
from edged.server.interceptors import forget_frames
from edged.server.openai.description import EVENTS
from edged.server.openai.door import IDENTIFY
from edged.server.openai.failures import failed, failure

_Result = TypeVar("_Result")

SEND_SECONDS = 60.0
"""How long a client may leave a piece unread, once the connection holds no more."""
_END = {"type": "http.response.body", "body": b""}


async def answered(border: CallBorder, request: Request, work: Callable[[], Awaitable[Response]]) -> Response:
    """What `work` returns, or the error as a response; cancelled when the client leaves meanwhile."""
    try:
        response = await _unless_left(request.receive, border.answer(method_of(request), request.scope[IDENTIFY], work))
    except EdgedError as exc:
        forget_frames(exc)
        return failed(exc)
    return response or Response(status_code=499)  # which nobody reads


async def _unless_left(receive: Receive, work: Coroutine[Any, Any, _Result]) -> _Result | None:
    """What the work returns; None where the client left before, and the work was cancelled."""
    working, leaving = asyncio.create_task(work), asyncio.create_task(_left(receive))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else None
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def method_of(request: Request) -> str:
    """For the log: the path as it is declared, since what stands for a name in it is the client's."""
    return str(request.scope["route"].path)


class ByteStream(Response):
    """A file as it is made. An error before its first piece is a response of its own; a later one breaks it off."""

    def __init__(self, border: CallBorder, path: str, pieces: AsyncGenerator[bytes, None], media_type: str) -> None:
        """path: see `method_of`."""
        super().__init__(headers={"cache-control": "no-cache"}, media_type=media_type)
        del self.headers["content-length"]
        self._border = border
        self._path = path
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end, or until the client leaves."""
        await _unless_left(receive, self._work(scope, receive, send))

    async def _work(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def work() -> None:
            nonlocal has_begun
            async with aclosing(self._pieces) as pieces:
                async for piece in pieces:
                    if not has_begun:
                        has_begun = True
                        await _patiently(
                            send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                        )
                    await _patiently(send, _more(piece))

        try:
            await self._border.answer(self._path, scope[IDENTIFY], work)
        except EdgedError as exc:
            forget_frames(exc)
            if not has_begun:
                await failed(exc)(scope, receive, send)
                return
            await self._break_off(send, exc)
            return
        await self._close(send)

    async def _break_off(self, send: Send, error: EdgedError) -> None:
        """The connection ends before the answer does."""

    async def _close(self, send: Send) -> None:
        await send(_END)


class EventStream(ByteStream):
    """Server-sent events: `data: {...}` for each piece, and `data: [DONE]`, or a late error and nothing after it."""

    def __init__(self, border: CallBorder, path: str, pieces: AsyncGenerator[dict[str, Any], None]) -> None:
        """path: see `method_of`."""
        super().__init__(border, path, _events(pieces), EVENTS)

    async def _break_off(self, send: Send, error: EdgedError) -> None:
        await _patiently(send, _more(_event(json.dumps(failure(error)[1]))))
        await send(_END)

    async def _close(self, send: Send) -> None:
        await _patiently(send, _more(_event("[DONE]")))
        await super()._close(send)


async def _events(pieces: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(pieces):
        async for piece in pieces:
            yield _event(json.dumps(piece))  # some clients take U+2028 for a line's end


async def _patiently(send: Send, message: dict[str, Any]) -> None:
    try:
        async with asyncio.timeout(SEND_SECONDS):
            await send(message)
    except TimeoutError:
        raise Unavailable("the caller stopped reading, so the answer was broken off") from None


def _event(data: str) -> bytes:
    return f"data: {data}\n\n".encode()


def _more(data: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": True}
