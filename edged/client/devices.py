"""Pairing, and what is paired: the calls of DeviceService."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edged import wire
from edged.client.remote_error import encodable
from edged.records import ApiKey, AuditEvent, Device, PairingCandidate, PairingEnd, PairingOffer, Scope
from edged.v1 import device_pb2, device_pb2_grpc


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage:
    """Some of what happened to devices, newest first."""

    events: tuple[AuditEvent, ...]
    next_page_token: str
    """Empty on the last page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewedCertificate:
    """Takes the place of the one that a program had; both in DER."""

    certificate: bytes
    ca_certificate: bytes


class DeviceCalls:
    """Of one client; its methods raise what the client's do."""

    def __init__(
        self,
        channel: Any,
        call: Callable[[Any, Any], Awaitable[Any]],
        remote_errors: Callable[[], AbstractContextManager[None]],
    ) -> None:
        """remote_errors: makes an EdgedError of what a stream raises."""
        self._stub: Any = device_pb2_grpc.DeviceServiceStub(channel)
        self._call = call
        self._remote_errors = remote_errors

    async def open_pairing(
        self, scopes: Iterable[Scope] = (), *, person: str = "", expires_at: datetime | None = None
    ) -> PairingOffer:
        """Let one device in that knows the offer's code or link. Without scopes: CHAT, VOICE and HISTORY."""
        with encodable():
            request = device_pb2.OpenPairingRequest(
                scopes=wire.scopes_to_wire(scopes),
                person=person,
                expires_at=wire.time_to_wire(expires_at) if expires_at else None,
            )
        return wire.offer_from_wire(await self._call(self._stub.OpenPairing, request))

    async def watch_pairing(
        self, pairing_id: str, *, closes: bool = False
    ) -> AsyncGenerator[PairingCandidate | PairingEnd, None]:
        """The devices that know the code, and last how the pairing ended; from its beginning.

        closes: nobody is let in any more once this is not read.
        """
        with encodable():
            request = device_pb2.WatchPairingRequest(pairing_id=pairing_id, closes=closes)
        call = self._stub.WatchPairing(request)
        try:
            with self._remote_errors():
                async for response in call:
                    match response.WhichOneof("event"):
                        case "candidate":
                            yield wire.candidate_from_wire(response.candidate)
                        case "end":
                            yield wire.pairing_end_from_wire(response.end)
        finally:
            call.cancel()

    async def confirm_pairing(self, pairing_id: str, short_string: str, *, is_the_one: bool = True) -> Device | None:
        """Let in the device that shows this short string, or send it away; the device that was let in."""
        with encodable():
            request = device_pb2.ConfirmPairingRequest(
                pairing_id=pairing_id, short_string=short_string, is_the_one=is_the_one
            )
        response = await self._call(self._stub.ConfirmPairing, request)
        return wire.device_from_wire(response.device) if response.HasField("device") else None

    async def create_api_key(
        self, name: str, scopes: Iterable[Scope] = (), *, person: str = "", expires_at: datetime | None = None
    ) -> ApiKey:
        """A key for the HTTP API on the LAN. Without scopes: CHAT and VOICE."""
        with encodable():
            end = wire.time_to_wire(expires_at) if expires_at else None
            granted = wire.scopes_to_wire(scopes)
            request = device_pb2.CreateApiKeyRequest(name=name, scopes=granted, person=person, expires_at=end)
        return wire.api_key_from_wire(await self._call(self._stub.CreateApiKey, request))

    async def list(self) -> tuple[Device, ...]:
        """Everything that is paired, by name."""
        response = await self._call(self._stub.ListDevices, device_pb2.ListDevicesRequest())
        return tuple(map(wire.device_from_wire, response.devices))

    async def update(
        self,
        device_id: str,
        *,
        name: str | None = None,
        person: str | None = None,
        scopes: Iterable[Scope] = (),
        expires_at: datetime | None = None,
        never_expires: bool = False,
    ) -> Device:
        """Change what is given, and leave the rest; scopes take the place of all it had."""
        with encodable():
            request = device_pb2.UpdateDeviceRequest(
                device_id=device_id,
                name=name,
                person=person,
                scopes=wire.scopes_to_wire(scopes),
                expires_at=wire.time_to_wire(expires_at) if expires_at else None,
            )
        if never_expires:
            request.expires_at.SetInParent()
        return wire.device_from_wire((await self._call(self._stub.UpdateDevice, request)).device)

    async def revoke(self, device_id: str) -> None:
        """Forget a device; its calls are broken off."""
        with encodable():
            request = device_pb2.RevokeDeviceRequest(device_id=device_id)
        await self._call(self._stub.RevokeDevice, request)

    async def audit_events(self, *, page_size: int = 0, page_token: str = "") -> AuditPage:
        """A page of what happened to devices, newest first. page_size: 1 to 200, 0 for 50."""
        with encodable():
            request = device_pb2.ListAuditEventsRequest(page_size=page_size, page_token=page_token)
        page = await self._call(self._stub.ListAuditEvents, request)
        return AuditPage(
            events=tuple(map(wire.audit_event_from_wire, page.events)), next_page_token=page.next_page_token
        )

    async def own(self) -> Device:
        """What the daemon knows of this program; it is NOT_FOUND on the daemon's own machine."""
        response = await self._call(self._stub.GetOwnDevice, device_pb2.GetOwnDeviceRequest())
        return wire.device_from_wire(response.device)

    async def renew_certificate(self, certificate_request: bytes) -> RenewedCertificate:
        """A certificate for the key of that request (DER of PKCS #10); the one before is worth nothing then."""
        with encodable():
            request = device_pb2.RenewCertificateRequest(certificate_request=certificate_request)
        renewed = await self._call(self._stub.RenewCertificate, request)
        return RenewedCertificate(certificate=renewed.certificate, ca_certificate=renewed.ca_certificate)
