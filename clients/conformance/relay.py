"""Between a client and the daemon: passes every call on as bytes, and lets somebody watch and meddle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import grpc

MAX_KEPT_REQUESTS = 64


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of the client's."""

    method: str
    """ "/package.Service/Method"."""
    deadline_seconds: float | None
    """That the client had set as it began; None for none."""
    began_at: float
    """By the loop's clock."""
    requests: list[bytes] = field(default_factory=list)
    """The first ones."""
    responses: int = 0
    """Passed on so far."""
    status: str = ""
    """Name of the canonical code; CANCELLED where the client left. Empty while it goes on."""


class Cut(Exception):
    """Raised by a witness: the connection breaks here."""


class Witness(Protocol):
    """Whoever watches. For one event loop."""

    def sent(self, call: Call, response: bytes) -> list[bytes]:
        """What the client gets in place of a response; called before it gets it. Raises Cut."""
        ...

    def ended(self, call: Call) -> None:
        """The call is over."""
        ...


class Relay(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc is untyped
    """A gRPC server that answers with another one's answers."""

    def __init__(self, target: str, witness: Witness) -> None:
        """target: as grpc takes it."""
        self._channel = grpc.aio.insecure_channel(
            target, options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        )
        self._witness = witness
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
        self._server.add_generic_rpc_handlers((self,))

    async def start(self, port: int) -> int:
        """Listen on loopback; the port, which may be asked for as 0."""
        bound = self._server.add_insecure_port(f"127.0.0.1:{port}")
        await self._server.start()
        return int(bound)

    async def stop(self) -> None:
        """Break off what goes on."""
        await self._server.stop(None)
        await self._channel.close()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
        """Called by grpc for each call. On the wire, a call with one request is a stream of one."""
        return grpc.stream_stream_rpc_method_handler(partial(self._pass_on, details.method))

    async def _pass_on(self, method: str, requests: AsyncIterator[bytes], context: grpc.aio.ServicerContext) -> None:
        left = context.time_remaining()
        call = Call(method=method, deadline_seconds=left, began_at=asyncio.get_running_loop().time())
        upstream: Any = self._channel.stream_stream(method)(_kept(requests, call), timeout=left)
        call.status = "CANCELLED"
        try:
            async for response in upstream:
                for piece in self._witness.sent(call, response):
                    await context.write(piece)
                    call.responses += 1
            call.status = "OK"
        except Cut:
            call.status = "UNAVAILABLE"
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
        except grpc.aio.AioRpcError as exc:
            call.status = exc.code().name
            context.set_trailing_metadata(tuple(exc.trailing_metadata() or ()))
            await context.abort(exc.code(), exc.details() or "", tuple(exc.trailing_metadata() or ()))
        finally:
            upstream.cancel()
            self._witness.ended(call)


async def _kept(requests: AsyncIterator[bytes], call: Call) -> AsyncIterator[bytes]:
    async for request in requests:
        if len(call.requests) < MAX_KEPT_REQUESTS:
            call.requests.append(request)
        yield request
