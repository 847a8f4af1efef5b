"""Memory that work on pictures has freed, given back to the system.

glibc keeps what is freed for whoever allocates next: after a picture of 64 million pixels that is a gigabyte, for ever.
A lower threshold for mappings (M_MMAP_THRESHOLD) does so as well, but makes reading text slower by a fifth or more.
"""

from __future__ import annotations

import ctypes


def give_back_memory() -> None:
    """Of all threads. Takes milliseconds, after the largest pictures tenths of a second; nothing without glibc."""
    if _malloc_trim is not None:
        _malloc_trim(0)


_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
