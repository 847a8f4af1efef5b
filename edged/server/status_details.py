"""An `EdgedError` as a gRPC status with google.rpc details.

`reason`, `field`, `resource` and `retry_seconds` become ErrorInfo, BadRequest, ResourceInfo and RetryInfo
inside the google.rpc.Status that gRPC carries in the trailer `grpc-status-details-bin`.
"""

from __future__ import annotations

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from edged.errors import EdgedError

DOMAIN = "edged"
DETAILS_KEY = "grpc-status-details-bin"
MAX_MESSAGE_BYTES = 1000
MAX_NAME_BYTES = 200
"""Messages may quote what the caller sent, and gRPC peers refuse trailers beyond 8 KiB."""


def status_code(error: EdgedError) -> grpc.StatusCode:
    """The canonical code of an error."""
    return grpc.StatusCode[error.code.grpc_status]


def status_message(error: EdgedError) -> str:
    """The error's one line, cut to what a trailer may hold."""
    return shortened(" ".join(error.message.splitlines()), MAX_MESSAGE_BYTES)


def status_trailer(error: EdgedError) -> tuple[tuple[str, bytes], ...]:
    """Trailing metadata that carries the details."""
    status = status_pb2.Status(code=status_code(error).value[0], message=status_message(error))
    for detail in status_details(error):
        status.details.add().Pack(detail)
    return ((DETAILS_KEY, status.SerializeToString()),)


def status_details(error: EdgedError) -> list[Message]:
    """Messages of google.rpc, ErrorInfo first."""
    details: list[Message] = [error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)]
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=shortened(error.field, MAX_NAME_BYTES), description=status_message(error)
        )
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.resource:
        kind, name = (shortened(text, MAX_NAME_BYTES) for text in error.resource)
        details.append(error_details_pb2.ResourceInfo(resource_type=kind, resource_name=name))
    if error.retry_seconds is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(error.retry_seconds * 1e9))
        details.append(retry)
    return details


def shortened(text: str, max_bytes: int) -> str:
    """At most `max_bytes` of UTF-8, whole characters; what cannot be encoded becomes "?"."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= max_bytes:
        return encoded.decode()
    return encoded[: max_bytes - len("…".encode())].decode(errors="ignore") + "…"
