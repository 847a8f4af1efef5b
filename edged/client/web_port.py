"""Calls to the web port of a daemon whose certificate is looked at, but not known yet: Connect's unary protocol."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
import socket
import ssl
from base64 import b64decode
from collections.abc import Callable
from typing import Self, TypeVar

from google.protobuf import any_pb2
from google.protobuf.message import DecodeError, Message

from edged.client.address import join_address, parse_address
from edged.client.remote_error import rebuilt
from edged.errors import Code, EdgedError, Unavailable

WEB_PORT = 8443
CONNECT_SECONDS = 5.0
CALL_SECONDS = 20.0
"""For a call that waits for nobody."""
MAX_RESPONSE_BYTES = 64 * 1024
MAX_MESSAGE_CHARACTERS = 300
"""Of what a stranger says about an error."""
MAX_DETAILS = 8
_CODES = {code.grpc_status.lower(): code.grpc_status for code in Code} | {"canceled": "CANCELLED"}
"""As Connect spells them."""

Result = TypeVar("Result")
Answer = TypeVar("Answer", bound=Message)


class WebPort:
    """One connection; use it as an async context manager. Raises Unavailable when no daemon answers."""

    def __init__(self, address: str) -> None:
        """address: HOST, or HOST:PORT. Raises InvalidInput."""
        self.host, self.port = parse_address(address, WEB_PORT)
        self.address = join_address(self.host, self.port)
        self.certificate = b""
        """DER of what the other side showed; set by the block."""
        self._connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=CONNECT_SECONDS, context=_any_certificate()
        )
        self._connection.auto_open = 0  # a second connection could lead to somebody else

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the certificate."""
        return hashlib.sha256(self.certificate).digest()

    async def __aenter__(self) -> Self:
        self.certificate = await self._in_thread(self._connect, CALL_SECONDS)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._connection.close()

    async def call(self, path: str, request: Message, answer: type[Answer], *, seconds: float = CALL_SECONDS) -> Answer:
        """What "/edged.v1.Service/Method" answers. Raises RemoteError for what is refused."""
        status, body = await self._in_thread(lambda: self._post(path, request.SerializeToString(), seconds), seconds)
        if status != http.client.OK:
            raise self._refusal(body)
        try:
            return answer.FromString(body)
        except DecodeError as exc:
            raise self._no_daemon() from exc

    def _connect(self) -> bytes:
        try:
            self._connection.connect()
        except ssl.SSLError as exc:
            raise Unavailable(
                f"what answers at {self.address} does not speak TLS 1.3: name the web port of a daemon ({WEB_PORT})"
            ) from exc
        except socket.gaierror as exc:
            raise Unavailable(f"no host named {self.host} is known here: write the daemon's IP address") from exc
        except (OSError, UnicodeError) as exc:
            raise Unavailable(
                f"no daemon answers at {self.address}: is it on, with `edged serve --lan`, and in this network?"
            ) from exc
        assert isinstance(self._connection.sock, ssl.SSLSocket)
        return self._connection.sock.getpeercert(binary_form=True) or b""

    def _post(self, path: str, body: bytes, seconds: float) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/proto", "Connect-Protocol-Version": "1"}
        try:
            if self._connection.sock:
                self._connection.sock.settimeout(seconds)
            self._connection.request("POST", path, body, headers)
            with self._connection.getresponse() as response:
                content = response.read(MAX_RESPONSE_BYTES + 1)
                is_whole = response.isclosed()
        except (OSError, http.client.HTTPException) as exc:
            raise Unavailable(f"the connection to {self.address} broke: try again") from exc
        if len(content) > MAX_RESPONSE_BYTES or not is_whole:
            raise self._no_daemon()
        return response.status, content

    def _refusal(self, body: bytes) -> EdgedError:
        """The error that a body of JSON tells."""
        try:
            said = json.loads(body)
            code = _CODES.get(said["code"], Code.INTERNAL.grpc_status)
            details = [
                any_pb2.Any(type_url=f"type.googleapis.com/{detail['type']}", value=b64decode(detail["value"] + "=="))
                for detail in said.get("details", [])[:MAX_DETAILS]
            ]
            message = _one_line(said.get("message", ""))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return self._no_daemon()
        return rebuilt(message or code, code, details)

    def _no_daemon(self) -> Unavailable:
        return Unavailable(f"what answers at {self.address} is no daemon: name its web port ({WEB_PORT})")

    async def _in_thread(self, work: Callable[[], Result], seconds: float) -> Result:
        """What it returns; broken off after that time, and when nobody waits any more."""
        working = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(working)
        except TimeoutError as exc:
            raise Unavailable(f"{self.address} does not answer in time: try again") from exc
        finally:
            if not working.done():
                self._break_off()
                await asyncio.wait({working})
                working.exception()

    def _break_off(self) -> None:
        """Wake the thread that waits for the other side."""
        if sock := self._connection.sock:
            with contextlib.suppress(OSError):  # it may not be connected any more
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # SSLSocket's own takes its state from the thread


def _any_certificate() -> ssl.SSLContext:
    """The pairing itself proves whose it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context


def _one_line(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text[:MAX_MESSAGE_CHARACTERS]).strip()
