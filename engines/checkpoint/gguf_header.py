"""Read the header of a GGUF file: metadata and the list of tensors.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little endian.
The file is not trusted: every count and length is checked against the bytes that are left, so a
hostile header costs little memory and time. (The reader of the `gguf` package believes them.)
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gguf import GGMLQuantizationType
from gguf.constants import GGML_QUANT_SIZES

from edged.errors import CheckpointError
from engines.tensor import Tensor

Value = bool | int | float | str | list["Value"]

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_HEADER_BYTES = 64 * 1024 * 1024
"""Vocabularies of a quarter of a million tokens take about 10 MB."""
_MAX_DIMENSIONS = 4
_SHORTEST_TENSOR = 8 + 1 + 4 + 8 + 4 + 8
_SHORTEST_VALUE = 8 + 1 + 4 + 1


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata by key, tensors by the name they have in the file."""

    metadata: Mapping[str, Value]
    tensors: Mapping[str, Tensor]


def read_header(path: Path) -> Header:
    """Parse and check the header. Raises CheckpointError in one line whatever the file holds."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            reader = _Reader(file.read(min(size, _MAX_HEADER_BYTES)))
    except OSError as exc:
        raise CheckpointError(f"{path}: cannot be read: {exc.strerror}") from exc
    try:
        return _parse(reader, path, size)
    except _Malformed as exc:
        raise CheckpointError(f"{path.name}: not a valid GGUF file: {exc}") from exc


class _Malformed(Exception):
    """What is wrong, without the file's name."""


class _Reader:
    """A cursor over bytes that refuses to read past the end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def scalar(self, code: str) -> int | float | bool:
        size = struct.calcsize("<" + code)
        self.require(1, size)
        (value,) = struct.unpack_from("<" + code, self.data, self.position)
        self.position += size
        assert isinstance(value, int | float)
        return value

    def integer(self, code: str) -> int:
        return int(self.scalar(code))

    def string(self) -> str:
        length = self.integer("Q")
        self.require(length, 1)
        start, self.position = self.position, self.position + length
        try:
            return self.data[start : self.position].decode()
        except UnicodeDecodeError as exc:
            raise _Malformed(f"text at byte {start} is not UTF-8") from exc

    def require(self, count: int, size: int) -> None:
        """That `count` items of at least `size` bytes can still follow."""
        if count * size > len(self.data) - self.position:
            raise _Malformed(f"it ends early: {count} items announced at byte {self.position}")

    def value(self, kind: int, depth: int = 0) -> Value:
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY and depth < 2:
            return self.array(depth)
        if kind not in _SCALARS:
            raise _Malformed(f"unknown value type {kind} at byte {self.position}")
        return self.scalar(_SCALARS[kind])

    def array(self, depth: int) -> list[Value]:
        kind, count = self.integer("I"), self.integer("Q")
        if kind in _SCALARS:
            self.require(count, struct.calcsize("<" + _SCALARS[kind]))
            code = f"<{count}{_SCALARS[kind]}"
            values = list(struct.unpack_from(code, self.data, self.position))
            self.position += struct.calcsize(code)
            return values
        self.require(count, 8)
        return [self.value(kind, depth + 1) for _ in range(count)]


def _parse(reader: _Reader, path: Path, size: int) -> Header:
    if reader.data[:4] != b"GGUF":
        raise _Malformed("it does not start with GGUF")
    reader.position = 4
    version = reader.integer("I")
    if version not in (2, 3):
        raise _Malformed(f"version {version}; versions 2 and 3 in little-endian order are read")
    tensors, values = reader.integer("Q"), reader.integer("Q")
    reader.require(tensors, _SHORTEST_TENSOR)
    reader.require(values, _SHORTEST_VALUE)
    metadata: dict[str, Value] = {}
    for _ in range(values):
        key = reader.string()
        metadata[key] = reader.value(reader.integer("I"))
    described = [_tensor(reader, path) for _ in range(tensors)]
    start = _aligned(reader.position, metadata.get("general.alignment", 32))
    return Header(metadata, _placed(described, start, size))


def _tensor(reader: _Reader, path: Path) -> Tensor:
    name = reader.string()
    dimensions = reader.integer("I")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise _Malformed(f"tensor {name[:60]!r} has {dimensions} dimensions")
    # GGUF writes the fastest dimension first.
    shape = tuple(reader.integer("Q") for _ in range(dimensions))[::-1]
    code, offset = reader.integer("I"), reader.integer("Q")
    try:
        kind = GGMLQuantizationType(code)
    except ValueError as exc:
        raise _Malformed(f"tensor {name[:60]!r} is of unknown type {code}") from exc
    if not all(0 < length < 2**40 for length in shape) or shape[-1] % GGML_QUANT_SIZES[kind][0]:
        raise _Malformed(f"tensor {name[:60]!r} cannot have the shape {list(shape)} as {kind.name}")
    return Tensor(name=name, path=path, offset=offset, shape=shape, encoding=kind.name)


def _aligned(position: int, alignment: Value) -> int:
    if not isinstance(alignment, int) or not 0 < alignment <= 2**20 or alignment & (alignment - 1):
        raise _Malformed(f"general.alignment is {str(alignment)[:40]}")
    return -(-position // alignment) * alignment


def _placed(described: list[Tensor], start: int, size: int) -> dict[str, Tensor]:
    """Tensors with offsets from the start of the file, all inside it, no name twice."""
    placed: dict[str, Tensor] = {}
    for item in described:
        values, bytes_ = GGML_QUANT_SIZES[GGMLQuantizationType[item.encoding]]
        if start + item.offset + math.prod(item.shape) // values * bytes_ > size:
            raise _Malformed(f"it ends early: tensor {item.name[:60]!r} runs past the end (truncated download?)")
        if item.name in placed:
            raise _Malformed(f"tensor {item.name[:60]!r} occurs twice")
        placed[item.name] = Tensor(
            name=item.name,
            path=item.path,
            offset=start + item.offset,
            shape=item.shape,
            encoding=item.encoding,
        )
    return placed
