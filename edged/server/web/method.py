"""One method of a service, as connectrpc calls it: the adapter to the servicer that gRPC has too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo
from connectrpc.request import RequestContext
from connectrpc.server import Endpoint
from google.protobuf import descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from edged.errors import Code as CanonicalCode
from edged.errors import EdgedError
from edged.server.call_border import CallBorder
from edged.server.interceptors import forget_frames
from edged.server.web.codec import Unparsed
from edged.server.web.context import WebContext
from edged.server.web.handoff import Handoff
from edged.server.web.http_call import connect_error, current_call

Behaviour = Callable[[Any, WebContext], Awaitable[Any]]
_Context = RequestContext[Unparsed, Message]


class WebSocketOnly(EdgedError):
    """Browsers cannot stream requests over HTTP."""

    code = CanonicalCode.UNIMPLEMENTED
    reason = "WEBSOCKET_ONLY"


class Method:
    """Of a service. Raises nothing but ConnectError, and CancelledError when the caller leaves."""

    def __init__(self, path: str, method: MethodDescriptor, behaviour: Behaviour, border: CallBorder) -> None:
        """path: "/edged.v1.Service/Method". behaviour: takes the request, and writes to its context or returns."""
        self._path = path
        self._method = method
        self._request_type = GetMessageClass(method.input_type)
        self._behaviour = behaviour
        self._border = border

    def endpoint(self) -> Any:
        """For connectrpc."""
        info: MethodInfo[Unparsed, Message] = MethodInfo(
            name=self._method.name,
            service_name=self._method.containing_service.full_name,
            input=Unparsed,
            output=GetMessageClass(self._method.output_type),
            idempotency_level=IdempotencyLevel.UNKNOWN,
        )
        if self._method.client_streaming:
            return Endpoint.bidi_stream(info, self._refuse)
        if self._method.server_streaming:
            return Endpoint.server_stream(info, self._stream)
        return Endpoint.unary(info, self._unary)

    async def _unary(self, request: Unparsed, context: _Context) -> Message:
        answer: Message = await self._answer(context, lambda: self._work(request, context, _no_stream))
        return answer

    async def _stream(self, request: Unparsed, context: _Context) -> AsyncIterator[Message]:
        handoff = Handoff()
        work = self._answer(context, lambda: self._work(request, context, handoff.write))
        working = asyncio.create_task(work)
        working.add_done_callback(lambda _: handoff.end())
        try:
            async for response in handoff.responses():
                yield response
            await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _refuse(self, requests: AsyncIterator[Unparsed], context: _Context) -> AsyncIterator[Message]:
        responses: tuple[Message, ...] = ()

        def refuse() -> Awaitable[None]:
            raise WebSocketOnly(f"requests cannot be streamed over HTTP: open a WebSocket at {self._path}")

        await self._answer(context, refuse)
        for response in responses:
            yield response

    async def _work(self, request: Unparsed, context: _Context, write: Callable[[Message], Awaitable[None]]) -> Any:
        headers = context.response_headers()
        web_context = WebContext(current_call().scope, write, lambda value: headers.add("set-cookie", value))
        return await self._behaviour(await request.take(self._request_type), web_context)

    async def _answer(self, context: _Context, work: Callable[[], Awaitable[Any]]) -> Any:
        milliseconds = context.timeout_ms()
        try:
            async with asyncio.timeout(None if milliseconds is None else milliseconds / 1000):
                return await self._border.answer(self._path, current_call().identify, work)
        except TimeoutError:
            raise ConnectError(Code.DEADLINE_EXCEEDED, "the deadline passed before the answer was there") from None
        except EdgedError as exc:
            forget_frames(exc)
            raise connect_error(exc) from None


def methods(servicers: Mapping[str, object]) -> list[tuple[str, MethodDescriptor, Behaviour]]:
    """Of all services, which are named in full: the path, what goes in and out, and what answers."""
    pool = descriptor_pool.Default()
    return [
        (f"/{service}/{method.name}", method, getattr(servicer, method.name))
        for service, servicer in servicers.items()
        for method in pool.FindServiceByName(service).methods
    ]


async def _no_stream(response: Message) -> None:
    raise TypeError("this method returns its one response")
