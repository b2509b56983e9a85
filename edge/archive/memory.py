"""How a worker treats memory that is free again: `mallopt` and `malloc_trim` of glibc."""

from __future__ import annotations

import ctypes
import os

__all__ = ["give_back", "keep_for_arrays"]

TRIMMED = "MALLOC_TRIM_THRESHOLD_"
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
KEPT_BYTES, OWN_PAGES_BYTES = 8 << 20, 4 << 20


def keep_for_arrays() -> None:
    """Keep what is free for the arrays of the next window.

    By Dask's `distributed.nanny.pre-spawn-environ`, a worker gives memory back to the system from
    64 KiB on, and takes each array from it anew: by such page faults, hearing takes three times as
    long. With these numbers it is as fast as with what glibc does where nothing is set, which keeps
    more; with half of them, BirdNET is slower.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if TRIMMED in os.environ and mallopt is not None:  # not every C library has it
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(M_MMAP_THRESHOLD, OWN_PAGES_BYTES)


def give_back() -> None:
    """Give the system what is free now: after a model was loaded, some of its size each time."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
