from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from edged.embedding.safetensors_file import read_tensors
from edged.errors import ArtefactError


def test_it_reads_what_safetensors_writes(tmp_path: Path) -> None:
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b.c": np.ones(5, np.float32)}
    save_file({**tensors, "n": np.zeros(2, np.int64)}, tmp_path / "x", metadata={"format": "pt"})
    found = read_tensors(tmp_path / "x")
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], tensor) for name, tensor in tensors.items())
    assert all(tensor.flags.aligned for tensor in found.values()), "numpy would copy it for each product"


HEADERS = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 2**65) | st.sampled_from(["F32", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "dtype", "shape", "data_offsets"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@settings(deadline=None, max_examples=60)
@given(HEADERS | st.just({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 8]}}), st.binary(max_size=20))
def test_anything_else_is_refused_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, header: object, rest: bytes
) -> None:
    path = tmp_path_factory.mktemp("x") / "x"
    written = json.dumps(header).encode()
    path.write_bytes(len(written).to_bytes(8, "little") + written + rest)
    try:
        assert isinstance(read_tensors(path), dict)
    except ArtefactError as exc:
        assert "\n" not in exc.message


@pytest.mark.parametrize("data", [b"", b"\xff" * 8, b"\xff" * 7 + b"\x7f", b"\x02" + bytes(7) + b"[]"])
def test_what_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ArtefactError):
        read_tensors(tmp_path / "x")
