"""The web port of a daemon, as far as pairing needs it: real TLS, the real servicer, and as little HTTP as will do."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from edged.errors import EdgedError
from edged.records import Device, Scope
from edged.server.pairing import PairingServicer
from edged.trust.authority import Authority, ServerIdentity
from edged.trust.pairing import PairingDesk
from edged.v1 import device_pb2
from tests.trust.desk import Registry

GRPC_PORT = 50051
REQUESTS = {
    "StartPairing": device_pb2.StartPairingRequest,
    "ProvePairing": device_pb2.ProvePairingRequest,
    "ClaimPairing": device_pb2.ClaimPairingRequest,
}


class Context:
    def peer_address(self) -> str:
        return "127.0.0.1"

    def server_host(self) -> str:
        return "127.0.0.1"

    def give_token(self, token: str, expires_at: datetime | None) -> None:
        raise AssertionError("programs get no token")


@dataclass
class Kitchen:
    """A daemon that somebody may pair with."""

    folder: Path
    registry: Registry = field(default_factory=Registry)
    tamper: Callable[[str, object], object] = lambda method, message: message
    """What somebody between the two does to requests and responses."""

    def __post_init__(self) -> None:
        self.authority = Authority.open(self.folder / "trust", "kitchen")
        self.identity = self.authority.server_identity([])
        self.desk = PairingDesk(
            registry=self.registry,
            issuer=self.authority,
            fingerprint=lambda: self.identity.fingerprint,
            addresses=lambda: [self.address],
            clock=asyncio.get_running_loop(),
        )
        self._servicer = PairingServicer(self.desk, GRPC_PORT)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Kitchen]:
        async with listening(self.folder, self.identity, self._answer) as self.address:
            yield self

    async def let_in(self, short_string: str) -> Device | None:
        return await self.desk.confirm("", short_string, True)

    async def offer(self, *scopes: Scope):
        return await self.desk.open(frozenset(scopes), "", None)

    async def _answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        method = path.removeprefix("/edged.v1.PairingService/")
        try:
            request = self.tamper(method, REQUESTS[method].FromString(body))
            response = await getattr(self._servicer, method)(request, Context())
            return 200, self.tamper(method, response).SerializeToString()
        except EdgedError as exc:
            code = exc.code.grpc_status.lower()
            return exc.code.http_status, json.dumps({"code": code, "message": exc.message}).encode()


@asynccontextmanager
async def listening(folder: Path, identity: ServerIdentity, answer) -> AsyncIterator[str]:
    """The address of an HTTPS port; answer: of a path and a body, a status and a body."""
    pem = folder / "server.pem"
    pem.write_bytes(identity.key_pem + identity.certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(pem)
    connections = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.current_task())
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n"):
                headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
                body = await reader.readexactly(int(headers["content-length"]))
                status, content = await answer(head[0].split()[1], body)
                writer.write(f"HTTP/1.1 {status} x\r\ncontent-length: {len(content)}\r\n\r\n".encode() + content)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
