"""Memory of the host that a GPU copies to by itself: it goes with the last array over it, and is done without."""

from __future__ import annotations

import ctypes
import gc

import numpy as np
import pytest

from edged.engine import cuda
from edged.errors import EdgedError


def test_it_lives_as_long_as_an_array_looks_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = ctypes.create_string_buffer(64)
    freed: list[object] = []

    def call(function: str, *arguments: object) -> None:
        if function == "cudaMallocHost":
            ctypes.cast(arguments[0], ctypes.POINTER(ctypes.c_void_p))[0] = ctypes.addressof(memory)
        else:
            freed.append(function)

    monkeypatch.setattr(cuda, "call", call)
    array = cuda.pinned((2, 3), np.float32)
    array[:] = 7
    view = array.reshape(-1)[2:]
    del array
    gc.collect()
    assert not freed and view.tolist() == [7] * 4
    assert np.frombuffer(memory.raw[:24], np.float32).tolist() == [7] * 6
    del view
    gc.collect()
    assert freed == ["cudaFreeHost"]


def test_without_it_an_ordinary_array_does(monkeypatch: pytest.MonkeyPatch) -> None:
    def call(function: str, *arguments: object) -> None:
        raise EdgedError("the GPU failed in cudaMallocHost: not supported")

    monkeypatch.setattr(cuda, "call", call)
    array = cuda.pinned((1, 4), np.float16)
    assert array.shape == (1, 4) and array.dtype == np.float16 and array.flags.writeable
