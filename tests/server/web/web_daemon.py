"""The web port of a daemon with a scripted engine, devices that are paired with it, and raw connections to it."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from connectrpc.client import ConnectClient
from connectrpc.method import IdempotencyLevel, MethodInfo
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from pyqwest import Client, HTTPTransport

from edged.errors import Unauthenticated
from edged.events import Sampling
from edged.pipeline.turn import TurnConductor
from edged.records import DaemonState, Device, DeviceKind, Scope
from edged.server.assistant import AssistantServicer
from edged.server.call_border import CallBorder
from edged.server.conversations import ConversationServicer
from edged.server.converse import VoiceCalls
from edged.server.devices import DeviceServicer
from edged.server.health import HealthServicer
from edged.server.lifecycle import Lifecycle
from edged.server.models import ModelServicer
from edged.server.speakers import SpeakerServicer
from edged.server.status import StatusServicer
from edged.server.web.server import WebServer
from edged.trust.authority import Authority
from edged.v1 import device_pb2
from tests.server.conversing import Composer
from tests.server.device_store import no_devices
from tests.server.scripted import DictMemory, ScriptedModel

MAX_MESSAGE_BYTES = 200_000
TOKEN, CHATTER, GIVEN = "t" * 43, "c" * 43, "g" * 43
"""Of a phone that may do all, of one that may chat, and of one that will be paired."""
INDEX = b"<!doctype html><title>edged</title>" + b"<p>Hello.</p>" * 100
SCRIPT = b"console.log('edged');\n" * 100


def phone(name: str, *scopes: Scope) -> Device:
    return Device(
        id=name,
        name=name,
        kind=DeviceKind.BROWSER,
        person="",
        scopes=frozenset(scopes),
        created_at=datetime(2026, 11, 26, tzinfo=UTC),
    )


@dataclass
class Devices:
    """By what they show."""

    by_token: dict[str, Device] = field(
        default_factory=lambda: {TOKEN: phone("all", *Scope), CHATTER: phone("chat", Scope.CHAT)}
    )

    def identify(self, credential: bytes) -> Device:
        for token, device in self.by_token.items():
            if hashlib.sha256(token.encode()).digest() == credential:
                return device
        raise Unauthenticated("this device is not paired, or no longer: pair it again")


class PairingDesk:
    """Lets everybody in; remembers what it was told about them."""

    def __init__(self) -> None:
        self.came_from: list[tuple[str, str]] = []
        self.expires_at: datetime | None = None

    async def StartPairing(self, request: device_pb2.StartPairingRequest, context: Any) -> Message:
        return device_pb2.StartPairingResponse(attempt_id="1", pake_message=request.pake_message)

    async def ProvePairing(self, request: device_pb2.ProvePairingRequest, context: Any) -> Message:
        return device_pb2.ProvePairingResponse(confirmation=request.confirmation)

    async def ClaimPairing(self, request: device_pb2.ClaimPairingRequest, context: Any) -> Message:
        self.came_from.append((context.peer_address(), context.server_host()))
        context.give_token(GIVEN, self.expires_at)
        return device_pb2.ClaimPairingResponse(grpc_address="here")


class WebDaemon:
    def __init__(self, directory: Path) -> None:
        self.model, self.memory, self.devices, self.desk = ScriptedModel(), DictMemory(), Devices(), PairingDesk()
        turns = TurnConductor(self.model, self.memory, MAX_MESSAGE_BYTES)
        self.lifecycle = Lifecycle(HealthServicer(()))
        self.lifecycle.enter(DaemonState.SERVING)
        self.border = CallBorder(self.lifecycle)
        self.composer = Composer(turns)
        self.calls = VoiceCalls(self.composer, self.lifecycle)
        self.report: Callable[[], Awaitable[Any]] = self._no_report
        self.authority = Authority.open(directory / "trust", "test")
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(self.authority.certificate_pem)
        self.phone = directory / "phone"
        (self.phone / "assets").mkdir(parents=True)
        (self.phone / "index.html").write_bytes(INDEX)
        (self.phone / "assets" / "app-Bx3.js").write_bytes(SCRIPT)
        (self.phone / "manifest.webmanifest").write_bytes(b"{}")
        (self.phone / "icon.png").write_bytes(b"\x89PNG")
        (self.phone / "notes.unknown").write_bytes(b"not served")
        self.servicers: dict[str, object] = {
            "edged.v1.AssistantService": AssistantServicer(turns, Sampling(), self.lifecycle, self.calls, None),
            "edged.v1.ConversationService": ConversationServicer(self.memory),
            "edged.v1.DeviceService": DeviceServicer(None, no_devices(), None),
            "edged.v1.ModelService": ModelServicer(self.model),
            "edged.v1.SpeakerService": SpeakerServicer(None),
            "edged.v1.StatusService": StatusServicer(lambda: self.report()),
            "edged.v1.PairingService": self.desk,
        }
        self.web = WebServer(
            servicers=self.servicers,
            border=self.border,
            registry=self.devices,
            identity=self.authority.server_identity(()),
            ca_certificate=self.authority.certificate,
            max_message_bytes=MAX_MESSAGE_BYTES,
            phone=self.phone,
        )
        self.port = 0

    async def _no_report(self) -> Any:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def trust(self) -> ssl.SSLContext:
        """Of a client that knows the CA."""
        return ssl.create_default_context(cafile=str(self.ca_file))

    async def connect(
        self, context: ssl.SSLContext | None = None, source: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context or self.trust(), local_addr=(source, 0)
        )

    async def send(self, request: bytes) -> bytes:
        """All that comes back for these bytes until the daemon closes the connection."""
        reader, writer = await self.connect()
        writer.write(request)
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.transport.abort()
        return answer

    async def post(self, method: str, body: bytes, content_type: str, *headers: str, token: str = TOKEN) -> Answer:
        lines = [
            f"POST /edged.v1.{method} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *([f"Cookie: __Host-edged={token}"] if token else []),
            *headers,
        ]
        return Answer.of(await self.send("\r\n".join([*lines, "", ""]).encode() + body))

    async def get(self, target: str, *headers: str, method: str = "GET") -> Answer:
        lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers, "", ""]
        return Answer.of(await self.send("\r\n".join(lines).encode()))


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @staticmethod
    def of(answer: bytes) -> Answer:
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in lines)
        headers = {name.lower(): value for name, value in pairs}
        if headers.get("transfer-encoding") == "chunked":
            body = _unchunked(body)
        return Answer(int(first.split()[1]), headers, body)

    def envelopes(self) -> list[tuple[int, bytes]]:
        """Flags and contents."""
        found, rest = [], self.body
        while rest:
            size = int.from_bytes(rest[1:5], "big")
            found.append((rest[0], rest[5 : 5 + size]))
            rest = rest[5 + size :]
        return found


def envelope(message: bytes, flags: int = 0) -> bytes:
    return bytes([flags]) + len(message).to_bytes(4, "big") + message


@asynccontextmanager
async def stock_client(daemon: WebDaemon, **options: Any) -> AsyncIterator[StockClient]:
    """connectrpc's own client."""
    async with HTTPTransport(tls_ca_cert=daemon.ca_file.read_bytes()) as transport:
        yield StockClient(ConnectClient(daemon.url, http_client=Client(transport), **options))


class StockClient:
    def __init__(self, client: ConnectClient) -> None:
        self._client = client

    async def unary(self, method: str, request: Message, token: str = TOKEN, timeout_ms: int | None = None) -> Any:
        return await self._client.execute_unary(
            request=request, method=_info(method), headers=_cookie(token), timeout_ms=timeout_ms
        )

    def stream(
        self, method: str, request: Message, token: str = TOKEN, timeout_ms: int | None = None
    ) -> AsyncIterator[Any]:
        return self._client.execute_server_stream(
            request=request, method=_info(method), headers=_cookie(token), timeout_ms=timeout_ms
        )


def certificate_der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def _info(name: str) -> MethodInfo[Any, Any]:
    service, _, method = name.partition("/")
    found = Default().FindServiceByName(f"edged.v1.{service}").methods_by_name[method]
    return MethodInfo(
        name=method,
        service_name=f"edged.v1.{service}",
        input=GetMessageClass(found.input_type),
        output=GetMessageClass(found.output_type),
        idempotency_level=IdempotencyLevel.UNKNOWN,
    )


def _cookie(token: str) -> dict[str, str]:
    return {"cookie": f"__Host-edged={token}"} if token else {}


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + body[:length], body[length + 2 :]
        if not length:
            break
    return whole
