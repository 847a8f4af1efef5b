"""Who made a bundle: an Ed25519 key (RFC 8032) that stays where bundles are made."""

from __future__ import annotations

from pathlib import Path

from edged.errors import ArtefactError, MissingExtra
from edged.trust.private_files import read_private, write_private

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_pem_private_key,
        load_pem_public_key,
    )

    from edged.trust.signatures import key_fingerprint
except ModuleNotFoundError as exc:
    raise MissingExtra("bundles need an extra: `make setup EXTRAS=bundle` or pip install 'edged[bundle]'") from exc

KEY_FILE = "bundle-signing.key"
"""In the configuration directory."""


def signing_key(directory: Path) -> Ed25519PrivateKey:
    """The publisher's key, made at its first use. Raises StoreError."""
    file = directory / KEY_FILE
    if not file.exists():
        directory.mkdir(parents=True, exist_ok=True)
        made = Ed25519PrivateKey.generate()
        write_private(file, made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    try:
        loaded = load_pem_private_key(read_private(file), password=None)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ArtefactError(f"{file} holds no key: move it away, and a new one is made") from exc
    if not isinstance(loaded, Ed25519PrivateKey):
        raise ArtefactError(f"{file} holds another kind of key: move it away, and a new one is made")
    return loaded


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """What goes into the bundle."""
    return _written(key.public_key())


def fingerprint(pem: bytes) -> str:
    """Of the public key, to be compared by people. Raises ArtefactError."""
    return key_fingerprint(_public_key(pem))


def check_signature(pem: bytes, signature: bytes, data: bytes) -> None:
    """Raises ArtefactError where the key did not sign this."""
    try:
        _public_key(pem).verify(signature, data)
    except InvalidSignature as exc:
        raise ArtefactError(
            "manifest.sig does not fit manifest.json: one of them, or publisher.pem, was changed"
        ) from exc


def _public_key(pem: bytes) -> Ed25519PublicKey:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ArtefactError("publisher.pem of the bundle is not a key: damaged or tampered with") from exc
    if not isinstance(key, Ed25519PublicKey) or _written(key) != pem:
        raise ArtefactError("publisher.pem of the bundle is not an Ed25519 key as it was written: tampered with")
    return key


def _written(key: Ed25519PublicKey) -> bytes:
    """The one way to write it."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
