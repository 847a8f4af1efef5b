"""NVIDIA's CUDA runtime by ctypes: the little that ONNX Runtime's Python interface does not offer exactly.

Its own arena rounds allocations up to powers of two and never gives them back, and it cannot copy part of
a tensor. Here a buffer takes what it says, and is gone when it is dropped.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib.util
import io
import math
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import DTypeLike

from edged.engine.buffer import Array, HostBuffer
from edged.errors import EdgedError, Unavailable

PROVIDER = "CUDAExecutionProvider"
_LIBRARIES = ("libcublasLt.so.{major}", "libcublas.so.{major}", "libcurand.so.10", "libcudart.so.{major}")
"""What ONNX Runtime's CUDA provider is linked with, besides the driver's libcuda."""
_ANY_DIRECTION = 4
"""cudaMemcpyDefault: source and target are told apart by their addresses."""
_OUT_OF_MEMORY = 2
_FATAL = 4
"""Of ONNX Runtime's log levels."""
_ADVICE = "a driver too old for CUDA 13 does this, and so does a GPU that is full; `nvidia-smi` shows both"


def provider_obstacle(device: int = 0) -> str:
    """Why ONNX Runtime's CUDA provider cannot be used on this GPU, and what to do; empty when it can.

    Loads the libraries that it needs, the ones from NVIDIA's wheels first, else those of the system, and has
    the provider allocate something: nothing less proves that it works.
    """
    if PROVIDER not in onnxruntime.get_available_providers():
        return (
            f"onnxruntime {onnxruntime.__version__} is the build for CPUs: `make setup EXTRAS=cuda`, or "
            "pip install 'edged[cuda]', pip uninstall onnxruntime, "
            "pip install --force-reinstall --no-deps onnxruntime-gpu"
        )
    said = io.StringIO()
    with contextlib.redirect_stdout(said):  # it prints what it could not load
        onnxruntime.preload_dlls()
    for name in ("libcuda.so.1", *(name.format(major=_cuda_major()) for name in _LIBRARIES)):
        try:
            ctypes.CDLL(name)
        except OSError as exc:
            advice = "install the NVIDIA driver" if name == "libcuda.so.1" else "pip install 'edged[cuda]'"
            return f"{name} cannot be loaded ({str(exc).rpartition(': ')[2]}): {advice}"
    onnxruntime.set_default_logger_severity(_FATAL)  # what fails is told here, with what to do about it
    try:
        onnxruntime.OrtValue.ortvalue_from_shape_and_type((1,), np.float16, "cuda", device)
    except Exception as exc:  # noqa: BLE001  # the runtime's errors share no base class
        # Between the place in its source and what only its developers need.
        reason = str(exc).partition("\n")[0].rpartition(") ")[2].partition(" ;")[0][:200]
        return f"the CUDA provider of onnxruntime {onnxruntime.__version__} fails on GPU {device} ({reason}): {_ADVICE}"
    return ""


def _cuda_major() -> str:
    return str(onnxruntime.cuda_version or "13").partition(".")[0]


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """One GPU: satisfies `edged.engine.buffer.Device`."""

    index: int = 0
    kind: str = "cuda"

    def zeros(self, shape: tuple[int, ...], dtype: DTypeLike) -> CudaBuffer:
        """See Device."""
        return CudaBuffer(self.index, shape, np.dtype(dtype))


class CudaBuffer:
    """Memory of one GPU: satisfies `edged.engine.buffer.Buffer`. Every copy is finished when its call returns."""

    def __init__(self, device: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Raises Unavailable when the GPU has no room."""
        self.device = device
        self.shape = shape
        self.dtype = dtype
        self.nbytes = math.prod(shape) * dtype.itemsize
        self.pointer = _allocate(device, self.nbytes)
        weakref.finalize(self, _free, device, self.pointer).atexit = False

    def write(self, values: Array | int) -> None:
        """See Buffer."""
        array = np.ascontiguousarray(np.broadcast_to(np.asarray(values, self.dtype), self.shape))
        self._copy(self.pointer, array.ctypes.data)

    def read(self, target: Array) -> None:
        """See Buffer."""
        array = target if target.flags.c_contiguous and target.dtype == self.dtype else np.empty(self.shape, self.dtype)
        call("cudaSetDevice", self.device)
        size = ctypes.c_size_t(self.nbytes)  # what goes to the host is there when the call returns
        call("cudaMemcpy", ctypes.c_void_p(array.ctypes.data), ctypes.c_void_p(self.pointer), size, _ANY_DIRECTION)
        if array is not target:
            np.copyto(target, array)

    def copy(self, source: CudaBuffer | HostBuffer) -> None:
        """See Buffer."""
        self._copy(self.pointer, source.pointer)

    def copy_prefix(self, source: CudaBuffer, length: int) -> None:
        """See Buffer."""
        row = self.shape[-1] * self.dtype.itemsize
        pitch, height = self.shape[-2] * row, math.prod(self.shape[:-2])
        call("cudaSetDevice", self.device)
        size = ctypes.c_size_t
        call(
            "cudaMemcpy2D",
            *(ctypes.c_void_p(self.pointer), size(pitch), ctypes.c_void_p(source.pointer), size(pitch)),
            *(size(length * row), size(height), _ANY_DIRECTION),
        )
        call("cudaDeviceSynchronize")

    def _copy(self, target: int, source: int) -> None:
        call("cudaSetDevice", self.device)
        call(
            "cudaMemcpy",
            *(ctypes.c_void_p(target), ctypes.c_void_p(source), ctypes.c_size_t(self.nbytes), _ANY_DIRECTION),
        )
        # Copies between devices, and small ones to a device, may still be under way, and ONNX Runtime's
        # stream does not wait for the one they are in.
        call("cudaDeviceSynchronize")


def pinned(shape: tuple[int, ...], dtype: DTypeLike) -> Array:
    """An array of the host that a GPU copies to by itself, several times as fast as through the driver's own buffer.

    An ordinary one where the system grants no such memory.
    """
    size, pointer = math.prod(shape) * np.dtype(dtype).itemsize, ctypes.c_void_p()
    try:
        call("cudaMallocHost", ctypes.byref(pointer), ctypes.c_size_t(max(1, size)))
    except EdgedError:
        return np.empty(shape, dtype)
    memory = (ctypes.c_byte * size).from_address(pointer.value or 0)
    weakref.finalize(memory, _free_pinned, pointer.value or 0).atexit = False
    return np.frombuffer(memoryview(memory), dtype).reshape(shape)


def _free_pinned(pointer: int) -> None:
    with contextlib.suppress(EdgedError):  # the device may be gone
        call("cudaFreeHost", ctypes.c_void_p(pointer))


def _allocate(device: int, size: int) -> int:
    pointer = ctypes.c_void_p()
    call("cudaSetDevice", device)
    call("cudaMalloc", ctypes.byref(pointer), ctypes.c_size_t(max(1, size)))
    call("cudaMemset", pointer, 0, ctypes.c_size_t(size))  # what is masked is multiplied by 0, and 0 * NaN is NaN
    call("cudaDeviceSynchronize")
    return int(pointer.value or 0)


def _free(device: int, pointer: int) -> None:
    with contextlib.suppress(EdgedError):  # the device may be gone
        call("cudaSetDevice", device)
        call("cudaFree", ctypes.c_void_p(pointer))


def _found(name: str) -> str:
    """Where NVIDIA's wheel has a library; its bare name, for the system to find, where there is no such wheel."""
    spec = importlib.util.find_spec("nvidia")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    paths = (path for folder in folders for path in Path(folder).glob(f"*/lib/{name}"))
    return str(next(paths, name))


@functools.cache
def _runtime() -> ctypes.CDLL:
    """The library that ONNX Runtime's provider has loaded as well."""
    name = f"libcudart.so.{_cuda_major()}"
    try:
        library = ctypes.CDLL(_found(name))
    except OSError as exc:
        raise EdgedError(f"{name} cannot be loaded: pip install 'edged[rtx]', on a Jetson install cuda-cudart") from exc
    library.cudaGetErrorString.restype = ctypes.c_char_p
    return library


def call(function: str, *arguments: object) -> None:
    """One function of the CUDA runtime. Raises Unavailable when memory is out, EdgedError with its reason otherwise."""
    status = getattr(_runtime(), function)(*arguments)
    if status:
        _runtime().cudaGetLastError()  # it is kept for the thread: ONNX Runtime would take it for one of its own
    if status == _OUT_OF_MEMORY:
        raise Unavailable("the GPU has no room left: lower engine.kv_cache_mb, engine.max_seq_len or engine.max_active")
    if status:
        reason = _runtime().cudaGetErrorString(status).decode(errors="replace")
        raise EdgedError(f"the GPU failed in {function}: {reason}")
