"""What the libraries behind numpy have to know before it is imported."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

__all__ = ["has_avx512", "prepare_numeric_libraries"]

CPUINFO = Path("/proc/cpuinfo")
ENOUGH = 8_192  # characters, which have the first processor
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
AVX512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"}


def prepare_numeric_libraries(
    environ: MutableMapping[str, str] = os.environ, *, cpuinfo: Path = CPUINFO
) -> None:
    """Choose one thread, and all of the processor; what a person has chosen stays.

    Several threads make these small matrices slower. OpenBLAS takes an AMD processor that is newer
    than itself for one without AVX-512 (seen with 0.3.31 and family 26): half as fast.
    """
    for variable in THREADS:
        environ.setdefault(variable, "1")
    if has_avx512(cpuinfo):
        environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")


def has_avx512(cpuinfo: Path = CPUINFO) -> bool:
    """Return whether the processor has the instructions for vectors of 512 bits."""
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as file:
            lines = file.read(ENOUGH).splitlines()
    except OSError:  # not Linux
        return False
    return any(set(line.split()) >= AVX512 for line in lines if line.startswith("flags"))
