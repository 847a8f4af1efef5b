"""Which NVIDIA GPUs this machine has, asked of the driver itself: nothing of NVIDIA's need be installed for Python.

A broken driver can hang whoever calls it, so a process of its own is asked, and given up on after a while.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

PROBE_SECONDS = 10.0
"""A GPU that sleeps takes a second or two to wake."""
KILL_SECONDS = 1.0
_DRIVER_FILES = ("proc/driver/nvidia/version", "dev/nvidiactl", "dev/nvmap", "etc/nv_tegra_release")
"""Any of them means that a driver is there; the last two are those of a Jetson."""
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One that the driver offers this process."""

    name: str
    capability: str
    """As compilers call it, e.g. "sm89"."""
    memory_bytes: int
    cuda: str = ""
    """The newest CUDA that its driver knows, e.g. "13.0"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpus:
    """What was found."""

    found: tuple[Gpu, ...] = ()
    """In the driver's order: the place is the index."""
    obstacle: str = ""
    """Why there is none; empty when there is one."""
    has_driver: bool = False
    """Somebody meant this machine to have one."""


def find_gpus(root: Path = Path("/")) -> Gpus:
    """Ask the driver, for ten seconds at most."""
    if not any((root / name).exists() for name in _DRIVER_FILES):
        return Gpus(obstacle="this machine has no NVIDIA driver (no /proc/driver/nvidia)")
    found, obstacle = _ask_driver()
    if not found and not obstacle:
        obstacle = "the NVIDIA driver offers no GPU to this process (is CUDA_VISIBLE_DEVICES set?)"
    return Gpus(found=found, obstacle=obstacle, has_driver=True)


def machine_model(root: Path = Path("/")) -> str:
    """The board's name as its device tree has it, e.g. "NVIDIA Jetson AGX Orin Developer Kit"; empty on a PC."""
    try:
        return (root / "proc/device-tree/model").read_text(encoding="utf-8", errors="replace").rstrip("\0").strip()
    except OSError:
        return ""


def _ask_driver() -> tuple[tuple[Gpu, ...], str]:
    """The GPUs, or why they cannot be known."""
    command, pipe = [sys.executable, "-P", "-m", __name__], subprocess.PIPE
    probe = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True)
    try:
        said, complaint = probe.communicate(timeout=PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        _abandon(probe)
        return (), f"the NVIDIA driver does not answer within {PROBE_SECONDS:.0f} s (see `nvidia-smi` and dmesg)"
    if probe.returncode:
        reason = complaint.strip().rpartition("\n")[2] or f"its probe ended with {probe.returncode}"
        return (), f"the NVIDIA driver cannot be used: {reason}"
    return tuple(Gpu(**each) for each in json.loads(said)), ""


def _abandon(probe: subprocess.Popen[str]) -> None:
    """Kill it; what is stuck inside a driver is deaf to that, and left to the system."""
    probe.kill()
    for pipe in (probe.stdout, probe.stderr):
        if pipe:
            pipe.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        probe.wait(KILL_SECONDS)


def _probe() -> list[Gpu]:
    """By the driver's own library, libcuda. Raises OSError with the reason when it cannot be used."""
    driver = ctypes.CDLL("libcuda.so.1")
    number = ctypes.c_int()
    if status := driver.cuInit(0):
        reason = ctypes.c_char_p()
        driver.cuGetErrorString(status, ctypes.byref(reason))
        raise OSError(f"{(reason.value or b'unknown error').decode()} (cuInit returns {status})")
    driver.cuDeviceGetCount(ctypes.byref(number))
    return [_described(driver, index) for index in range(number.value)]


def _described(driver: ctypes.CDLL, index: int) -> Gpu:
    device, name, size = ctypes.c_int(), ctypes.create_string_buffer(100), ctypes.c_size_t()
    driver.cuDeviceGet(ctypes.byref(device), index)
    driver.cuDeviceGetName(name, len(name), device)
    driver.cuDeviceTotalMem_v2(ctypes.byref(size), device)
    version = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, device)
        version.append(str(value.value))
    newest = ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(newest))  # 1000 times the major and 10 times the minor version
    return Gpu(
        name=name.value.decode(errors="replace"),
        capability="sm" + "".join(version),
        memory_bytes=size.value,
        cuda=f"{newest.value // 1000}.{newest.value % 1000 // 10}",
    )


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps([asdict(gpu) for gpu in _probe()]))
    except OSError as exc:
        sys.exit(str(exc))
