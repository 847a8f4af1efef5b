"""Requests and responses as bytes: protobuf's own form, and its JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message

from edged.errors import InvalidInput
from edged.server.interceptors import parsed

LARGE_JSON_BYTES = 128 * 1024
"""Of Python's parser, which takes up to 0.4 s a megabyte; it does not hold up the calls of others with more."""
Parse = Callable[[bytes, type[Message]], Message]


class Unparsed:
    """A request that nobody has looked into yet: that is done behind the call border, which says what is wrong."""

    __slots__ = ("_data", "_parse")

    def __init__(self) -> None:
        self._data = b""
        self._parse: Parse = _from_proto

    def fill(self, data: bytes, parse: Parse) -> None:
        """With what came."""
        self._data, self._parse = data, parse

    async def take(self, message: type[Message]) -> Message:
        """Parse it, once; nothing keeps the bytes then. Raises InvalidInput."""
        data, self._data = self._data, b""
        if self._parse is _from_json and len(data) > LARGE_JSON_BYTES:
            return await asyncio.to_thread(_from_json, data, message)
        return self._parse(data, message)


class ProtoCodec:
    """application/proto."""

    def name(self) -> str:
        """In content types."""
        return "proto"

    def encode(self, message: Message) -> bytes:
        """A response."""
        return message.SerializeToString()

    def decode(self, data: bytes | bytearray, message: Unparsed) -> Unparsed:
        """A request."""
        message.fill(bytes(data), _from_proto)
        return message


class JsonCodec:
    """application/json."""

    def name(self) -> str:
        """In content types."""
        return "json"

    def encode(self, message: Message) -> bytes:
        """A response."""
        return json_format.MessageToJson(message, indent=None).encode()

    def decode(self, data: bytes | bytearray, message: Unparsed) -> Unparsed:
        """A request."""
        message.fill(bytes(data), _from_json)
        return message


CODECS: tuple[Any, ...] = (ProtoCodec(), JsonCodec())


def _from_proto(data: bytes, message: type[Message]) -> Message:
    request: Message = parsed(data, message.FromString)
    return request


def _from_json(data: bytes, message: type[Message]) -> Message:
    try:
        return json_format.Parse(data, message(), ignore_unknown_fields=True)
    except (json_format.Error, ValueError, RecursionError):
        # Without its cause, which quotes the request.
        raise InvalidInput("the request is no JSON of its message; see the .proto files", field="request") from None
