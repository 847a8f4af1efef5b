"""A server with all its doors: the operator's socket, gRPC for programs and the web port for browsers."""

from __future__ import annotations

import asyncio
import hashlib
import re
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import grpc
from google.protobuf.message import Message
from starlette.types import ASGIApp
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from edged.client.certificate_request import new_key
from edged.client.channel import pem_of
from edged.events import Sampling
from edged.pipeline.enrolment import Enrolment
from edged.pipeline.tools.toolbox import Toolbox
from edged.pipeline.turn import TurnConductor
from edged.records import DeviceKind, Scope
from edged.server import Server
from edged.server.api_keys import KeyIssuer
from edged.server.device_registry import DeviceRegistry
from edged.server.listen import LanPort, device_credentials
from edged.server.pairing import PairingServicer
from edged.server.server import SERVICES
from edged.server.web.server import WebServer
from edged.trust.authority import Authority
from edged.trust.pairing import PairingDesk
from edged.vision.camera import Camera
from tests.pipeline.people import DictPeople, LoudnessEncoder
from tests.server.conversing import Composer
from tests.server.device_store import DictDevices
from tests.server.scripted import DictMemory, ScriptedModel, privacy

CALL_SECONDS = 10.0


@dataclass(frozen=True)
class Program:
    """What a paired program holds."""

    device_id: str
    certificate: bytes
    key: bytes


class LanServer:
    def __init__(self, folder: Path, camera: Camera | None = None, toolbox: Toolbox | None = None) -> None:
        self.model, self.memory, self.store = ScriptedModel(), DictMemory(), DictDevices()
        self.registry = DeviceRegistry(self.store, ())
        self.authority = Authority.open(folder / "trust", "test")
        self.identity = self.authority.server_identity(())
        self.desk = PairingDesk(
            registry=self.registry,
            issuer=self.authority,
            fingerprint=lambda: self.identity.fingerprint,
            addresses=lambda: [f"127.0.0.1:{self.web_port}"],
            clock=asyncio.get_running_loop(),
        )
        turns = TurnConductor(self.model, self.memory, 100_000, toolbox=toolbox)
        self.server = Server(
            turns=turns,
            conversations=self.memory,
            engines=self.model,
            privacy=privacy,
            sampling=Sampling(),
            max_message_bytes=1_000_000,
            registry=self.registry,
            desk=self.desk,
            issuer=self.authority,
            keys=KeyIssuer(self.registry, lambda: [f"127.0.0.1:{self.web_port}"]),
            composer=Composer(turns),
            speakers=Enrolment(LoudnessEncoder(), DictPeople()),
            camera=camera,
        )
        self.api: ASGIApp | None = None
        self.socket = folder / "s"
        self.grpc_port = self.web_port = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[LanServer]:
        identity = self.identity
        credentials = device_credentials(lambda: self.identity, self.authority.certificate_pem)
        lan = LanPort(host="127.0.0.1", port=0, credentials=credentials)
        _, address = await self.server.start(self.socket, lan=lan)
        self.grpc_port = int(address.partition(" ")[0].rpartition(":")[2])
        servicers = {service: self.server.servicers[service.rpartition(".")[2]] for service in SERVICES}
        web = WebServer(
            servicers={**servicers, "edged.v1.PairingService": PairingServicer(self.desk, self.grpc_port)},
            border=self.server.border,
            registry=self.registry,
            identity=identity,
            ca_certificate=self.authority.certificate,
            max_message_bytes=1_000_000,
            api=self.api,
        )
        self.web_port = int(web.listen("127.0.0.1", 0).rpartition(":")[2])
        running = asyncio.create_task(web.run())
        self.server.serve()
        yield self
        await self.server.drain(0)
        await web.close(0)
        await running

    # --- devices, as if they had been paired ---

    async def program(self, *scopes: Scope, person: str = "", expires_at: datetime | None = None) -> Program:
        request = new_key()
        device_id = f"p{len(self.store.events)}"
        certificate = self.authority.client_certificate(request.request, device_id=device_id, expires_at=expires_at)
        await self._add(device_id, DeviceKind.PROGRAM, scopes, person, certificate)
        return Program(device_id, pem_of(certificate), request.pem)

    async def browser(self, *scopes: Scope, person: str = "") -> tuple[str, str]:
        """Device id and token."""
        device_id = f"b{len(self.store.events)}"
        token = device_id.ljust(43, "x")
        await self._add(device_id, DeviceKind.BROWSER, scopes, person, token.encode())
        return device_id, token

    async def _add(self, device_id: str, kind: DeviceKind, scopes: Iterable[Scope], person: str, shown: bytes) -> None:
        await self.registry.add(
            device_id=device_id,
            name=device_id,
            kind=kind,
            person=person,
            scopes=frozenset(scopes),
            expires_at=None,
            credential=hashlib.sha256(shown).digest(),
            address="127.0.0.1",
        )

    # --- their calls ---

    def channel(self, program: Program | None) -> grpc.aio.Channel:
        """As that program, or as somebody without a certificate."""
        pem = self.authority.certificate_pem
        shown = (program.key, program.certificate) if program else (None, None)
        credentials = grpc.ssl_channel_credentials(pem, *shown)
        options = [("grpc.ssl_target_name_override", "edged"), ("grpc.enable_retries", 0)]
        return grpc.aio.secure_channel(f"127.0.0.1:{self.grpc_port}", credentials, options=options)

    async def grpc_outcome(self, channel: grpc.aio.Channel, method: str, request: bytes = b"") -> str:
        """The code that a call ends with; "OK" as well for one that goes on until it is given up."""
        call = channel.stream_stream(method)(iter([request]), timeout=CALL_SECONDS)
        try:
            async with asyncio.timeout(CALL_SECONDS / 2):
                async for _ in call:
                    pass
        except grpc.aio.AioRpcError as exc:
            return exc.code().name
        except TimeoutError:
            return "OK"
        finally:
            call.cancel()
        return "OK"

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=self.authority.certificate_pem.decode())

    async def web_outcome(self, method: str, token: str, *, is_stream: bool, request: bytes = b"") -> str:
        """The same over the web port: Connect's code in capitals."""
        body = b"\0" + len(request).to_bytes(4, "big") + request if is_stream else request
        kind = "application/connect+proto" if is_stream else "application/proto"
        head = [
            f"POST {method} HTTP/1.1",
            f"Host: 127.0.0.1:{self.web_port}",
            f"Content-Type: {kind}",
            "Connect-Protocol-Version: 1",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *([f"Cookie: __Host-edged={token}"] if token else []),
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", self.web_port, ssl=self.trust())
        writer.write("\r\n".join([*head, "", ""]).encode() + body)
        try:
            async with asyncio.timeout(CALL_SECONDS / 2):
                answer = await reader.read()
        except TimeoutError:
            return "OK"
        finally:
            writer.transport.abort()
        found = re.search(rb'"code": ?"(\w+)"', answer)
        return found[1].decode().upper() if found else "OK" if b" 200 " in answer[:20] else answer[:20].decode()

    async def socket_outcome(self, method: str, token: str, request: Message) -> int:
        """Close code of a WebSocket that sends one request."""
        headers = {"Cookie": f"__Host-edged={token}"} if token else {}
        url = f"wss://127.0.0.1:{self.web_port}{method}"
        async with connect(url, ssl=self.trust(), additional_headers=headers, compression=None) as socket:
            try:
                async with asyncio.timeout(CALL_SECONDS / 2):
                    await socket.send(request.SerializeToString())
                    while True:
                        await socket.recv()
            except ConnectionClosed as exc:
                return exc.rcvd.code if exc.rcvd else 1006
            except TimeoutError:
                return 1000
