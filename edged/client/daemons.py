"""Daemons elsewhere that this user is paired with, each in a folder that only this user can read."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edged.client.channel import Credentials, pem_of
from edged.client.client import Client
from edged.errors import (
    AlreadyExists,
    ConfigError,
    EdgedError,
    InvalidInput,
    NotFound,
    Unauthenticated,
    Unavailable,
    nearest,
)
from edged.records import Scope

RENEW_DAYS = 60
"""A certificate that ends sooner is renewed, or with a third of its time left where it was given for less."""
LOOK_SECONDS = 2.0
"""How long a daemon that is not where it was is looked for."""
TRY_SECONDS = 15.0
"""How long those that say they are daemons are tried, one after the other."""
LOCK_SECONDS = 0.1
"""Between two looks whether another process has done renewing."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}")
_IDENTITY = "identity.pem"
"""Key and certificate in one file, so that a renewal takes the place of both at once; written last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairing:
    """All that it takes to reach a daemon elsewhere."""

    name: str
    """What this machine calls the daemon."""
    grpc_address: str
    """HOST:PORT."""
    web_address: str
    """HOST:PORT of the page for browsers."""
    device_id: str
    """What the daemon calls this machine."""
    scopes: frozenset[Scope]
    """What this machine might do there when it was paired; the daemon may have changed it since."""
    issued_at: datetime
    """When this machine got its certificate."""
    expires_at: datetime
    """When the certificate ends."""
    credentials: Credentials


class PairedDaemons:
    """The folder that holds them."""

    def __init__(self, directory: Path) -> None:
        """directory: made when the first daemon is added."""
        self.directory = directory

    def names(self) -> tuple[str, ...]:
        """Of all of them, sorted."""
        return tuple(sorted(identity.parent.name for identity in self.directory.glob(f"*/{_IDENTITY}")))

    def load(self, name: str) -> Pairing:
        """Raises NotFound, and ConfigError for files that are damaged or that others can read."""
        self._require(name)
        return _read(self.directory / name)

    def check_free(self, name: str, ca_certificate: bytes | None = None) -> None:
        """That a daemon, perhaps with this CA, can be added by that name.

        Raises InvalidInput for what is no name, AlreadyExists where it is another daemon's, OSError where nothing
        can be written.
        """
        if not _NAME.fullmatch(name):
            raise InvalidInput(
                f"{name[:80]!r} cannot name a daemon: at most 63 letters, digits, hyphens, underscores and dots",
                field="name",
            )
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(self.directory, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.directory))
        if ca_certificate and name in self.names() and self.load(name).credentials.ca_certificate != ca_certificate:
            raise AlreadyExists(
                f"another daemon is called {name} here: `edged daemons forget {name}` first, or call this one by "
                "another name (--as)",
                resource=("daemon", name),
            )

    def add(self, pairing: Pairing) -> None:
        """Keep it; it takes the place of an earlier pairing with the same daemon. Raises what `check_free` raises."""
        self.check_free(pairing.name, pairing.credentials.ca_certificate)
        (self.directory / pairing.name).mkdir(mode=0o700, exist_ok=True)
        self._write(pairing)

    def remove(self, name: str) -> None:
        """Forget it; the daemon itself knows this machine until it is revoked there. Raises NotFound."""
        self._require(name)
        (self.directory / name / _IDENTITY).unlink()  # first: nothing is left of a pairing if the rest stays
        shutil.rmtree(self.directory / name)

    async def reach(self, pairing: Pairing) -> Pairing:
        """The pairing with the address at which the daemon answers now, which is kept if it is another one.

        With the extra client it is looked for in the LAN where it does not answer. Raises what `Client.status` raises.
        """
        try:
            await _check(pairing)
        except (Unavailable, Unauthenticated):
            address = await _found_again(pairing)
            if not address:
                raise
            async with _alone(self.directory / pairing.name):
                pairing = replace(self.load(pairing.name), grpc_address=address)
                self._write(pairing)
        return pairing

    async def renew_if_due(self, pairing: Pairing) -> Pairing:
        """With a new key and certificate if the old one ends within 60 days; asks the daemon for it.

        Raises what `DeviceCalls.renew_certificate` raises, and ImportError without the extra client.
        """
        if not is_due(pairing):
            return pairing
        from edged.client.certificate_request import new_key

        async with _alone(self.directory / pairing.name):
            pairing = self.load(pairing.name)  # another process may have been quicker
            if not is_due(pairing):
                return pairing
            key = new_key()
            async with Client(pairing.grpc_address, pairing.credentials) as client:
                renewed = await client.devices.renew_certificate(key.request)
            expires_at = key.check(renewed.certificate, renewed.ca_certificate)
            credentials = Credentials(
                ca_certificate=pem_of(renewed.ca_certificate), certificate=pem_of(renewed.certificate), key=key.pem
            )
            pairing = replace(pairing, credentials=credentials, issued_at=datetime.now(UTC), expires_at=expires_at)
            self._write(pairing)
            return pairing

    def _require(self, name: str) -> None:
        if name not in self.names():
            raise NotFound(
                f"no daemon named {name[:60]!r} is paired with this machine{nearest(name, self.names())}: "
                "`edged join` pairs with one",
                resource=("daemon", name),
            )

    def _write(self, pairing: Pairing) -> None:
        folder = self.directory / pairing.name
        document = {
            "grpc_address": pairing.grpc_address,
            "web_address": pairing.web_address,
            "device_id": pairing.device_id,
            "scopes": sorted(pairing.scopes),
            "issued_at": pairing.issued_at.isoformat(),
            "expires_at": pairing.expires_at.isoformat(),
        }
        _put(folder / "pairing.json", json.dumps(document, indent=2).encode())
        _put(folder / "ca.pem", pairing.credentials.ca_certificate)
        _put(folder / _IDENTITY, pairing.credentials.key + pairing.credentials.certificate)


def is_due(pairing: Pairing) -> bool:
    """Whether its certificate should be renewed."""
    least = min(timedelta(days=RENEW_DAYS), (pairing.expires_at - pairing.issued_at) / 3)
    return pairing.expires_at - datetime.now(UTC) < least


async def _check(pairing: Pairing) -> None:
    async with Client(pairing.grpc_address, pairing.credentials) as client:
        await client.status()


async def _found_again(pairing: Pairing) -> str:
    """Where on the LAN it is that daemon which answers; empty where none does, or nobody can be looked for."""
    try:
        from edged.client.discovery import discover
    except ImportError:
        return ""
    with contextlib.suppress(Unavailable, TimeoutError):
        found = await discover(LOOK_SECONDS)
        async with asyncio.timeout(TRY_SECONDS):  # whoever says that they are many daemons holds nobody up
            for address in (address for daemon in found for address in daemon.grpc_addresses):
                with contextlib.suppress(EdgedError):
                    await _check(replace(pairing, grpc_address=address))
                    return address
    return ""


def _read(folder: Path) -> Pairing:
    identity = folder / _IDENTITY
    status = identity.stat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise ConfigError(
            f"others can read the key in {identity}: `chmod 600` it, or `edged daemons forget {folder.name}` and pair "
            "again if somebody may have"
        )
    try:
        document = json.loads((folder / "pairing.json").read_bytes())
        key, begin, certificate = identity.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
        return Pairing(
            name=folder.name,
            grpc_address=str(document["grpc_address"]),
            web_address=str(document["web_address"]),
            device_id=str(document["device_id"]),
            scopes=frozenset(map(Scope, document["scopes"])),
            issued_at=datetime.fromisoformat(document["issued_at"]).astimezone(UTC),
            expires_at=datetime.fromisoformat(document["expires_at"]).astimezone(UTC),
            credentials=Credentials(
                ca_certificate=(folder / "ca.pem").read_bytes(), certificate=begin + certificate, key=key
            ),
        )
    except (OSError, ValueError, TypeError, KeyError, InvalidInput) as exc:
        raise ConfigError(
            f"{folder} is damaged: `edged daemons forget {folder.name}` and `edged join` make it anew"
        ) from exc


def _put(file: Path, data: bytes) -> None:
    """All of it or nothing, for this user only."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(descriptor)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@contextlib.asynccontextmanager
async def _alone(folder: Path) -> AsyncIterator[None]:
    """No other process renews meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(LOCK_SECONDS)
        yield
    finally:
        os.close(descriptor)
