"""Devices, and how they get to be known."""

from __future__ import annotations

from collections.abc import Iterable

from edged import records
from edged.v1 import device_pb2 as pb
from edged.wire.values import inverse, member, numbers, time_from_wire, time_to_wire

_SCOPES = numbers(records.Scope, pb.Scope, "SCOPE")
_SCOPE_OF = inverse(_SCOPES)
_KINDS = numbers(records.DeviceKind, pb.DeviceKind, "DEVICE_KIND")
_KIND_OF = inverse(_KINDS)


def scopes_to_wire(scopes: Iterable[records.Scope]) -> list[pb.Scope]:
    return sorted(_SCOPES[scope] for scope in scopes)


def scopes_from_wire(scopes: Iterable[int]) -> frozenset[records.Scope]:
    return frozenset(member(_SCOPE_OF, scope, "scopes") for scope in scopes)


def device_kind_to_wire(kind: records.DeviceKind) -> pb.DeviceKind:
    number: pb.DeviceKind = _KINDS[kind]
    return number


def device_kind_from_wire(kind: int) -> records.DeviceKind:
    return member(_KIND_OF, kind, "kind")


def device_to_wire(device: records.Device) -> pb.Device:
    return pb.Device(
        id=device.id,
        name=device.name,
        kind=_KINDS[device.kind],
        person=device.person,
        scopes=scopes_to_wire(device.scopes),
        created_at=time_to_wire(device.created_at),
        last_seen_at=time_to_wire(device.last_seen_at) if device.last_seen_at else None,
        expires_at=time_to_wire(device.expires_at) if device.expires_at else None,
    )


def device_from_wire(device: pb.Device) -> records.Device:
    return records.Device(
        id=device.id,
        name=device.name,
        kind=device_kind_from_wire(device.kind),
        person=device.person,
        scopes=scopes_from_wire(device.scopes),
        created_at=time_from_wire(device.created_at, "created_at"),
        last_seen_at=time_from_wire(device.last_seen_at, "last_seen_at") if device.HasField("last_seen_at") else None,
        expires_at=time_from_wire(device.expires_at, "expires_at") if device.HasField("expires_at") else None,
    )


def api_key_to_wire(made: records.ApiKey) -> pb.CreateApiKeyResponse:
    return pb.CreateApiKeyResponse(device=device_to_wire(made.device), api_key=made.key, addresses=made.addresses)


def api_key_from_wire(made: pb.CreateApiKeyResponse) -> records.ApiKey:
    return records.ApiKey(device=device_from_wire(made.device), key=made.api_key, addresses=tuple(made.addresses))


def audit_event_to_wire(event: records.AuditEvent) -> pb.AuditEvent:
    return pb.AuditEvent(
        time=time_to_wire(event.time),
        action=event.action,
        device_id=event.device_id,
        device_name=event.device_name,
        address=event.address,
    )


def audit_event_from_wire(event: pb.AuditEvent) -> records.AuditEvent:
    return records.AuditEvent(
        time=time_from_wire(event.time),
        action=event.action,
        device_id=event.device_id,
        device_name=event.device_name,
        address=event.address,
    )


def offer_to_wire(offer: records.PairingOffer) -> pb.OpenPairingResponse:
    return pb.OpenPairingResponse(
        pairing_id=offer.pairing_id,
        code=offer.code,
        link=offer.link,
        secret=offer.secret,
        fingerprint=offer.fingerprint,
        addresses=offer.addresses,
        expires_at=time_to_wire(offer.expires_at),
    )


def offer_from_wire(offer: pb.OpenPairingResponse) -> records.PairingOffer:
    return records.PairingOffer(
        pairing_id=offer.pairing_id,
        code=offer.code,
        link=offer.link,
        secret=offer.secret,
        fingerprint=offer.fingerprint,
        addresses=tuple(offer.addresses),
        expires_at=time_from_wire(offer.expires_at, "expires_at"),
    )


def candidate_to_wire(candidate: records.PairingCandidate) -> pb.PairingCandidate:
    return pb.PairingCandidate(
        short_string=candidate.short_string,
        device_name=candidate.device_name,
        kind=_KINDS[candidate.kind],
        address=candidate.address,
    )


def candidate_from_wire(candidate: pb.PairingCandidate) -> records.PairingCandidate:
    return records.PairingCandidate(
        short_string=candidate.short_string,
        device_name=candidate.device_name,
        kind=device_kind_from_wire(candidate.kind),
        address=candidate.address,
    )


def pairing_end_to_wire(end: records.PairingEnd) -> pb.PairingEnd:
    return pb.PairingEnd(device=device_to_wire(end.device) if end.device else None, reason=end.reason)


def pairing_end_from_wire(end: pb.PairingEnd) -> records.PairingEnd:
    return records.PairingEnd(
        device=device_from_wire(end.device) if end.HasField("device") else None, reason=end.reason
    )
