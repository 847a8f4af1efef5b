"""Landlock's network rules: from here on this process may open no TCP connection but to its camera, in any language.

Landlock (landlock(7), Linux 6.7 for the network part) binds the calling thread and those it starts
later, so it comes before anything that starts threads. It knows ports and no addresses, and covers TCP
only; the rest is left to the audit hook and, under systemd, to the unit's IPAddressDeny=.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from edged.records import Enforcement

NETWORK_ABI = 4
"""First version of Landlock that knows TCP."""

# The same numbers on every architecture that edged runs on (asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION = 1
_RULE_NET_PORT = 2
_BIND_TCP, _CONNECT_TCP = 1, 2
_PR_SET_NO_NEW_PRIVS = 38

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def refuse_tcp(*, bind_ports: Iterable[int], connect_ports: Iterable[int] = ()) -> Enforcement:
    """Refuse every TCP connect and every TCP bind but those to and on these ports, for good.

    A kernel without it, or threads that started earlier and so stay free, make an inactive Enforcement
    that says so, never an error.
    """
    bind, connect = sorted(bind_ports), sorted(connect_ports)
    threads = len(list(Path("/proc/self/task").iterdir()))
    try:
        if (abi := _syscall(_CREATE_RULESET, None, 0, _GET_VERSION)) < NETWORK_ABI:
            return _enforcement(active=False, detail=f"the kernel's Landlock (ABI {abi}) has no network rules")
        _restrict(bind, connect)
    except OSError as exc:
        return _enforcement(active=False, detail=f"not available in this kernel: {exc.strerror}")
    if threads > 1:
        return _enforcement(active=False, detail=f"came too late: {threads - 1} threads were running and stay free")
    reaching = f"TCP connect only to port {_listed(connect)} (camera.source)" if connect else "no TCP connect"
    listening = f"bind only on port {_listed(bind)}" if bind else "no bind"
    return _enforcement(active=True, detail=f"{reaching}, {listening} (ABI {abi}); says nothing of UDP")


def _listed(ports: list[int]) -> str:
    return ", ".join(map(str, ports))


def _restrict(bind_ports: list[int], connect_ports: list[int]) -> None:
    # struct landlock_ruleset_attr: handled_access_fs, handled_access_net.
    attributes = struct.pack("=QQ", 0, _BIND_TCP | _CONNECT_TCP)
    ruleset = _syscall(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for access, ports in ((_BIND_TCP, bind_ports), (_CONNECT_TCP, connect_ports)):
            for port in ports:
                # struct landlock_net_port_attr: allowed_access, port.
                _syscall(_ADD_RULE, ruleset, _RULE_NET_PORT, struct.pack("=QQ", access, port), 0)
        # Without this only root may restrict itself; it also keeps set-uid programs from undoing it.
        if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        _syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    wide = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *wide))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def _enforcement(*, active: bool, detail: str) -> Enforcement:
    return Enforcement(name="landlock", active=active, detail=detail)
