"""The daemon's own certificate authority: says who it is, and which programs it knows."""

from __future__ import annotations

import errno
import secrets
import shutil
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from edged.errors import StoreError
from edged.trust.addresses import host_name
from edged.trust.certificates import (
    KeyPair,
    alternative_names,
    is_host,
    is_server,
    make_authority,
    make_client,
    make_server,
    requested_key,
    short_id,
)
from edged.trust.private_files import explained, read_private, require_private, sync_directory, write_private

NATIVE_NAME = "edged"
"""A name of every server: clients that trust this CA alone ask for it, since addresses change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerIdentity:
    """What both ports on the LAN show."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    fingerprint: str
    """SHA-256 of the certificate in DER, in hexadecimal with colons, as browsers show it."""


class Authority:
    """Of one state directory."""

    def __init__(self, directory: Path, pair: KeyPair, now: Callable[[], datetime]) -> None:
        self._directory = directory
        self._pair = pair
        self._now = now

    @classmethod
    def open(cls, directory: Path, name: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Authority:
        """The authority in a folder of its own, made there if there is none.

        name: of the daemon, for people who look at a new certificate.
        Raises StoreError for files that are damaged, another account's, or open to others.
        """
        with explained(directory):
            if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
                _make(directory, name, now())
            status = directory.stat()
        if not stat.S_ISDIR(status.st_mode):
            raise StoreError(f"{directory} is no folder: move it away, then start edged again")
        require_private(directory, status)
        pair, certificate_file = _read_pair(directory, "ca"), directory / "ca.crt"
        if pair.certificate.not_valid_before_utc > now():
            raise StoreError(f"{certificate_file} is not valid yet, says the clock: set the clock of this machine")
        if pair.certificate.not_valid_after_utc <= now():
            raise StoreError(f"{certificate_file} has expired: remove {directory}, then pair all devices again")
        return cls(directory, pair, now)

    @property
    def certificate(self) -> bytes:
        """The CA's own, in DER."""
        return self._pair.certificate.public_bytes(Encoding.DER)

    @property
    def certificate_pem(self) -> bytes:
        """The CA's own, in PEM."""
        return _certificate_pem(self._pair)

    @property
    def short_id(self) -> str:
        """Eight hexadecimal digits that tell daemons apart; no secret."""
        return short_id(self._pair.key.public_key())

    def server_identity(self, hosts: Sequence[str]) -> ServerIdentity:
        """What the ports show; made anew when it expires within a month or lacks a name that it must have.

        hosts: by which clients reach this machine, beside its own name.
        Raises ConfigError for what is neither a host name nor an IP address, and StoreError.
        """
        own = [name for name in (host_name(), f"{host_name()}.local") if is_host(name)]
        names = alternative_names((NATIVE_NAME, *own, "localhost", "127.0.0.1", "::1", *hosts))
        pair = self._kept_server()
        if pair is None or not is_server(pair, self._pair, names, self._now()):
            pair = make_server(self._pair, names, self._now())
            # Torn apart by a crash, they do not belong together and are made once more.
            write_private(self._directory / "server.key", _key_pem(pair))
            write_private(self._directory / "server.crt", _certificate_pem(pair))
        return ServerIdentity(
            certificate_pem=_certificate_pem(pair),
            key_pem=_key_pem(pair),
            fingerprint=pair.certificate.fingerprint(SHA256()).hex(":").upper(),
        )

    def check_request(self, request: bytes) -> None:
        """Raises InvalidInput for what `client_certificate` will not take."""
        requested_key(request)

    def client_certificate(self, request: bytes, *, device_id: str, expires_at: datetime | None) -> bytes:
        """A certificate in DER with which a device shows who it is.

        request: PKCS #10 in DER for a P-256 key; whatever else it asks for is ignored.
        expires_at: two years from now where it is None. Raises InvalidInput.
        """
        certificate = make_client(self._pair, requested_key(request), device_id, expires_at, self._now())
        return certificate.public_bytes(Encoding.DER)

    def _kept_server(self) -> KeyPair | None:
        """None where there is none, or it is torn. Raises StoreError where others may have read its key."""
        if not all((self._directory / name).exists() for name in ("server.key", "server.crt")):
            return None
        try:
            return _read_pair(self._directory, "server")
        except _Damaged:
            return None


class _Damaged(StoreError):
    """A key and its certificate do not read, or do not belong together."""


def _make(directory: Path, name: str, now: datetime) -> None:
    """Both files at once or neither; of two that make one at the same time, the first has it."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    pair = make_authority(name, now)
    draft = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
    draft.mkdir(mode=0o700)
    try:
        write_private(draft / "ca.key", _key_pem(pair))
        write_private(draft / "ca.crt", _certificate_pem(pair))
        draft.rename(directory)
    except OSError as exc:
        if exc.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    sync_directory(directory.parent)


def _read_pair(directory: Path, name: str) -> KeyPair:
    """Raises StoreError."""
    key_file, certificate_file = directory / f"{name}.key", directory / f"{name}.crt"
    key_pem, certificate_pem = read_private(key_file), read_private(certificate_file)
    try:
        key = load_pem_private_key(key_pem, password=None)
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        belong_together = key.public_key() == certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        belong_together = False
    if not belong_together or not isinstance(key, EllipticCurvePrivateKey):
        raise _Damaged(
            f"{key_file} and {certificate_file} are damaged: put both back from a backup, "
            f"or remove {directory} and pair all devices again"
        )
    return KeyPair(key=key, certificate=certificate)


def _key_pem(pair: KeyPair) -> bytes:
    return pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _certificate_pem(pair: KeyPair) -> bytes:
    return pair.certificate.public_bytes(Encoding.PEM)
