"""What every call of edged's own services has in common: admission, errors, one log line, the drain."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from edged.errors import EdgedError, InvalidInput, Unavailable, where_it_broke
from edged.server.lifecycle import RETRY_SECONDS, Lifecycle
from edged.server.status_details import status_code, status_message, status_trailer

_Request = bytes | AsyncIterator[bytes]
Behaviour = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]
OWN_SERVICES = "/edged.v1."
POLLED = "/edged.v1.StatusService/"
"""Monitors and waiting clients call this all the time; their lines would bury the others."""
STORE_SECONDS = 10.0
"""What calls that were cut off get to store what they had; a disk that takes longer must not hold up the end."""
_WRAPS: Mapping[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler]] = MappingProxyType(
    {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
)
"""By whether requests and responses are streams."""

_log = logging.getLogger("edged.server")


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc is untyped
    """Wraps each call once, never each message. Takes coroutine handlers that write to their context."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle
        self._running: set[asyncio.Task[Any]] = set()
        self._cut_off: set[asyncio.Task[Any]] = set()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler | None]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        """Called by grpc before each call."""
        handler = await continuation(details)
        if handler is None or not details.method.startswith(OWN_SERVICES):
            return handler

        async def call(request: _Request, context: grpc.aio.ServicerContext) -> Any:
            return await self._call(details.method, handler, request, context)

        wrap = _WRAPS[handler.request_streaming, handler.response_streaming]
        # `_answer` parses the request: a parser that fails inside grpc leaves a traceback and no canonical code.
        return wrap(call, request_deserializer=None, response_serializer=handler.response_serializer)

    async def finish(self, seconds: float) -> None:
        """Wait for running calls, then cut off the rest: their callers learn that the daemon is shutting down."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        self._cut_off = set(self._running)
        for task in self._cut_off:
            task.cancel()
        if self._cut_off:
            _, stuck = await asyncio.wait(self._cut_off, timeout=STORE_SECONDS)
            if stuck:
                _log.warning("%d calls did not end when they were cut off", len(stuck))

    async def _call(
        self, method: str, handler: grpc.RpcMethodHandler, request: _Request, context: grpc.aio.ServicerContext
    ) -> Any:
        began = time.monotonic()
        code = grpc.StatusCode.CANCELLED
        try:
            response = await self._answer(method, handler, request, context)
            code = grpc.StatusCode.OK
            return response
        except EdgedError as exc:
            code = status_code(exc)
            # Not context.abort: grpc keeps the exception that it raises, and with it the request.
            context.set_code(code)
            context.set_details(status_message(exc))
            context.set_trailing_metadata(status_trailer(exc))
            _forget_frames(exc)
        finally:
            level = logging.DEBUG if method.startswith(POLLED) else logging.INFO
            _log.log(level, "%s %s %.0f ms", method, code.name, 1000 * (time.monotonic() - began))

    async def _answer(
        self, method: str, handler: grpc.RpcMethodHandler, request: _Request, context: grpc.aio.ServicerContext
    ) -> Any:
        """Raises nothing but EdgedError, and CancelledError when the caller left or its deadline passed."""
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        try:
            self._lifecycle.admit(method)
            behaviour: Behaviour = handler.stream_stream or handler.unary_stream or handler.unary_unary
            parse = handler.request_deserializer
            parsed = _parsed(request, parse) if isinstance(request, bytes) else _each_parsed(request, parse)
            return await behaviour(parsed, context)
        except EdgedError:
            raise
        except asyncio.CancelledError:
            if task not in self._cut_off:
                if task.cancelling():
                    raise
                raise Unavailable("this call was broken off") from None  # by itself: without a status callers wait
            task.uncancel()
            raise Unavailable("the daemon is shutting down and broke this off", retry_seconds=RETRY_SECONDS) from None
        except Exception as exc:  # the process border: whatever it is, the caller gets a code
            raise _internal(method, exc) from exc


def _parsed(request: bytes, deserializer: Callable[[bytes], Any]) -> Any:
    try:
        return deserializer(request)
    except DecodeError as exc:
        raise InvalidInput("the request cannot be parsed; all text must be valid UTF-8", field="request") from exc


async def _each_parsed(requests: AsyncIterator[bytes], deserializer: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _parsed(request, deserializer)


def _internal(method: str, exc: Exception) -> EdgedError:
    """An error that says nothing but where to look it up."""
    number = secrets.token_hex(4)
    _log.error("internal error %s in %s\n%s", number, method, where_it_broke(exc))
    return EdgedError(f"internal error {number}; the daemon's log says where")


def _forget_frames(exc: BaseException | None) -> None:
    """Cut an error that was dealt with loose from the frames it passed, which hold the request and it itself.

    Left to the garbage collector, which counts objects and not bytes, refused requests would fill the memory.
    """
    while exc and exc.__traceback__:
        exc.__traceback__ = None
        exc = exc.__cause__ or exc.__context__
