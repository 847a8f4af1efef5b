"""edged.v1.DeviceService."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import grpc

from edged import wire
from edged.errors import ConfigError, NotFound, PermissionDenied
from edged.records import ApiKey, AuditEvent, Device, DeviceKind, PairingCandidate, PairingEnd, PairingOffer, Scope
from edged.server.caller import caller
from edged.server.sending import send
from edged.v1 import device_pb2 as pb
from edged.v1 import device_pb2_grpc

_Part = TypeVar("_Part")


class Desk(Protocol):
    """The operator's side of pairing. Pairings and strings that do not exist raise NotFound."""

    async def open(self, scopes: frozenset[Scope], person: str, expires_at: datetime | None) -> PairingOffer:
        """Let one device in that comes within two minutes; no scopes are the usual ones. Raises InvalidInput."""
        ...

    def watch(self, pairing_id: str) -> AsyncIterator[PairingCandidate | PairingEnd]:
        """What becomes of it, from its beginning."""
        ...

    def close(self, pairing_id: str) -> None:
        """Let nobody in any more."""
        ...

    async def confirm(self, pairing_id: str, short_string: str, is_the_one: bool) -> Device | None:
        """The operator's word on the device that shows this string."""
        ...


class Registry(Protocol):
    """The devices that were let in. Ids that do not exist raise NotFound, bad names and pages InvalidInput."""

    def list(self) -> Sequence[Device]:
        """All, by name."""
        ...

    async def update(
        self,
        device_id: str,
        *,
        name: str | None = None,
        person: str | None = None,
        scopes: frozenset[Scope] | None = None,
        expires_at: datetime | None = ...,
    ) -> Device:
        """Change what is given; expires_at=None is never."""
        ...

    async def revoke(self, device_id: str) -> None:
        """Forget it, and break off its calls."""
        ...

    async def replace_credential(self, device_id: str, credential: bytes) -> None:
        """From here on it is known by this SHA-256 of its certificate."""
        ...

    async def audit(self, page_size: int, page_token: str) -> tuple[tuple[AuditEvent, ...], str]:
        """A page of what happened, newest first, and the token of the next one or ""."""
        ...


class Keys(Protocol):
    """Makes keys for the HTTP API."""

    async def create(
        self, *, name: str, person: str, scopes: frozenset[Scope], expires_at: datetime | None, address: str
    ) -> ApiKey:
        """A new one; no scopes are the usual ones. Raises InvalidInput, QueueFull."""
        ...


class Issuer(Protocol):
    """Makes certificates."""

    @property
    def certificate(self) -> bytes:
        """Its own, in DER."""
        ...

    def client_certificate(self, request: bytes, *, device_id: str, expires_at: datetime | None) -> bytes:
        """For a device, in DER. Raises InvalidInput."""
        ...


class DeviceServicer(device_pb2_grpc.DeviceServiceServicer):
    """See device.proto for what each call does."""

    def __init__(self, desk: Desk | None, registry: Registry, issuer: Issuer | None, keys: Keys | None = None) -> None:
        """desk, issuer: None where the daemon does not listen on the LAN. keys: None without the HTTP API there."""
        self._desk = desk
        self._registry = registry
        self._issuer = issuer
        self._keys = keys

    async def OpenPairing(
        self, request: pb.OpenPairingRequest, context: grpc.aio.ServicerContext
    ) -> pb.OpenPairingResponse:
        scopes = wire.scopes_from_wire(request.scopes)
        return wire.offer_to_wire(await _on_lan(self._desk).open(scopes, request.person, _expiry(request)))

    async def WatchPairing(self, request: pb.WatchPairingRequest, context: grpc.aio.ServicerContext) -> None:
        desk = _on_lan(self._desk)
        try:
            async for event in desk.watch(request.pairing_id):
                if isinstance(event, PairingEnd):
                    await send(context, pb.WatchPairingResponse(end=wire.pairing_end_to_wire(event)))
                else:
                    await send(context, pb.WatchPairingResponse(candidate=wire.candidate_to_wire(event)))
        finally:
            if request.closes:
                with contextlib.suppress(NotFound):
                    desk.close(request.pairing_id)

    async def ConfirmPairing(
        self, request: pb.ConfirmPairingRequest, context: grpc.aio.ServicerContext
    ) -> pb.ConfirmPairingResponse:
        device = await _on_lan(self._desk).confirm(request.pairing_id, request.short_string, request.is_the_one)
        return pb.ConfirmPairingResponse(device=wire.device_to_wire(device) if device else None)

    async def ListDevices(
        self, request: pb.ListDevicesRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListDevicesResponse:
        return pb.ListDevicesResponse(devices=map(wire.device_to_wire, self._registry.list()))

    async def UpdateDevice(
        self, request: pb.UpdateDeviceRequest, context: grpc.aio.ServicerContext
    ) -> pb.UpdateDeviceResponse:
        device = await self._registry.update(request.device_id, **_changes(request))
        return pb.UpdateDeviceResponse(device=wire.device_to_wire(device))

    async def RevokeDevice(
        self, request: pb.RevokeDeviceRequest, context: grpc.aio.ServicerContext
    ) -> pb.RevokeDeviceResponse:
        await self._registry.revoke(request.device_id)
        return pb.RevokeDeviceResponse()

    async def CreateApiKey(
        self, request: pb.CreateApiKeyRequest, context: grpc.aio.ServicerContext
    ) -> pb.CreateApiKeyResponse:
        if self._keys is None:
            raise ConfigError("the HTTP API is not served on the LAN: set http.lan and lan.enabled = true, and restart")
        made = await self._keys.create(
            name=request.name,
            person=request.person,
            scopes=wire.scopes_from_wire(request.scopes),
            expires_at=_expiry(request),
            address=caller().address,
        )
        return wire.api_key_to_wire(made)

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListAuditEventsResponse:
        page, token = await self._registry.audit(request.page_size, request.page_token)
        return pb.ListAuditEventsResponse(events=map(wire.audit_event_to_wire, page), next_page_token=token)

    async def GetOwnDevice(
        self, request: pb.GetOwnDeviceRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetOwnDeviceResponse:
        return pb.GetOwnDeviceResponse(device=wire.device_to_wire(_own_device()))

    async def RenewCertificate(
        self, request: pb.RenewCertificateRequest, context: grpc.aio.ServicerContext
    ) -> pb.RenewCertificateResponse:
        device, issuer = _own_device(), _on_lan(self._issuer)
        if device.kind is not DeviceKind.PROGRAM:
            raise PermissionDenied("a browser shows a cookie and has no certificate to renew")
        certificate = issuer.client_certificate(
            request.certificate_request, device_id=device.id, expires_at=device.expires_at
        )
        await self._registry.replace_credential(device.id, hashlib.sha256(certificate).digest())
        return pb.RenewCertificateResponse(certificate=certificate, ca_certificate=issuer.certificate)


def _own_device() -> Device:
    device = caller().device
    if device is None:
        raise NotFound("the operator is no device: `edged devices list` shows those", resource=("device", ""))
    return device


def _expiry(request: pb.OpenPairingRequest | pb.CreateApiKeyRequest) -> datetime | None:
    return wire.time_from_wire(request.expires_at, "expires_at") if request.HasField("expires_at") else None


def _changes(request: pb.UpdateDeviceRequest) -> dict[str, Any]:
    """Keywords of Registry.update."""
    changes: dict[str, Any] = {name: getattr(request, name) for name in ("name", "person") if request.HasField(name)}
    if request.scopes:
        changes["scopes"] = wire.scopes_from_wire(request.scopes)
    if request.HasField("expires_at"):
        time = wire.time_from_wire(request.expires_at, "expires_at")
        changes["expires_at"] = time if request.expires_at.ByteSize() else None  # the empty one is never
    return changes


def _on_lan(part: _Part | None) -> _Part:
    """Raises ConfigError where the daemon has none, since it does not listen on the LAN."""
    if part is None:
        raise ConfigError(
            "the daemon does not listen on the LAN: end it and start `edged serve --lan`, or set lan.enabled = true"
        )
    return part
