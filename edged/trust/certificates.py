"""X.509 as edged issues it: an authority (CA), servers and clients of it; P-256 throughout."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edged.errors import ConfigError, InvalidInput

CA_LIFE = timedelta(days=3652)
SERVER_LIFE = timedelta(days=397)
"""What browsers take."""
SERVER_RENEWAL = timedelta(days=30)
"""This long before its end a server's certificate is made anew."""
CLIENT_LIFE = timedelta(days=730)
BACKDATED = timedelta(minutes=5)
"""Clocks of phones differ a little."""
MAX_REQUEST_BYTES = 4096
_MAX_NAME_BYTES = 40
"""Of the daemon's name: a common name has 64 characters, some of them ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A private key, and the certificate of its public one."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate


def make_authority(name: str, now: datetime) -> KeyPair:
    """Signs itself. name: for people who look at it."""
    key = generate_private_key(SECP256R1())
    shown = "".join(filter(str.isprintable, name)).encode()[:_MAX_NAME_BYTES].decode(errors="ignore") or "daemon"
    subject = _common_name(f"edged {shown} CA {short_id(key.public_key())}")
    builder = (
        _builder(subject, key.public_key(), now, now + CA_LIFE)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(key_cert_sign=True), critical=True)
    )
    return KeyPair(key=key, certificate=builder.sign(key, SHA256()))


def make_server(authority: KeyPair, names: Iterable[x509.GeneralName], now: datetime) -> KeyPair:
    """A new key, and a certificate for these names; no client can be one."""
    key = generate_private_key(SECP256R1())
    until = min(now + SERVER_LIFE, authority.certificate.not_valid_after_utc)
    builder = (
        _leaf(authority, "edged", key.public_key(), now, until)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
    )
    return KeyPair(key=key, certificate=builder.sign(authority.key, SHA256()))


def is_server(pair: KeyPair, authority: KeyPair, names: Iterable[x509.GeneralName], now: datetime) -> bool:
    """Whether `make_server` would make another like it: of this authority, with these names, and for long enough."""
    certificate = pair.certificate
    until = min(certificate.not_valid_after_utc, authority.certificate.not_valid_after_utc)
    if not certificate.not_valid_before_utc <= now < until - SERVER_RENEWAL:
        return False
    try:
        certificate.verify_directly_issued_by(authority.certificate)
        has = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, ValueError, TypeError, x509.ExtensionNotFound):
        return False
    # Further ones do no harm, and browsers have to be told again whom to trust after each change.
    return set(names) <= set(has)


def make_client(
    authority: KeyPair, key: EllipticCurvePublicKey, device_id: str, until: datetime | None, now: datetime
) -> x509.Certificate:
    """For a device's own key; no server can be one. until: two years where it is None. Raises InvalidInput."""
    if until is not None and until <= now:
        raise InvalidInput("expires_at is over already", field="expires_at")
    end = min(until or now + CLIENT_LIFE, authority.certificate.not_valid_after_utc)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = _leaf(authority, device_id, key, now, end).add_extension(usage, critical=False)
    return builder.sign(authority.key, SHA256())


def requested_key(request: bytes) -> EllipticCurvePublicKey:
    """The key that somebody asks a certificate for, and has: from PKCS #10 in DER. Raises InvalidInput."""
    if len(request) > MAX_REQUEST_BYTES:
        raise _bad_request(f"longer than {MAX_REQUEST_BYTES} bytes")
    try:
        parsed = x509.load_der_x509_csr(request)
        key = parsed.public_key()
        if not isinstance(key, EllipticCurvePublicKey) or not isinstance(key.curve, SECP256R1):
            raise _bad_request("not for a P-256 key")
        if not parsed.is_signature_valid:
            raise _bad_request("not signed with its own key")
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise _bad_request("no PKCS #10 in DER") from None
    return key


def alternative_names(hosts: Iterable[str]) -> tuple[x509.GeneralName, ...]:
    """Of a server, each once. Raises ConfigError for what is neither a host name nor an IP address."""
    return tuple(dict.fromkeys(map(_alternative_name, hosts)))


def short_id(key: EllipticCurvePublicKey) -> str:
    """Eight hexadecimal digits that tell keys apart for people."""
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(info).hexdigest()[:8]


def is_host(name: str) -> bool:
    """Whether a certificate can hold it: machines may be called anything."""
    return len(name) <= 253 and all(map(_is_label, name.split(".")))


def _alternative_name(host: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ip_address(host.partition("%")[0]))
    if not is_host(host):
        raise ConfigError(f'lan.hosts: "{host}" is neither a host name in ASCII nor an IP address')
    return x509.DNSName(host.lower())


def _is_label(label: str) -> bool:
    return 0 < len(label) <= 63 and label.isascii() and label.replace("-", "").replace("_", "").isalnum()


def _leaf(
    authority: KeyPair, name: str, key: EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    issuer = authority.certificate
    return (
        _builder(_common_name(name), key, now, until)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
    )


def _builder(
    subject: x509.Name, key: EllipticCurvePublicKey, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, digital_signature: bool = False, key_cert_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _bad_request(why: str) -> InvalidInput:
    return InvalidInput(f"the certificate request is {why}", field="certificate_request")
