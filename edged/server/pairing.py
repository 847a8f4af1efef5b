"""edged.v1.PairingService, which the web port alone has (extra web)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

from edged import wire
from edged.errors import InvalidInput
from edged.trust.addresses import endpoint
from edged.trust.offer import PairingMeans
from edged.trust.pairing import PairingDesk
from edged.v1 import device_pb2 as pb
from edged.v1 import device_pb2_grpc

_MEANS: Mapping[int, PairingMeans] = MappingProxyType(
    {pb.PAIRING_MEANS_CODE: PairingMeans.CODE, pb.PAIRING_MEANS_SECRET: PairingMeans.SECRET}
)


class PairingContext(Protocol):
    """What the web port knows of a caller whom nobody knows yet."""

    def peer_address(self) -> str:
        """Its IP address."""
        ...

    def server_host(self) -> str:
        """The host name or IP address by which it reached this machine."""
        ...

    def give_token(self, token: str, expires_at: datetime | None) -> None:
        """Let it keep a cookie; None: for good."""
        ...


class PairingServicer(device_pb2_grpc.PairingServiceServicer):
    """See device.proto for what each call does."""

    def __init__(self, desk: PairingDesk, grpc_port: int) -> None:
        """grpc_port: on the LAN."""
        self._desk = desk
        self._grpc_port = grpc_port

    async def StartPairing(self, request: pb.StartPairingRequest, context: PairingContext) -> pb.StartPairingResponse:
        means = _MEANS.get(request.means)
        if means is None:
            raise InvalidInput("means is the code or the secret", field="means")
        attempt_id, message = await self._desk.start(means, request.pake_message, context.peer_address())
        return pb.StartPairingResponse(attempt_id=attempt_id, pake_message=message)

    async def ProvePairing(self, request: pb.ProvePairingRequest, context: PairingContext) -> pb.ProvePairingResponse:
        confirmation, ca_certificate = await self._desk.prove(
            request.attempt_id,
            device_name=request.device_name,
            kind=wire.device_kind_from_wire(request.kind),
            certificate_request=request.certificate_request,
            seen_fingerprint=request.seen_fingerprint,
            confirmation=request.confirmation,
        )
        return pb.ProvePairingResponse(confirmation=confirmation, ca_certificate=ca_certificate)

    async def ClaimPairing(self, request: pb.ClaimPairingRequest, context: PairingContext) -> pb.ClaimPairingResponse:
        granted = await self._desk.claim(request.attempt_id)
        if granted.token:
            context.give_token(granted.token, granted.device.expires_at)
        return pb.ClaimPairingResponse(
            device=wire.device_to_wire(granted.device),
            certificate=granted.certificate,
            grpc_address=endpoint(context.server_host().strip("[]"), self._grpc_port),
        )
