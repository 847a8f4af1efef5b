"""Every error edged raises on purpose, with the code that crosses the wire.

An `EdgedError` carries a message fit to be shown to a user: one line, saying what to do next.
`Code` is the one table that maps to gRPC and HTTP; servers translate with it and nothing else.
"""

from __future__ import annotations

import enum
import traceback
from collections.abc import Iterable
from difflib import get_close_matches


class Code(enum.Enum):
    """Canonical codes: (gRPC status name, HTTP status)."""

    INVALID_ARGUMENT = ("INVALID_ARGUMENT", 400)
    OUT_OF_RANGE = ("OUT_OF_RANGE", 400)
    UNAUTHENTICATED = ("UNAUTHENTICATED", 401)
    PERMISSION_DENIED = ("PERMISSION_DENIED", 403)
    NOT_FOUND = ("NOT_FOUND", 404)
    ALREADY_EXISTS = ("ALREADY_EXISTS", 409)
    FAILED_PRECONDITION = ("FAILED_PRECONDITION", 409)
    RESOURCE_EXHAUSTED = ("RESOURCE_EXHAUSTED", 429)
    CANCELLED = ("CANCELLED", 499)
    INTERNAL = ("INTERNAL", 500)
    DATA_LOSS = ("DATA_LOSS", 500)
    UNIMPLEMENTED = ("UNIMPLEMENTED", 501)
    UNAVAILABLE = ("UNAVAILABLE", 503)
    DEADLINE_EXCEEDED = ("DEADLINE_EXCEEDED", 504)

    @property
    def grpc_status(self) -> str:
        """Name of the `grpc.StatusCode`."""
        return self.value[0]

    @property
    def http_status(self) -> int:
        """The status of an HTTP answer."""
        return self.value[1]


class EdgedError(Exception):
    """Root of the tree."""

    code = Code.INTERNAL
    reason = "INTERNAL"
    """UPPER_SNAKE_CASE, stable, for programs (google.rpc.ErrorInfo.reason)."""

    def __init__(
        self,
        message: str,
        *,
        field: str = "",
        resource: tuple[str, str] | None = None,
        retry_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        """Request field at fault (google.rpc.BadRequest)."""
        self.resource = resource
        """Type and name of what was not found or is in the way (google.rpc.ResourceInfo)."""
        self.retry_seconds = retry_seconds
        """When trying again may help (google.rpc.RetryInfo)."""


class InvalidInput(EdgedError):
    """The request breaks a rule; `field` names where."""

    code = Code.INVALID_ARGUMENT
    reason = "INVALID_INPUT"


class ContextOverflow(EdgedError):
    """The message alone does not fit the model's context."""

    code = Code.OUT_OF_RANGE
    reason = "CONTEXT_OVERFLOW"


class UnsupportedPart(EdgedError):
    """The model cannot take this kind of input."""

    code = Code.UNIMPLEMENTED
    reason = "UNSUPPORTED_PART"


class MalformedAction(EdgedError):
    """What a model wrote is no action of a phone, so nothing was done."""

    reason = "MALFORMED_ACTION"


class Unauthenticated(EdgedError):
    """The caller is no paired device, or no longer one."""

    code = Code.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(EdgedError):
    """The device lacks the scope, or the operator said no."""

    code = Code.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class NotFound(EdgedError):
    """No such conversation or engine; `resource` says which."""

    code = Code.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(EdgedError):
    """The name is taken."""

    code = Code.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class ConversationBusy(EdgedError):
    """The conversation's last answer is still being generated."""

    code = Code.FAILED_PRECONDITION
    reason = "CONVERSATION_BUSY"


class QueueFull(EdgedError):
    """Too many requests are waiting."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "QUEUE_FULL"


class PairingLocked(EdgedError):
    """Too many wrong codes; the link still works."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "PAIRING_LOCKED"


class PairingClosed(EdgedError):
    """Nobody is let in now: the operator has opened no pairing, or it has ended."""

    code = Code.FAILED_PRECONDITION
    reason = "PAIRING_CLOSED"


class PairingExpired(EdgedError):
    """The operator said nothing in time."""

    code = Code.DEADLINE_EXCEEDED
    reason = "PAIRING_EXPIRED"


class Unavailable(EdgedError):
    """Loading, draining, or no daemon answers."""

    code = Code.UNAVAILABLE
    reason = "UNAVAILABLE"


class ConfigError(EdgedError):
    """edged.toml or the environment is wrong; the message names the key."""

    code = Code.FAILED_PRECONDITION
    reason = "CONFIG"


class AlreadyRunning(EdgedError):
    """Another daemon holds the state directory, the socket or the port."""

    code = Code.FAILED_PRECONDITION
    reason = "ALREADY_RUNNING"


class MissingExtra(EdgedError):
    """An optional dependency is not installed; the message is the pip command."""

    code = Code.FAILED_PRECONDITION
    reason = "MISSING_EXTRA"


class DeviceUnavailable(EdgedError):
    """A device cannot compute this engine, or be opened to hear, speak or see; the message is why, and what to do."""

    code = Code.FAILED_PRECONDITION
    reason = "DEVICE_UNAVAILABLE"


class CameraOff(EdgedError):
    """No camera is configured, or it is switched off."""

    code = Code.FAILED_PRECONDITION
    reason = "CAMERA_OFF"


class ArtefactError(EdgedError):
    """An engine folder is missing, torn or tampered with; names the file."""

    code = Code.DATA_LOSS
    reason = "ARTEFACT"


class CheckpointError(EdgedError):
    """A source checkpoint cannot be read or is of an unsupported kind."""

    code = Code.INVALID_ARGUMENT
    reason = "CHECKPOINT"


class QualityGateFailed(EdgedError):
    """Quantization lost more than the recipe allows; nothing was installed."""

    code = Code.FAILED_PRECONDITION
    reason = "QUALITY_GATE"


class StoreError(EdgedError):
    """The database cannot be opened or written."""

    code = Code.UNAVAILABLE
    reason = "STORE"


class StoreFull(StoreError):
    """The disk is full; nothing was acknowledged."""

    code = Code.RESOURCE_EXHAUSTED
    reason = "STORE_FULL"


class EgressRefused(EdgedError):
    """Something tried to reach the network."""

    code = Code.FAILED_PRECONDITION
    reason = "EGRESS_REFUSED"


class RemoteError(EdgedError):
    """What a daemon answered, rebuilt on the client's side."""

    def __init__(
        self,
        message: str,
        *,
        code: Code,
        reason: str,
        field: str = "",
        resource: tuple[str, str] | None = None,
        retry_seconds: float | None = None,
    ) -> None:
        super().__init__(message, field=field, resource=resource, retry_seconds=retry_seconds)
        self.code = code
        self.reason = reason


MAX_NAME_CHARACTERS = 200
"""Longer names are nobody's typing error, and comparing takes time and memory in proportion."""


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean "x"?)` for the closest known name, before all one that begins so, or an empty string."""
    if not 0 < len(name) <= MAX_NAME_CHARACTERS:
        return ""
    names = list(known)
    begun = [other for other in names if other.startswith(name)]
    matches = get_close_matches(name, begun, n=1, cutoff=0.0) or get_close_matches(name, names, n=1, cutoff=0.5)
    return f' (did you mean "{matches[0]}"?)' if matches else ""


_NO_MEMORY = ("std::bad_alloc", "Failed to allocate memory")
"""Of ONNX Runtime, whose errors have no type for it."""
_NO_THREAD = "can't start new thread"
"""Of `threading`."""


def shortage(exc: BaseException) -> Unavailable | None:
    """What the machine has run out of, for who asked; None for any other failure."""
    if isinstance(exc, MemoryError) or any(words in str(exc) for words in _NO_MEMORY):
        return Unavailable("no memory is left for that: end what else takes it, or raise MemoryMax=", retry_seconds=5.0)
    if isinstance(exc, RuntimeError) and str(exc) == _NO_THREAD:
        return Unavailable(
            "no more threads can be started: raise TasksMax= of the service or `ulimit -u`, or give it more memory",
            retry_seconds=5.0,
        )
    return None


def where_it_broke(exc: BaseException) -> str:
    """Types and lines of code of an exception and its causes, for logs; their messages may quote what people said."""
    cause = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    earlier = where_it_broke(cause) if cause else ""
    return f"{earlier}{''.join(traceback.format_tb(exc.__traceback__))}{type(exc).__qualname__}\n"
