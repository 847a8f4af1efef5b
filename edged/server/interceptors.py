"""gRPC's side of the call border: who calls, requests parsed, errors as status and trailers."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import unquote

import grpc
from google.protobuf.message import DecodeError

from edged.errors import EdgedError, InvalidInput
from edged.server.call_border import CallBorder
from edged.server.caller import Caller
from edged.server.status_details import status_code, status_message, status_trailer

_Request = bytes | AsyncIterator[bytes]
Behaviour = Callable[[Any, grpc.aio.ServicerContext], Awaitable[Any]]
Identify = Callable[[grpc.aio.ServicerContext], Caller]
OWN_SERVICES = "/edged.v1."
_WRAPS: Mapping[tuple[bool, bool], Callable[..., grpc.RpcMethodHandler]] = MappingProxyType(
    {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
)
"""By whether requests and responses are streams."""


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # grpc is untyped
    """Wraps each call once, never each message. Takes coroutine handlers that write to their context."""

    def __init__(self, border: CallBorder, identify: Identify) -> None:
        """identify: raises Unauthenticated."""
        self._border = border
        self._identify = identify

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
        # `parsed` reads the request: a parser that fails inside grpc leaves a traceback and no canonical code.
        return wrap(call, request_deserializer=None, response_serializer=handler.response_serializer)

    async def _call(
        self, method: str, handler: grpc.RpcMethodHandler, request: _Request, context: grpc.aio.ServicerContext
    ) -> Any:
        behaviour: Behaviour = handler.stream_stream or handler.unary_stream or handler.unary_unary

        def work() -> Awaitable[Any]:
            return behaviour(parsed(request, handler.request_deserializer), context)

        try:
            return await self._border.answer(method, lambda: self._identify(context), work)
        except EdgedError as exc:
            # Not context.abort: grpc keeps the exception that it raises, and with it the request.
            context.set_code(status_code(exc))
            context.set_details(status_message(exc))
            context.set_trailing_metadata(status_trailer(exc))
            forget_frames(exc)


def peer_certificate(context: grpc.aio.ServicerContext) -> bytes | None:
    """DER of the certificate that the caller shook hands with; None on the doors that are this machine's own."""
    security = context.auth_context()
    if security.get("transport_security_type") != [b"ssl"]:
        return None
    (pem,) = security["x509_pem_cert"]
    return ssl.PEM_cert_to_DER_cert(pem.decode("ascii"))


def peer_address(context: grpc.aio.ServicerContext) -> str:
    """The caller's IP address, of "ipv4:HOST:PORT" or "ipv6:[HOST]:PORT"."""
    host = unquote(context.peer()).partition(":")[2].rpartition(":")[0]
    return host.removeprefix("[").removesuffix("]").removeprefix("::ffff:")


def parsed(request: _Request, parse: Callable[[bytes], Any]) -> Any:
    """The request, or each one of a stream as it is read. Raises InvalidInput."""
    return _parsed(request, parse) if isinstance(request, bytes) else _each_parsed(request, parse)


def _parsed(request: bytes, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(request)
    except DecodeError as exc:
        raise InvalidInput("the request cannot be parsed; all text must be valid UTF-8", field="request") from exc


async def _each_parsed(requests: AsyncIterator[bytes], parse: Callable[[bytes], Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _parsed(request, parse)


def forget_frames(exc: BaseException | None) -> None:
    """Cut an error that was dealt with loose from the frames it passed, which hold the request and it itself.

    Left to the garbage collector, which counts objects and not bytes, refused requests would fill the memory.
    """
    while exc and exc.__traceback__:
        exc.__traceback__ = None
        exc = exc.__cause__ or exc.__context__
