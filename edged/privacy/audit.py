"""The audit hook (PEP 578): Python code that reaches for the network is refused, and counted.

It sees what Python's own socket module does, UDP and name look-ups included, and nothing of C libraries:
those are Landlock's part. A hook cannot be removed again.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections import Counter
from collections.abc import Callable

from edged.errors import EgressRefused
from edged.privacy.egress import Egress
from edged.records import Enforcement, Refusal

_NAMES = {"__new__": "socket"}
"""Of calls whose audit event is called otherwise."""
_log = logging.getLogger(__name__)


class ConnectionRefusedByPolicy(EgressRefused, PermissionError):
    """An OSError as well, so that libraries take it for a machine without a network and carry on."""


class AuditHook:
    """Refuses by the rules of `egress` and counts; one per process."""

    def __init__(self, egress: Egress) -> None:
        self._refused: Counter[str] = Counter()
        self._egress = egress
        self._rules: dict[str, Callable[..., bool]] = {
            "socket.__new__": lambda _, family, kind, *__: egress.may_open(family, kind),
            "socket.connect": _to_address(egress),
            "socket.sendto": _by_datagram(egress),
            "socket.sendmsg": _by_datagram(egress),
            "socket.getaddrinfo": lambda host, *_: host in (None, "") or egress.may_resolve(host),
            "socket.gethostbyname": egress.may_resolve,
            "socket.gethostbyaddr": egress.may_resolve,
            "socket.getnameinfo": lambda address: egress.may_resolve(address[0]),
        }

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """Attempts refused since the start, by the name of what was called; the most frequent first."""
        return tuple(Refusal(call=_NAMES.get(call, call), count=count) for call, count in self._refused.most_common())

    def install(self) -> Enforcement:
        """From here on, for the life of the process."""
        sys.addaudithook(self)
        also = "; mDNS tells the LAN that a daemon is here (lan.announce)" if self._egress.announces else ""
        camera = ", and the camera's (camera.source)" if self._egress.connect_to else ""
        return Enforcement(
            name="audit hook",
            active=True,
            detail=f"Python code reaches unix sockets and loopback addresses{camera}, no names{also}",
        )

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        """Called by the interpreter for every event; most are none of ours."""
        rule = self._rules.get(event)
        if rule is None or rule(*arguments):
            return
        self._refused[event.removeprefix("socket.")] += 1
        # Neither log nor error names the address: a host or a path can carry what somebody said.
        _log.warning("refused %s: nothing may leave this machine", event)
        raise ConnectionRefusedByPolicy(f"{event} refused: nothing may leave this machine")


def _to_address(egress: Egress) -> Callable[..., bool]:
    def allowed(sock: socket.socket, address: object) -> bool:
        # sendmsg() on a connected socket gives no address: connect() was asked already.
        return address is None or egress.may_connect(sock.family, address)

    return allowed


def _by_datagram(egress: Egress) -> Callable[..., bool]:
    to_address = _to_address(egress)

    def allowed(sock: socket.socket, address: object) -> bool:
        if to_address(sock, address):
            return True
        is_datagram = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_DGRAM
        return is_datagram and egress.may_announce(sock.getsockname()[1], address)

    return allowed
