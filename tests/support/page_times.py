"""How long a page takes of the clock and of its process."""

from __future__ import annotations

import statistics
import time
import urllib.request

from tests.support.page_process import PageProcess

__all__ = ["content_of", "page_times"]

TIMES = 7


def content_of(page: PageProcess, path: str) -> bytes:
    """Return what the page answers."""
    with urllib.request.urlopen(f"{page.address}{path}", timeout=60) as answer:
        content: bytes = answer.read()
        return content


def page_times(page: PageProcess, path: str) -> tuple[str, int]:
    """Return a line with the first time and the median of the others, and the answer's bytes."""
    wall_ms, cpu_ms = [], []
    for _ in range(TIMES):
        began_s, cpu_s = time.perf_counter(), page.cpu_s
        size = len(content_of(page, path))
        wall_ms.append(1000 * (time.perf_counter() - began_s))
        cpu_ms.append(1000 * (page.cpu_s - cpu_s))
    line = (
        f"{path:45} first {wall_ms[0]:5.0f} ms ({cpu_ms[0]:.0f} CPU), then "
        f"{statistics.median(wall_ms[1:]):5.0f} ({statistics.median(cpu_ms[1:]):.0f} CPU)"
    )
    return line, size
