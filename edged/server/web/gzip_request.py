"""Requests that clients compress, as some do unless they are told not to, are unpacked within limits."""

from __future__ import annotations

import gzip
import zlib

from edged.errors import EdgedError, InvalidInput
from edged.server.web.http_call import connect_error, current_call, too_long

_WITH_HEADER = 16 + zlib.MAX_WBITS
"""As zlib calls gzip's format."""


class BoundedGzip:
    """connectrpc's own unpacks whatever it is given, and a few bytes can become gigabytes."""

    def name(self) -> str:
        """In headers."""
        return "gzip"

    def compress(self, data: bytes | bytearray | memoryview) -> bytes:
        """A response."""
        return gzip.compress(data)

    def decompress(self, data: bytes | bytearray | memoryview) -> bytes:
        """A request, of the call that is being answered. Raises ConnectError."""
        call = current_call()
        unpacking = zlib.decompressobj(_WITH_HEADER)
        try:
            unpacked = unpacking.decompress(data, call.max_bytes + 1)
        except zlib.error:
            unpacked = b""
        if len(unpacked) > call.max_bytes:
            raise too_long(call.max_bytes)
        try:
            if not unpacking.eof:
                raise InvalidInput("the request cannot be unpacked: it is not gzip, or not whole", field="request")
            call.hold(len(unpacked))
        except EdgedError as exc:
            raise connect_error(exc) from None
        return unpacked
