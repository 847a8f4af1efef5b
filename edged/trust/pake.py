"""How two machines prove to each other that they know the same code: SPAKE2, and what is derived from its key.

Both sides of "Pairing, to the byte" in protos/README.md; one guess at the code costs whoever makes it a whole attempt.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError
from spake2.ed25519_basic import NotOnCurve

from edged.errors import InvalidInput
from edged.records import DeviceKind

CLIENT_IDENTITY = b"edged client"
DAEMON_IDENTITY = b"edged daemon"
MESSAGE_BYTES = 33
"""A letter for the side, and an element of the group."""
_FIELD = 2**255 - 19
_KIND_NUMBERS: Mapping[DeviceKind, int] = MappingProxyType({DeviceKind.PROGRAM: 1, DeviceKind.BROWSER: 2})
"""As in device.proto."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingKeys:
    """What one side derives at the end of SPAKE2. With the wrong code, nothing of it agrees with the other side's."""

    client: bytes = field(repr=False)
    """Key of the client's confirmation."""
    daemon: bytes = field(repr=False)
    """Key of the daemon's confirmation."""
    short_string: str
    """Both screens show it: four digits, a hyphen, four digits."""

    def client_confirmation(
        self,
        *,
        attempt_id: str,
        device_name: str,
        kind: DeviceKind,
        certificate_request: bytes,
        seen_fingerprint: bytes,
    ) -> bytes:
        """32 bytes with which the client shows that it knows the code, and what it says of itself."""
        number = bytes([_KIND_NUMBERS[kind]])
        return _sealed(
            self.client, attempt_id.encode(), device_name.encode(), number, certificate_request, seen_fingerprint
        )

    def daemon_confirmation(self, *, attempt_id: str, ca_certificate: bytes) -> bytes:
        """32 bytes with which the daemon shows that it knows the code, and that this CA is its own."""
        return _sealed(self.daemon, attempt_id.encode(), ca_certificate)


class _Side:
    def __init__(self, spake: SPAKE2_A | SPAKE2_B, other: bytes) -> None:
        self._spake = spake
        self._other = other
        self.message: bytes = spake.start()
        """For the other side."""

    def finish(self, message: bytes) -> PairingKeys:
        """The keys, from the other side's message; once. Takes some milliseconds.

        Raises InvalidInput for what the other side cannot have sent.
        """
        if len(message) != MESSAGE_BYTES or message[:1] != self._other or not _is_plausible(message[1:]):
            raise _malformed()
        try:
            key = self._spake.finish(message)
        except (SPAKEError, NotOnCurve, ValueError):
            raise _malformed() from None
        return PairingKeys(
            client=_derived(key, b"edged pairing client", 32),
            daemon=_derived(key, b"edged pairing daemon", 32),
            short_string=_short_string(_derived(key, b"edged pairing short string", 8)),
        )


class ClientSide(_Side):
    """Of the device that wants to be let in."""

    def __init__(self, password: str, entropy: Callable[[int], bytes] = os.urandom) -> None:
        """password: the code or the secret; any text, since people mistype."""
        super().__init__(SPAKE2_A(password.encode(), CLIENT_IDENTITY, DAEMON_IDENTITY, entropy_f=entropy), b"B")


class DaemonSide(_Side):
    """Of the daemon that may let it in."""

    def __init__(self, password: str, entropy: Callable[[int], bytes] = os.urandom) -> None:
        """password: the code or the secret."""
        super().__init__(SPAKE2_B(password.encode(), CLIENT_IDENTITY, DAEMON_IDENTITY, entropy_f=entropy), b"A")


def agree(one: bytes, other: bytes) -> bool:
    """Whether two confirmations are the same, in a time that does not tell how much of them is."""
    return hmac.compare_digest(one, other)


def _is_plausible(element: bytes) -> bool:
    """Neither of the two elements that give a known key, nor another spelling of any: the library lets those pass."""
    return 1 < int.from_bytes(element, "little") % 2**255 < _FIELD - 1


def _derived(key: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt=None, info=purpose).derive(key)


def _short_string(number: bytes) -> str:
    digits = f"{int.from_bytes(number, 'big') % 10**8:08d}"
    return f"{digits[:4]}-{digits[4:]}"


def _sealed(key: bytes, *parts: bytes) -> bytes:
    """HMAC-SHA256 of parts, each after its length, so that no two lists of parts look the same."""
    return hmac.digest(key, b"".join(len(part).to_bytes(4, "big") + part for part in parts), "sha256")


def _malformed() -> InvalidInput:
    return InvalidInput("the message of SPAKE2 is not one: 33 bytes, a side and an element", field="pake_message")
