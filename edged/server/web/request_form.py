"""In which of their forms Connect and gRPC-Web bring a request, as its headers say."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from starlette.datastructures import Headers

ENVELOPE_BYTES = 5
"""One of flags, four of length."""
COMPRESSED = 1
"""The flag."""
_ENCODING_OF = {
    "application/proto": "content-encoding",
    "application/json": "content-encoding",
    "application/connect+proto": "connect-content-encoding",
    "application/connect+json": "connect-content-encoding",
    "application/grpc-web": "grpc-encoding",
    "application/grpc-web+proto": "grpc-encoding",
    "application/grpc-web+json": "grpc-encoding",
}
"""Which header names the compression, by content type."""
_UNARY = "content-encoding"
_ENCODINGS = ("identity", "gzip")
_ALLOWED = {
    "connect-protocol-version": re.compile("1"),
    "connect-timeout-ms": re.compile("[0-9]{1,10}"),
    "grpc-timeout": re.compile("[0-9]{1,8}[HMSmun]"),
}
"""Further headers that connectrpc reads, and what they may be; it quotes others, or fails by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestForm:
    """Of one request."""

    headers: tuple[tuple[bytes, bytes], ...]
    """Those that connectrpc reads; it stumbles over some that are none of its business."""
    is_enveloped: bool
    """Messages come in envelopes."""
    is_compressed: bool
    """By gzip; in envelopes, those that say so."""

    def is_one_message(self, body: bytes) -> bool:
        """Whether the body holds one message, and nothing else."""
        if not self.is_enveloped:
            return True
        if len(body) < ENVELOPE_BYTES or body[0] not in (0, COMPRESSED * self.is_compressed):
            return False
        return int.from_bytes(body[1:ENVELOPE_BYTES]) == len(body) - ENVELOPE_BYTES

    @property
    def empty(self) -> bytes:
        """A body that holds an empty message."""
        return bytes(ENVELOPE_BYTES) if self.is_enveloped else b""


def request_form(headers: Headers) -> RequestForm | HTTPStatus:
    """Or the status that refuses it."""
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding_header = _ENCODING_OF.get(media_type)
    if encoding_header is None:
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    encoding = headers.get(encoding_header, "identity").lower()
    if encoding not in _ENCODINGS:
        return HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    kept = {"content-type": media_type, encoding_header: encoding}
    for name, allowed in _ALLOWED.items():
        if name in headers:
            if not allowed.fullmatch(headers[name]):
                return HTTPStatus.BAD_REQUEST
            kept[name] = headers[name]
    return RequestForm(
        headers=tuple((name.encode("ascii"), value.encode("ascii")) for name, value in kept.items()),
        is_enveloped=encoding_header != _UNARY,
        is_compressed=encoding != "identity",
    )
