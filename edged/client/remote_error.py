"""What a failed call said, as the `EdgedError` that the daemon raised."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from edged.errors import Code, EdgedError, InvalidInput, RemoteError, Unavailable

DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.grpc_status: code for code in Code}


@contextmanager
def remote_errors(address: str) -> Iterator[None]:
    """Raise RemoteError for what the daemon refused, Unavailable when none answers."""
    try:
        yield
    except grpc.aio.AioRpcError as exc:
        raise edged_error(exc, address) from exc


@contextmanager
def encodable() -> Iterator[None]:
    """Raise InvalidInput for arguments that a request cannot hold."""
    try:
        yield
    except UnicodeEncodeError as exc:
        raise InvalidInput("text must be valid Unicode; this holds bytes that are not UTF-8", field="request") from exc
    except (TypeError, ValueError) as exc:
        raise InvalidInput(f"the request cannot hold this: {exc}", field="request") from exc


def edged_error(call: grpc.aio.AioRpcError, address: str) -> EdgedError:
    """The error a failed call stands for."""
    details = _details(call)
    name = call.code().name
    if name == "UNAVAILABLE" and not details.details:
        return Unavailable(f"no daemon answers at {address}; start one with `edged serve`")
    if name == "CANCELLED" and not details.details:  # by the daemon: a call that this side cancels ends otherwise
        return Unavailable(f"the daemon at {address} went away during the call; ask again when it is back")
    if name == "INTERNAL" and not details.details:  # of gRPC itself: the daemon's own say more
        return Unavailable(f"the connection to {address} broke during the call; ask again")
    info, request, resource, retry = (
        error_details_pb2.ErrorInfo(reason=name),
        error_details_pb2.BadRequest(),
        error_details_pb2.ResourceInfo(),
        error_details_pb2.RetryInfo(),
    )
    found = [kind for kind in (info, request, resource, retry) if any(item.Unpack(kind) for item in details.details)]
    return RemoteError(
        call.details() or name,
        code=_CODES.get(name, Code.INTERNAL),
        reason=info.reason,
        field=request.field_violations[0].field if request.field_violations else "",
        resource=(resource.resource_type, resource.resource_name) if resource in found else None,
        retry_seconds=retry.retry_delay.ToNanoseconds() / 1e9 if retry in found else None,
    )


def _details(call: grpc.aio.AioRpcError) -> status_pb2.Status:
    """Empty when gRPC itself failed the call."""
    for key, value in call.trailing_metadata() or ():
        if key == DETAILS_KEY:
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()
