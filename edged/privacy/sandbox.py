"""Landlock: from here on this process opens no TCP connection but to its camera, and no file but what it needs.

Landlock (landlock(7)) binds the calling thread and those it starts later, in any language, and the programs that they
run; so it comes before anything that starts threads. Its network rules (Linux 6.7) know ports and no addresses, and
TCP only: `seccomp` closes the rest. Its file rules (Linux 5.13) say nothing of unix sockets that have a path.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterable
from pathlib import Path

from edged.privacy.files import FileAccess
from edged.privacy.system_call import gain_no_privileges, other_threads, system_call
from edged.records import Enforcement

NETWORK_ABI = 4
"""First version of Landlock that knows TCP."""
_TRUNCATE_ABI, _DEVICE_ABI, _SCOPE_ABI = 3, 5, 6

# The same numbers on every architecture that edged runs on (asm-generic/unistd.h).
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX_SOCKET, _SCOPE_SIGNAL = 1, 2

# LANDLOCK_ACCESS_FS_* of linux/landlock.h.
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = (1 << bit for bit in range(4))
_CHANGE_DIRECTORY = sum(1 << bit for bit in range(4, 13))
"""Removing and making entries of every kind."""
_MAKE_DEVICE = 1 << 6 | 1 << 11
_REFER, _TRUNCATE, _IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
_ABOUT_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
"""What a rule may say of something that is no directory."""

_READ = _READ_FILE | _READ_DIR
_RUN = _READ | _EXECUTE
_USE = _READ | _WRITE_FILE | _IOCTL_DEVICE
_CHANGE = _READ | _WRITE_FILE | _TRUNCATE | _REFER | (_CHANGE_DIRECTORY & ~_MAKE_DEVICE)


def refuse_tcp(*, bind_ports: Iterable[int], connect_ports: Iterable[int] = ()) -> Enforcement:
    """Refuse every TCP connect and every TCP bind but those to and on these ports, for good.

    A kernel without it, or threads that started earlier and so stay free, make an inactive Enforcement
    that says so, never an error.
    """
    bind, connect = sorted(bind_ports), sorted(connect_ports)
    late = other_threads()
    try:
        if (abi := _version()) < NETWORK_ABI:
            return _network(active=False, detail=f"the kernel's Landlock (ABI {abi}) has no network rules")
        rules = [
            # struct landlock_net_port_attr: allowed_access, port.
            (_RULE_NET_PORT, struct.pack("=QQ", access, port))
            for access, ports in ((_BIND_TCP, bind), (_CONNECT_TCP, connect))
            for port in ports
        ]
        _restrict(rules, network=_BIND_TCP | _CONNECT_TCP)
    except OSError as exc:
        return _network(active=False, detail=f"not available in this kernel: {exc.strerror}")
    if late:
        return _network(active=False, detail=_came_late(late))
    reaching = f"TCP connect only to port {_listed(connect)} (camera.source)" if connect else "no TCP connect"
    listening = f"bind only on port {_listed(bind)}" if bind else "no bind"
    return _network(active=True, detail=f"{reaching}, {listening} (ABI {abi})")


def limit_files(access: FileAccess) -> Enforcement:
    """Refuse every file that `access` does not name, for good; what is not there now is left out.

    Where the kernel can, also signals to processes outside, and abstract unix sockets of others. Never an error, as
    `refuse_tcp`.
    """
    late = other_threads()
    try:
        abi = _version()
        handled = _handled(abi)
        with _Places() as places:
            for rights, paths in (
                (_RUN, access.run),
                (_READ, access.read),
                (_USE, access.use),
                (_CHANGE, access.change),
            ):
                places.allow(paths, rights & handled)
            scopes = _SCOPE_SIGNAL | (0 if access.abstract_sockets else _SCOPE_ABSTRACT_UNIX_SOCKET)
            _restrict(places.rules, files=handled, scopes=scopes if abi >= _SCOPE_ABI else 0)
    except OSError as exc:
        return _files(active=False, detail=f"not available in this kernel: {exc.strerror}")
    if late:
        return _files(active=False, detail=_came_late(late))
    writing = f"only below {_listed(access.change)}" if access.change else "nothing"
    return _files(active=True, detail=f"writes {writing} (ABI {abi}){_limits(abi, access)}")


def _handled(abi: int) -> int:
    """All rights that this version can refuse."""
    rights = _RUN | _WRITE_FILE | _CHANGE_DIRECTORY
    for since, right in ((2, _REFER), (_TRUNCATE_ABI, _TRUNCATE), (_DEVICE_ABI, _IOCTL_DEVICE)):
        rights |= right if abi >= since else 0
    return rights


def _limits(abi: int, access: FileAccess) -> str:
    """What an older kernel leaves open, and what the desktop's bus or the supervisor needs."""
    controls = (
        (_TRUNCATE_ABI, "emptying files"),
        (_DEVICE_ABI, "commands to devices"),
        (_SCOPE_ABI, "signals, abstract unix sockets"),
    )
    left = [name for since, name in controls if abi < since]
    if abi >= _SCOPE_ABI and access.abstract_sockets:
        left.append("abstract unix sockets, of which one is needed")
    return f"; left open: {', '.join(left)}" if left else ""


class _Places:
    """Rules about paths, which name open descriptors."""

    def __init__(self) -> None:
        self.rules: list[tuple[int, bytes]] = []
        self._descriptors: list[int] = []

    def __enter__(self) -> _Places:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._descriptors:
            os.close(descriptor)

    def allow(self, paths: Iterable[Path], rights: int) -> None:
        for path in paths:
            try:
                descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue  # not there, or not for this account: then there is nothing to allow
            self._descriptors.append(descriptor)
            is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            # struct landlock_path_beneath_attr: allowed_access, parent_fd.
            rule = struct.pack("=Qi", rights if is_directory else rights & _ABOUT_FILES, descriptor)
            self.rules.append((_RULE_PATH_BENEATH, rule))


def _version() -> int:
    """The kernel's Landlock ABI. Raises OSError where there is none."""
    return system_call(_CREATE_RULESET, None, 0, _GET_VERSION)


def _restrict(rules: Iterable[tuple[int, bytes]], *, files: int = 0, network: int = 0, scopes: int = 0) -> None:
    # struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped. Kernels that do not know the last
    # ones accept them as long as they are zero.
    attributes = struct.pack("=QQQ", files, network, scopes)
    ruleset = system_call(_CREATE_RULESET, attributes, len(attributes), 0)
    try:
        for kind, rule in rules:
            system_call(_ADD_RULE, ruleset, kind, rule, 0)
        gain_no_privileges()
        system_call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))


def _came_late(threads: int) -> str:
    return f"came too late: {threads} threads were running and stay free"


def _network(*, active: bool, detail: str) -> Enforcement:
    return Enforcement(name="landlock", active=active, detail=detail)


def _files(*, active: bool, detail: str) -> Enforcement:
    return Enforcement(name="landlock files", active=active, detail=detail)
