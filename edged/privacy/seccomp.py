"""Seccomp: system calls that this process, its threads and its children are refused for good, in any language.

A filter is a small program for the kernel (classic BPF, seccomp(2)) that sees the number of a call and its plain
arguments, no memory. So it decides which sockets exist, and `sandbox` which ports they reach. It refuses with an error
rather than by killing: what libraries probe for, they do without. Works without root, on every kernel of interest.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import socket
import struct
import sys

from edged.privacy.egress import Egress
from edged.privacy.system_call import gain_no_privileges, system_call
from edged.records import Enforcement

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""By the name that uname gives: place in the tables below, and AUDIT_ARCH_* of linux/audit.h."""
# Numbers on x86-64 (asm/unistd_64.h) and aarch64 (asm-generic/unistd.h).
INSPECTED: dict[str, tuple[int, int]] = {
    "socket": (41, 198),
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "sendmmsg": (307, 269),
    "clone": (56, 220),
    "ioctl": (16, 29),
}
"""Refused by their arguments."""
REFUSED: dict[str, tuple[int, int]] = {
    # Queues of calls that pass by every filter.
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    # Other processes' memory and descriptors, and the kernel's insight into them.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "bpf": (321, 280),
    # The kernel looks up names and fetches keys for whoever asks (keyrings(7), dns_resolver).
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # Other views of the file system and of the machine.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "unshare": (272, 97),
    # The machine itself.
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
}
"""Refused whatever the arguments: numbers on x86-64 and aarch64."""
INSTALLER: dict[str, tuple[int, int]] = {"seccomp": (317, 277), "clone3": (435, 435)}
_SET_MODE_FILTER, _TO_ALL_THREADS = 1, 1

_KINDS_OF_SOCKET = 0xF
"""Beside what kind it is, a socket's type has flags."""
_NETLINK_ROUTE, _NETLINK_UEVENT = 0, 15
"""Which interfaces and devices there are."""
_MSG_FASTOPEN = 0x20000000
"""To connect and send in one call, of which Landlock sees nothing."""
_NEW_NAMESPACE = 0x7E020000
"""All CLONE_NEW* of linux/sched.h."""
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
"""To type into a terminal, as if its owner had."""

# struct seccomp_data: number, architecture, instruction pointer, six arguments of 64 bits; little-endian.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_X32 = 0x40000000
"""Bit of the numbers by which 32-bit pointers come to an x86-64 kernel."""
# linux/filter.h and linux/seccomp.h.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_EPERM, _EACCES, _ENOSYS = _ERROR | errno.EPERM, _ERROR | errno.EACCES, _ERROR | errno.ENOSYS

Instruction = tuple[int, int, int, int]
"""struct sock_filter: code, how many to jump over if true and if false, constant."""


def refuse_calls(egress: Egress) -> Enforcement:
    """Install the filter in every thread of this process.

    A kernel or machine without it makes an inactive Enforcement that says so, never an error.
    """
    machine = platform.machine()
    if machine not in _MACHINES or sys.maxsize < 2**32:
        return _enforcement(
            active=False, detail=f"not written for this machine ({machine}, {sys.maxsize.bit_length() + 1} bits)"
        )
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in filter_for(machine, egress))
    code = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: how many instructions, where.
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    try:
        gain_no_privileges()
        installer = INSTALLER["seccomp"][_MACHINES[machine][0]]
        if system_call(installer, _SET_MODE_FILTER, _TO_ALL_THREADS, fprog):
            return _enforcement(active=False, detail="another thread has a filter of its own and stays free")
    except OSError as exc:
        return _enforcement(active=False, detail=f"not available in this kernel: {exc.strerror}")
    kinds = ["unix", *(["TCP"] if egress.uses_tcp else []), *(["UDP for mDNS"] if egress.announces else [])]
    detail = f"sockets: {', '.join(kinds)}, no others; no io_uring, ptrace, mounts, namespaces, kernel modules"
    return _enforcement(active=True, detail=detail)


def filter_for(machine: str, egress: Egress) -> list[Instruction]:
    """The program for a machine, which ends in allowing."""
    place, architecture = _MACHINES[machine]
    number = {name: numbers[place] for name, numbers in (REFUSED | INSPECTED | INSTALLER).items()}
    program = [
        _load(_ARCHITECTURE),
        *_unless_equal(architecture, _ENOSYS),
        _load(_NUMBER),
        *_if(_AT_LEAST, _X32, [_give(_ENOSYS)]),
        # Its flags lie in memory; who gets this error takes clone instead.
        *_if(_EQUAL, number["clone3"], [_give(_ENOSYS)]),
    ]
    for name in REFUSED:
        program += _if(_EQUAL, number[name], [_give(_EPERM)])
    inspections = {
        "socket": _which_socket(egress),
        "sendto": _flags(3, _MSG_FASTOPEN, _EACCES),
        "sendmsg": _flags(2, _MSG_FASTOPEN, _EACCES),
        "sendmmsg": _flags(3, _MSG_FASTOPEN, _EACCES),
        "clone": _flags(0, _NEW_NAMESPACE, _EPERM),
        "ioctl": [
            _load_argument(1),
            *_if(_EQUAL, _TIOCSTI, [_give(_EPERM)]),
            *_if(_EQUAL, _TIOCLINUX, [_give(_EPERM)]),
            _give(_ALLOW),
        ],
    }
    for name, inspection in inspections.items():
        program += _if(_EQUAL, number[name], inspection)
    return [*program, _give(_ALLOW)]


def _which_socket(egress: Egress) -> list[Instruction]:
    """socket(family, type, protocol)."""
    internet: list[Instruction] = []
    for kind, protocol, wanted in (
        (socket.SOCK_STREAM, socket.IPPROTO_TCP, egress.uses_tcp),
        (socket.SOCK_DGRAM, socket.IPPROTO_UDP, egress.announces),
    ):
        if wanted:
            allowed = [_load_argument(2), *_allow(0, protocol), _give(_EACCES)]
            internet += [_load_argument(1), (_AND, 0, 0, _KINDS_OF_SOCKET), *_if(_EQUAL, kind, allowed)]
    internet.append(_give(_EACCES))
    netlink = [_load_argument(2), *_allow(_NETLINK_ROUTE, _NETLINK_UEVENT), _give(_EACCES)]
    return [
        _load_argument(0),
        *_allow(socket.AF_UNIX),
        *_if(_EQUAL, socket.AF_NETLINK, netlink),
        *_if(_EQUAL, socket.AF_INET, internet),
        *_if(_EQUAL, socket.AF_INET6, internet),
        _give(_EACCES),
    ]


def _flags(argument: int, bits: int, refusal: int) -> list[Instruction]:
    """Refused where any of these bits is set."""
    return [_load_argument(argument), *_if(_ANY_BIT, bits, [_give(refusal)]), _give(_ALLOW)]


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _load_argument(index: int) -> Instruction:
    """Its lower half, which is all of an int; of clone's flags, too."""
    return _load(_ARGUMENTS + 8 * index)


def _give(action: int) -> Instruction:
    return (_RETURN, 0, 0, action)


def _if(test: int, value: int, then: list[Instruction]) -> list[Instruction]:
    """What is loaded is tested, and what follows `then` comes next where the test fails."""
    return [(test, 0, len(then), value), *then]


def _unless_equal(value: int, action: int) -> list[Instruction]:
    return [(_EQUAL, 1, 0, value), _give(action)]


def _allow(*values: int) -> list[Instruction]:
    return [instruction for value in values for instruction in _if(_EQUAL, value, [_give(_ALLOW)])]


def _enforcement(*, active: bool, detail: str) -> Enforcement:
    return Enforcement(name="seccomp", active=active, detail=detail)
