"""A key of a program's own, and the request that has a certificate made for it (extra client)."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from edged.errors import InvalidInput


class KeyRequest(NamedTuple):
    """A new P-256 key; it never leaves this machine."""

    key: ec.EllipticCurvePrivateKey
    request: bytes
    """DER of PKCS #10."""

    @property
    def pem(self) -> bytes:
        """Of the key, PKCS #8, not encrypted."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def check(self, certificate: bytes, ca_certificate: bytes) -> datetime:
        """When the certificate ends. Raises InvalidInput unless that CA made it for this key.

        Both in DER.
        """
        try:
            ours, authority = map(x509.load_der_x509_certificate, (certificate, ca_certificate))
            ours.verify_directly_issued_by(authority)
            is_for_key = ours.public_key() == self.key.public_key()
        except (ValueError, TypeError, InvalidSignature) as exc:
            raise InvalidInput("the daemon gave a certificate that its CA has not made", field="certificate") from exc
        if not is_for_key:
            raise InvalidInput("the daemon gave a certificate for another key", field="certificate")
        return ours.not_valid_after_utc


def new_key() -> KeyRequest:
    """Takes a millisecond."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder(x509.Name([])).sign(key, hashes.SHA256())
    return KeyRequest(key, request.public_bytes(serialization.Encoding.DER))


def names_of(certificate: bytes) -> tuple[str, ...]:
    """The DNS names in a certificate (DER), none where it cannot be read."""
    try:
        extension = x509.load_der_x509_certificate(certificate).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except (ValueError, x509.ExtensionNotFound):
        return ()
    return tuple(extension.value.get_values_for_type(x509.DNSName))
