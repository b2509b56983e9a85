"""`edge page` as a process of its own, on a free port."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.broker import free_port

__all__ = ["PageProcess", "page_process", "served_page"]

# As in systemd/edge-page.service.
MEMORY = {"MALLOC_ARENA_MAX": "1", "MALLOC_TRIM_THRESHOLD_": "131072"}
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, kw_only=True)
class PageProcess:
    """A page that is served at `address`."""

    address: str
    pid: int

    @property
    def most_mb(self) -> float:
        """The most memory that it has taken so far, in MB of 10^6 bytes."""
        return self._mb("VmHWM")

    @property
    def now_mb(self) -> float:
        """The memory that it takes now, in MB of 10^6 bytes."""
        return self._mb("VmRSS")

    @property
    def cpu_s(self) -> float:
        """The time that it has computed so far, in seconds."""
        text = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = text.rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def _mb(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024 / 1e6


@contextmanager
def page_process(config: Path, *options: str) -> Iterator[PageProcess]:
    """Serve the page of a recorder until the block ends, as the unit does."""
    environ = {**MEMORY, **os.environ, "STATE_DIRECTORY": str(config.parent)}
    with served_page("--config", str(config), *options, environ=environ) as page:
        yield page


@contextmanager
def served_page(*options: str, environ: Mapping[str, str]) -> Iterator[PageProcess]:
    """Serve the page with these options until the block ends."""
    command = [sys.executable, "-m", "edge.cli", "page", *options, "--port", str(free_port())]
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env={**environ, "PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            while line and not line.startswith("http"):
                line = process.stderr.readline()
            assert line, process.wait()
            yield PageProcess(address=line.strip().rstrip("/"), pid=process.pid)
        finally:
            process.terminate()
            process.stderr.read()
