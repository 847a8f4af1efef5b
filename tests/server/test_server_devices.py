"""edged.v1.DeviceService, over mutual TLS: what devices and the operator do with it."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from edged import wire
from edged.errors import NotFound, Unauthenticated
from edged.records import AuditEvent, Device, DeviceKind, Scope
from edged.server.call_border import CallBorder
from edged.server.caller import Caller
from edged.server.devices import DeviceServicer
from edged.server.health import HealthServicer
from edged.server.interceptors import CallInterceptor, peer_address, peer_certificate
from edged.server.lifecycle import Lifecycle
from edged.trust.authority import Authority
from edged.v1 import device_pb2 as pb
from edged.v1.device_pb2_grpc import DeviceServiceStub, add_DeviceServiceServicer_to_server
from tests.trust.desk import Desk, Guest, Registry

SECONDS = 20
REFUSAL = "the daemon does not listen on the LAN: end it and start `edged serve --lan`, or set lan.enabled = true"


class Devices(Registry):
    """A registry in memory."""

    def list(self) -> list[Device]:
        return sorted(self.devices.values(), key=lambda device: device.name)

    def identify(self, credential: bytes) -> Device:
        for device_id, known in self.credentials.items():
            if known == credential:
                return self.devices[device_id]
        raise Unauthenticated("this device is not paired: pair it")

    async def update(self, device_id: str, **changes: object) -> Device:
        self.devices[device_id] = replace(self._get(device_id), **changes)  # type: ignore[arg-type]
        return self.devices[device_id]

    async def revoke(self, device_id: str) -> None:
        del self.devices[self._get(device_id).id], self.credentials[device_id]

    async def replace_credential(self, device_id: str, credential: bytes) -> None:
        self.credentials[device_id] = credential

    async def audit(self, page_size: int, page_token: str) -> tuple[tuple[AuditEvent, ...], str]:
        events = (
            AuditEvent(time=datetime.now(UTC), action=action, address=address) for action, _, address in self.noted
        )
        return tuple(events), f"after {page_token} {page_size}"

    def _get(self, device_id: str) -> Device:
        if device_id not in self.devices:
            raise NotFound("there is no such device", resource=("device", device_id))
        return self.devices[device_id]


@dataclass
class Program:
    """A device's key, and the certificate for it."""

    key: ec.EllipticCurvePrivateKey
    certificate: bytes = b""

    @property
    def request(self) -> bytes:
        request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(self.key, hashes.SHA256())
        return request.public_bytes(Encoding.DER)

    def credentials(self, authority: Authority) -> grpc.ChannelCredentials:
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = x509.load_der_x509_certificate(self.certificate).public_bytes(Encoding.PEM)
        return grpc.ssl_channel_credentials(authority.certificate_pem, pem, chain)


class Daemon:
    """Its gRPC port for the LAN, with this service alone, and a door for the operator."""

    def __init__(self, directory: Path) -> None:
        self.parts = Desk(directory)
        self.parts.desk._registry = self.parts.registry = self.devices = Devices()
        lifecycle = Lifecycle(HealthServicer(("edged.v1.DeviceService",)))
        self._server = grpc.aio.server(interceptors=[CallInterceptor(CallBorder(lifecycle), self._identify)])
        servicer = DeviceServicer(self.parts.desk, self.devices, self.parts.authority)
        add_DeviceServiceServicer_to_server(servicer, self._server)
        identity = self.parts.authority.server_identity([])
        credentials = grpc.ssl_server_credentials(
            [(identity.key_pem, identity.certificate_pem)],
            self.parts.authority.certificate_pem,
            require_client_auth=True,
        )
        self.port = self._server.add_secure_port("127.0.0.1:0", credentials)
        self.socket = f"unix:{directory}/s"
        self._server.add_insecure_port(self.socket)

    async def __aenter__(self) -> Daemon:
        await self._server.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._server.stop(None)

    def _identify(self, context: grpc.aio.ServicerContext) -> Caller:
        certificate = peer_certificate(context)
        if certificate is None:
            return Caller()
        device = self.devices.identify(hashlib.sha256(certificate).digest())
        return Caller(device=device, address=peer_address(context))

    def operator(self) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(self.socket)

    def channel(self, program: Program) -> grpc.aio.Channel:
        options = [("grpc.ssl_target_name_override", "edged"), ("grpc.use_local_subchannel_pool", 1)]
        return grpc.aio.secure_channel(f"127.0.0.1:{self.port}", program.credentials(self.parts.authority), options)

    async def let_in(self, *scopes: Scope) -> tuple[Program, Device]:
        """A program that is paired."""
        program = Program(ec.generate_private_key(ec.SECP256R1()))
        offer = await self.parts.desk.open(frozenset(scopes), "", None)
        guest = Guest(self.parts.desk, offer.code, name="laptop", kind=DeviceKind.PROGRAM)
        guest.certificate_request = program.request
        guest.seen_fingerprint = bytes.fromhex(self.parts.fingerprint.replace(":", ""))
        await self.parts.desk.confirm(offer.pairing_id, await guest.come(), True)
        granted = await self.parts.desk.claim(guest.attempt_id)
        program.certificate = granted.certificate
        return program, granted.device


@pytest.fixture
async def daemon(run_dir: Path) -> AsyncIterator[Daemon]:
    async with Daemon(run_dir) as daemon:
        yield daemon


async def code_of(call: grpc.aio.UnaryUnaryCall) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code()


async def test_a_paired_program_is_itself(daemon: Daemon) -> None:
    program, device = await daemon.let_in()
    async with daemon.channel(program) as channel:
        own = await DeviceServiceStub(channel).GetOwnDevice(pb.GetOwnDeviceRequest(), timeout=SECONDS)
        assert wire.device_from_wire(own.device) == device
        list_devices = DeviceServiceStub(channel).ListDevices(pb.ListDevicesRequest(), timeout=SECONDS)
        assert await code_of(list_devices) == grpc.StatusCode.PERMISSION_DENIED


async def test_a_renewed_certificate_takes_the_place_of_the_old_one(daemon: Daemon) -> None:
    program, device = await daemon.let_in()
    renewed = Program(ec.generate_private_key(ec.SECP256R1()))
    async with daemon.channel(program) as channel:
        stub = DeviceServiceStub(channel)
        answer = await stub.RenewCertificate(
            pb.RenewCertificateRequest(certificate_request=renewed.request), timeout=SECONDS
        )
        assert answer.ca_certificate == daemon.parts.authority.certificate
        renewed.certificate = answer.certificate
        assert await code_of(stub.GetOwnDevice(pb.GetOwnDeviceRequest())) == grpc.StatusCode.UNAUTHENTICATED
    async with daemon.channel(renewed) as channel:
        stub = DeviceServiceStub(channel)
        assert (await stub.GetOwnDevice(pb.GetOwnDeviceRequest(), timeout=SECONDS)).device.id == device.id
        broken = stub.RenewCertificate(pb.RenewCertificateRequest(certificate_request=b"?"), timeout=SECONDS)
        assert await code_of(broken) == grpc.StatusCode.INVALID_ARGUMENT


async def test_certificates_that_are_no_devices_fail_the_handshake(daemon: Daemon, tmp_path: Path) -> None:
    program, _ = await daemon.let_in()
    strange = Authority.open(tmp_path / "strange", "strange")
    of_another = Program(program.key, strange.client_certificate(program.request, device_id="x", expires_at=None))
    identity = daemon.parts.authority.server_identity([])
    its_own_key = load_pem_private_key(identity.key_pem, password=None)
    assert isinstance(its_own_key, ec.EllipticCurvePrivateKey)
    its_own = Program(its_own_key, ssl.PEM_cert_to_DER_cert(identity.certificate_pem.decode()))
    for refused in (of_another, its_own):
        async with daemon.channel(refused) as channel:
            call = DeviceServiceStub(channel).GetOwnDevice(pb.GetOwnDeviceRequest(), timeout=SECONDS)
            assert await code_of(call) == grpc.StatusCode.UNAVAILABLE


async def test_a_device_is_no_daemon(daemon: Daemon) -> None:
    """Its certificate, shown by a server, is refused by other devices."""
    program, _ = await daemon.let_in()
    pem = program.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = x509.load_der_x509_certificate(program.certificate).public_bytes(Encoding.PEM)
    server = grpc.aio.server()
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(pem, chain)]))
    await server.start()
    credentials = program.credentials(daemon.parts.authority)
    options = [("grpc.ssl_target_name_override", "edged")]
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options) as channel:
        call = DeviceServiceStub(channel).GetOwnDevice(pb.GetOwnDeviceRequest(), timeout=SECONDS)
        assert await code_of(call) == grpc.StatusCode.UNAVAILABLE
    await server.stop(None)


async def test_browsers_and_the_operator_have_no_certificate(daemon: Daemon) -> None:
    program, device = await daemon.let_in()
    await daemon.devices.update(device.id, kind=DeviceKind.BROWSER)
    request = pb.RenewCertificateRequest(certificate_request=program.request)
    async with daemon.channel(program) as channel:
        refused = DeviceServiceStub(channel).RenewCertificate(request, timeout=SECONDS)
        assert await code_of(refused) == grpc.StatusCode.PERMISSION_DENIED
    async with daemon.operator() as channel:
        stub = DeviceServiceStub(channel)
        assert await code_of(stub.RenewCertificate(request)) == grpc.StatusCode.NOT_FOUND
        assert await code_of(stub.GetOwnDevice(pb.GetOwnDeviceRequest())) == grpc.StatusCode.NOT_FOUND


async def test_the_operator_pairs_a_device(daemon: Daemon) -> None:
    async with daemon.operator() as channel:
        stub = DeviceServiceStub(channel)
        scopes = [pb.SCOPE_CHAT, pb.SCOPE_CAMERA]
        offer = await stub.OpenPairing(pb.OpenPairingRequest(scopes=scopes, person="Anna"), timeout=SECONDS)
        events = stub.WatchPairing(pb.WatchPairingRequest(pairing_id=offer.pairing_id), timeout=SECONDS)
        phone = Guest(daemon.parts.desk, offer.code)
        coming = asyncio.create_task(phone.come())
        shown = (await events.read()).candidate
        assert shown.short_string == await coming
        assert (shown.device_name, shown.kind, shown.address) == (phone.name, pb.DEVICE_KIND_BROWSER, phone.address)
        confirmed = await stub.ConfirmPairing(
            pb.ConfirmPairingRequest(pairing_id=offer.pairing_id, short_string=shown.short_string, is_the_one=True)
        )
        assert (await events.read()).end.device == confirmed.device
        assert await events.read() is grpc.aio.EOF
        assert (confirmed.device.person, list(confirmed.device.scopes)) == ("Anna", sorted(scopes))
        assert list((await stub.ListDevices(pb.ListDevicesRequest())).devices) == [confirmed.device]


async def test_the_operator_says_no(daemon: Daemon) -> None:
    async with daemon.operator() as channel:
        stub = DeviceServiceStub(channel)
        offer = await stub.OpenPairing(pb.OpenPairingRequest(), timeout=SECONDS)
        shown = await Guest(daemon.parts.desk, offer.code).come()
        answer = await stub.ConfirmPairing(pb.ConfirmPairingRequest(pairing_id=offer.pairing_id, short_string=shown))
        assert not answer.HasField("device")
        again = stub.ConfirmPairing(pb.ConfirmPairingRequest(pairing_id=offer.pairing_id, short_string=shown))
        assert await code_of(again) == grpc.StatusCode.NOT_FOUND
        unknown = stub.ConfirmPairing(pb.ConfirmPairingRequest(pairing_id="?", short_string=shown))
        assert await code_of(unknown) == grpc.StatusCode.NOT_FOUND


async def test_devices_are_changed_and_revoked(daemon: Daemon) -> None:
    program, device = await daemon.let_in()
    until = datetime.now(UTC) + timedelta(days=9)
    async with daemon.operator() as channel, daemon.channel(program) as theirs:
        stub = DeviceServiceStub(channel)
        request = pb.UpdateDeviceRequest(device_id=device.id, person="Anna", expires_at=wire.time_to_wire(until))
        changed = wire.device_from_wire((await stub.UpdateDevice(request, timeout=SECONDS)).device)
        assert changed == replace(device, person="Anna", expires_at=until)
        request = pb.UpdateDeviceRequest(device_id=device.id, name="desk", scopes=[pb.SCOPE_ADMIN])
        request.expires_at.SetInParent()  # never
        changed = wire.device_from_wire((await stub.UpdateDevice(request)).device)
        assert changed == replace(device, name="desk", person="Anna", scopes=frozenset({Scope.ADMIN}))
        unknown = pb.UpdateDeviceRequest(device_id=device.id, scopes=[99])
        assert await code_of(stub.UpdateDevice(unknown)) == grpc.StatusCode.INVALID_ARGUMENT
        await DeviceServiceStub(theirs).ListDevices(pb.ListDevicesRequest(), timeout=SECONDS)  # it is an admin now
        await stub.RevokeDevice(pb.RevokeDeviceRequest(device_id=device.id))
        refused = DeviceServiceStub(theirs).GetOwnDevice(pb.GetOwnDeviceRequest(), timeout=SECONDS)
        assert await code_of(refused) == grpc.StatusCode.UNAUTHENTICATED
        assert await code_of(stub.RevokeDevice(pb.RevokeDeviceRequest(device_id="?"))) == grpc.StatusCode.NOT_FOUND


async def test_the_audit_log(daemon: Daemon) -> None:
    await daemon.let_in()
    async with daemon.operator() as channel:
        request = pb.ListAuditEventsRequest(page_size=7, page_token="x")
        page = await DeviceServiceStub(channel).ListAuditEvents(request, timeout=SECONDS)
    assert [event.action for event in page.events] == ["pairing opened", "asks to pair"]
    assert page.next_page_token == "after x 7"


async def test_without_the_lan_there_is_no_pairing() -> None:
    servicer = DeviceServicer(None, Devices(), None)
    for answer in (
        servicer.OpenPairing(pb.OpenPairingRequest(), None),
        servicer.WatchPairing(pb.WatchPairingRequest(), None),
        servicer.ConfirmPairing(pb.ConfirmPairingRequest(), None),
    ):
        with pytest.raises(Exception, match="does not listen on the LAN") as caught:
            await answer
        assert caught.value.message == REFUSAL
        assert caught.value.code.grpc_status == "FAILED_PRECONDITION"
    assert not (await servicer.ListDevices(pb.ListDevicesRequest(), None)).devices


async def test_without_the_api_on_the_lan_there_are_no_keys() -> None:
    servicer = DeviceServicer(None, Devices(), None)
    with pytest.raises(Exception, match=r"set http\.lan") as caught:
        await servicer.CreateApiKey(pb.CreateApiKeyRequest(name="robot"), None)
    assert caught.value.code.grpc_status == "FAILED_PRECONDITION"
