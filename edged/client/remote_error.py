"""What a failed call said, as the `EdgedError` that the daemon raised."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

from edged.errors import Code, EdgedError, InvalidInput, RemoteError, Unauthenticated, Unavailable

DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.grpc_status: code for code in Code}


@contextmanager
def remote_errors(address: str, *, is_paired: bool = False) -> Iterator[None]:
    """Raise RemoteError for what the daemon refused, Unavailable when none answers.

    is_paired: the daemon shows a certificate and asks for one. Unauthenticated where it is another daemon's.
    """
    try:
        yield
    except grpc.aio.AioRpcError as exc:
        raise edged_error(exc, address, is_paired=is_paired) from exc


@contextmanager
def encodable() -> Iterator[None]:
    """Raise InvalidInput for arguments that a request cannot hold."""
    try:
        yield
    except UnicodeEncodeError as exc:
        raise InvalidInput("text must be valid Unicode; this holds bytes that are not UTF-8", field="request") from exc
    except (TypeError, ValueError) as exc:
        raise InvalidInput(f"the request cannot hold this: {exc}", field="request") from exc


def edged_error(call: grpc.aio.AioRpcError, address: str, *, is_paired: bool) -> EdgedError:
    """The error a failed call stands for."""
    details = _details(call)
    name = call.code().name
    if name == "UNAVAILABLE" and not details.details:
        return _unreached(call.details() or "", address, is_paired=is_paired)
    if name == "CANCELLED" and not details.details:  # by the daemon: a call that this side cancels ends otherwise
        return Unavailable(f"the daemon at {address} went away during the call; ask again when it is back")
    if name == "INTERNAL" and not details.details:  # of gRPC itself: the daemon's own say more
        return Unavailable(f"the connection to {address} broke during the call; ask again")
    return rebuilt(call.details() or name, name, details.details)


def rebuilt(message: str, code: str, details: Iterable[any_pb2.Any]) -> RemoteError:
    """The error with that canonical code, e.g. "NOT_FOUND", and details of google.rpc."""
    details = tuple(details)
    info, request, resource, retry = (
        error_details_pb2.ErrorInfo(reason=code),
        error_details_pb2.BadRequest(),
        error_details_pb2.ResourceInfo(),
        error_details_pb2.RetryInfo(),
    )
    found = [kind for kind in (info, request, resource, retry) if any(_unpacks(item, kind) for item in details)]
    return RemoteError(
        message,
        code=_CODES.get(code, Code.INTERNAL),
        reason=info.reason,
        field=request.field_violations[0].field if request.field_violations else "",
        resource=(resource.resource_type, resource.resource_name) if resource in found else None,
        retry_seconds=retry.retry_delay.ToNanoseconds() / 1e9 if retry in found else None,
    )


def _unpacks(detail: any_pb2.Any, into: Message) -> bool:
    try:
        return bool(detail.Unpack(into))
    except DecodeError:
        return False


def _unreached(said: str, address: str, *, is_paired: bool) -> EdgedError:
    """Why there is no connection, by what gRPC said of it."""
    if not is_paired:
        return Unavailable(f"no daemon answers at {address}; start one with `edged serve`")
    if "handshake failed" in said:
        return Unauthenticated(
            f"what answers at {address} is not the daemon that was paired with: `edged join` pairs with this one"
        )
    if "failed to connect" in said and "Socket closed" in said:
        # With TLS 1.3 whoever does not like our certificate says so after the handshake, by leaving.
        return Unavailable(
            f"the daemon at {address} hung up: unless it is just starting again, this pairing is over and `edged join` "
            "makes a new one"
        )
    return Unavailable(f"no daemon answers at {address}: is it on, with `edged serve --lan`, and in this network?")


def _details(call: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Empty when gRPC itself failed the call."""
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()
