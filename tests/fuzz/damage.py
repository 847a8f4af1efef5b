"""Whole examples made worse: what hostile bytes look like that get past a parser's first line."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

TELLING = (
    b"\0",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x80",
    b"-1",
    b"9" * 400,
    b'"',
    b"{",
    b"[" * 300,
)
"""Lengths that lie, numbers too large, brackets that never close."""


@st.composite
def damaged(draw: st.DrawFn, examples: Sequence[bytes]) -> bytes:
    """One of the examples with a few bytes changed, put in, taken out, or repeated."""
    data = bytearray(examples[draw(st.integers(0, len(examples) - 1))])
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 16))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + length] = b""
            case 1:
                data[at:at] = draw(st.binary(max_size=16))
            case 2:
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case 3:
                some = draw(st.sampled_from(TELLING))
                data[at : at + len(some)] = some
            case _:
                data[at:at] = data[max(0, at - length) : at] * draw(st.integers(1, 20))
    end = draw(st.integers(0, len(data))) if draw(st.booleans()) else len(data)
    return bytes(data[:end])
