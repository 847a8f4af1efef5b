"""A daemon elsewhere, as far as TLS goes: the real authority, real sockets, and a service or two with scripts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc

from edged.client import Credentials
from edged.client.certificate_request import new_key
from edged.client.channel import pem_of
from edged.client.daemons import Pairing
from edged.records import Scope
from edged.trust.authority import Authority
from edged.v1 import (
    assistant_pb2,
    assistant_pb2_grpc,
    device_pb2,
    device_pb2_grpc,
    status_pb2,
    status_pb2_grpc,
    voice_pb2,
)


def credentials(of: Authority, *, trusting: Authority | None = None) -> Credentials:
    """trusting: the CA that the client takes for the daemon's."""
    key = new_key()
    certificate = of.client_certificate(key.request, device_id="d1", expires_at=None)
    return Credentials(ca_certificate=(trusting or of).certificate_pem, certificate=pem_of(certificate), key=key.pem)


def pairing(of: Authority, address: str, *, name: str = "kitchen", days: float = 700) -> Pairing:
    now = datetime.now(UTC)
    return Pairing(
        name=name,
        grpc_address=address,
        web_address="127.0.0.1:1",
        device_id="d1",
        scopes=frozenset({Scope.CHAT}),
        issued_at=now - timedelta(days=730 - days),
        expires_at=now + timedelta(days=days),
        credentials=credentials(of),
    )


class StatusScript(status_pb2_grpc.StatusServiceServicer):
    """Serves, and has nothing to report."""

    async def GetStatus(self, request: Any, context: Any) -> status_pb2.GetStatusResponse:
        report = status_pb2.GetStatusResponse(state=status_pb2.DAEMON_STATE_SERVING)
        report.started_at.GetCurrentTime()
        return report


class RenewalScript(device_pb2_grpc.DeviceServiceServicer):
    """Renews certificates, and counts how often it did."""

    def __init__(self, of: Authority) -> None:
        self.of = of
        self.renewed = 0

    async def RenewCertificate(self, request: Any, context: Any) -> device_pb2.RenewCertificateResponse:
        self.renewed += 1
        certificate = self.of.client_certificate(request.certificate_request, device_id="d1", expires_at=None)
        return device_pb2.RenewCertificateResponse(certificate=certificate, ca_certificate=self.of.certificate)


class ConverseScript(assistant_pb2_grpc.AssistantServiceServicer):
    """Hears what is said, and tells each piece after its number; knows a session again."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.opened: list[tuple[str, int]] = []
        """Session and last sequence of each opening."""

    async def Converse(self, requests: Any, context: Any) -> None:
        opening = (await anext(aiter(requests))).open
        self.opened.append((opening.session_id, opening.last_sequence))
        opened = voice_pb2.ConversationOpened(session_id="s1", sample_rate=16000, taken=len(self.heard))
        await context.write(assistant_pb2.ConverseResponse(opened=opened))
        async for request in requests:
            if request.WhichOneof("request") == "end_of_speech":
                return
            self.heard.append(request.audio.data)
            event = voice_pb2.VoiceEvent(final_transcript=voice_pb2.FinalTranscript(text=request.audio.data.decode()))
            await context.write(assistant_pb2.ConverseResponse(sequence=len(self.heard), event=event))


@asynccontextmanager
async def serving(of: Authority, *scripts: Any, port: int = 0) -> AsyncIterator[str]:
    """The address of a gRPC port that wants certificates of that authority."""
    identity = of.server_identity([])
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    status_pb2_grpc.add_StatusServiceServicer_to_server(StatusScript(), server)
    for script in scripts:
        ADD[type(script).__mro__[-2]](script, server)
    secrets = grpc.ssl_server_credentials(
        [(identity.key_pem, identity.certificate_pem)], root_certificates=of.certificate_pem, require_client_auth=True
    )
    bound = server.add_secure_port(f"127.0.0.1:{port}", secrets)
    await server.start()
    try:
        yield f"127.0.0.1:{bound}"
    finally:
        await server.stop(0)


ADD = {
    device_pb2_grpc.DeviceServiceServicer: device_pb2_grpc.add_DeviceServiceServicer_to_server,
    assistant_pb2_grpc.AssistantServiceServicer: assistant_pb2_grpc.add_AssistantServiceServicer_to_server,
}
