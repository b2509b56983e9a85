"""CPU time and memory of work, and what machine they were measured on."""

from __future__ import annotations

import platform
import re
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["cpu_model", "cpu_s", "has_avx512", "median_ms", "peak_rss_mib"]

PER_RUN = 10  # windows measured in one run


def cpu_s(work: Callable[[], object]) -> float:
    """Return the CPU seconds, of all threads, that `work` takes."""
    before = time.process_time()
    work()
    return time.process_time() - before


def median_ms(work: Callable[[], object], runs: int, per_run: int = PER_RUN) -> float:
    """Return the CPU time of `work` in milliseconds, the median of `runs`."""
    work()  # the first call builds tables and loads libraries

    def several() -> None:
        for _ in range(per_run):
            work()

    return 1000 * statistics.median(cpu_s(several) for _ in range(runs)) / per_run


def cpu_model() -> str:
    """Return how many processors there are, and which."""
    lines = _cpuinfo()
    models = [
        line.split(":", 1)[1].strip() for line in lines if line.startswith(("model name", "Model"))
    ]
    return f"{len(models)} x {models[0]}" if models else platform.processor() or platform.machine()


def has_avx512() -> bool:
    """Return whether the processor has the instructions that double the speed of matrices."""
    return any(line.startswith("flags") and " avx512f" in line for line in _cpuinfo())


def peak_rss_mib() -> float:
    """Return the largest memory in use by this process so far, in MiB.

    Where /proc exists it is preferred to `getrusage`, because a process on Linux inherits the peak
    of its parent there.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="ascii"))[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # bytes on macOS


def _cpuinfo() -> list[str]:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return []
