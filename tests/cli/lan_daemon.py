"""A daemon on the LAN beside the command line: both ports, desk and authority are real; its devices lie in memory."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc

from edged.errors import NotFound, Unauthenticated
from edged.records import AuditEvent, DaemonState, Device
from edged.server.api_keys import KeyIssuer
from edged.server.call_border import CallBorder
from edged.server.caller import Caller
from edged.server.devices import DeviceServicer
from edged.server.health import HealthServicer
from edged.server.interceptors import CallInterceptor, peer_address, peer_certificate
from edged.server.lifecycle import Lifecycle
from edged.server.pairing import PairingServicer
from edged.server.web.server import WebServer
from edged.trust.authority import Authority
from edged.trust.pairing import PairingDesk
from edged.v1 import device_pb2_grpc, status_pb2_grpc
from tests.client.secure import StatusScript
from tests.trust.desk import Registry


@dataclass
class Devices(Registry):
    """As the store would keep them."""

    events: list[AuditEvent] = field(default_factory=list)

    def list(self) -> Sequence[Device]:
        return sorted(self.devices.values(), key=lambda device: device.name)

    async def update(self, device_id: str, **changes: Any) -> Device:
        self.devices[device_id] = replace(self._known(device_id), **changes)
        return self.devices[device_id]

    async def revoke(self, device_id: str) -> None:
        del self.devices[self._known(device_id).id]

    async def replace_credential(self, device_id: str, credential: bytes) -> None:
        self.credentials[device_id] = credential

    async def note(self, action: str, *, device: Device | None = None, name: str = "", address: str = "") -> None:
        self.events.insert(0, AuditEvent(time=datetime.now(UTC), action=action, device_name=name, address=address))

    async def audit(self, page_size: int, page_token: str) -> tuple[tuple[AuditEvent, ...], str]:
        begin = int(page_token or 0)
        end = begin + (page_size or 50)
        return tuple(self.events[begin:end]), str(end) if end < len(self.events) else ""

    def identify(self, credential: bytes) -> Device:
        for device_id, known in self.credentials.items():
            if known == credential and device_id in self.devices:
                return self.devices[device_id]
        raise Unauthenticated("this device is not paired: pair it again")

    def _known(self, device_id: str) -> Device:
        if device_id not in self.devices:
            raise NotFound(f"no device {device_id}")
        return self.devices[device_id]


class LanDaemon:
    """Serves in a thread of its own until `end`."""

    def __init__(self, folder: Path, socket: Path, *, lan: bool = True) -> None:
        self.devices = Devices()
        self._folder, self._socket, self._lan = folder, socket, lan
        serving = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=[self._serve(serving)])
        self._thread.start()
        assert serving.wait(20)

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _serve(self, serving: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        lifecycle = Lifecycle(HealthServicer([]))
        lifecycle.enter(DaemonState.SERVING)
        border = CallBorder(lifecycle)
        authority = Authority.open(self._folder / "trust", "kitchen")
        identity = authority.server_identity([])
        server = grpc.aio.server(interceptors=[CallInterceptor(border, self._caller)])
        certificates = [(identity.key_pem, identity.certificate_pem)]
        secrets = grpc.ssl_server_credentials(certificates, authority.certificate_pem, require_client_auth=True)
        port = server.add_secure_port("127.0.0.1:0", secrets)
        server.add_insecure_port(f"unix:{self._socket}")
        desk = PairingDesk(
            registry=self.devices,
            issuer=authority,
            fingerprint=lambda: identity.fingerprint,
            addresses=lambda: [self.web_address],
            clock=self._loop,
        )
        desk_of_operator, issuer = (desk, authority) if self._lan else (None, None)
        keys = KeyIssuer(self.devices, lambda: [self.web_address, "kitchen:8443"]) if self._lan else None
        operator = DeviceServicer(desk_of_operator, self.devices, issuer, keys)
        device_pb2_grpc.add_DeviceServiceServicer_to_server(operator, server)
        status_pb2_grpc.add_StatusServiceServicer_to_server(StatusScript(), server)
        web = WebServer(
            servicers={"edged.v1.PairingService": PairingServicer(desk, port)},
            border=border,
            registry=self.devices,
            identity=identity,
            ca_certificate=authority.certificate,
            max_message_bytes=1_000_000,
        )
        self.web_address = web.listen("127.0.0.1", 0)
        await server.start()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(web.run())
            serving.set()
            await self._stop.wait()
            await web.close(0)
            await server.stop(0)

    def _caller(self, context: grpc.aio.ServicerContext) -> Caller:
        certificate = peer_certificate(context)
        if certificate is None:
            return Caller()
        device = self.devices.identify(hashlib.sha256(certificate).digest())
        return Caller(device=device, address=peer_address(context))
