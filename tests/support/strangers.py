"""Bundles as a stranger makes them: whatever they hold, their checksums are right.

Run as a program, it is what takes them: `python -m tests.support.strangers` reads the path of a
bundle a line, goes the whole way with it, and writes a line of JSON.
"""

from __future__ import annotations

import hashlib
import io
import json
import select
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

__all__ = ["LARGEST_MB", "LONGEST_S", "Taker", "npz", "resealed"]

LONGEST_S = 5.0
LARGEST_MB = 500.0


def resealed(
    folder: Path,
    change: Callable[[dict[str, Any]], object] = lambda manifest: None,
    files: Mapping[str, bytes] | None = None,
) -> Path:
    """Change manifest and files of a bundle, and give it the checksums that belong to it."""
    for name, content in (files or {}).items():
        (folder / name).write_bytes(content)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    manifest["files"] = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in manifest["files"]
    }
    change(manifest)
    manifest.pop("digest", None)
    text = json.dumps(manifest, sort_keys=True)
    manifest["digest"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def npz(arrays: Mapping[str, Any]) -> bytes:
    """Return the content of a file of named arrays, as NumPy writes it."""
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


class Taker:
    """A process that takes bundles, so that one that hangs or eats memory is seen from outside."""

    def __init__(self) -> None:
        self._process = self._started()

    def __enter__(self) -> Taker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def takes(self, bundle: Path) -> dict[str, Any]:
        """Return what came of it: `refused`, the reason or "", `trace`, `seconds` and `peak_mb`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{bundle}\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], 4 * LONGEST_S)
        line = self._process.stdout.readline() if ready else ""
        answer: dict[str, Any] = json.loads(line) if line else {}
        if not line or answer["peak_mb"] >= LARGEST_MB:  # the next one begins anew
            self._process.kill()
            code = self._process.wait()
            self._process.communicate()
            self._process = self._started()
            return answer or {"trace": f"no answer, ended with {code}"}
        return answer

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.strangers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )


def _take(bundle: Path) -> dict[str, Any]:
    """Show, load and run the bundle, as `edge info`, `edge check` and the recorder do."""
    from edge.bundle import load_bundle
    from edge.detect.engines import load_model
    from edge.errors import UserError
    from edge.info import describe
    from edge.types import Window

    began_s = time.perf_counter()
    refused = trace = ""
    try:
        loaded = load_bundle(bundle)
        "\n".join(describe(loaded)).encode()
        model = load_model(loaded)
        samples = loaded.golden.samples
        rate_hz = loaded.frontend.sample_rate_hz
        model.predict(
            Window(start_sample=0, end_sample=len(samples), samples=samples, sample_rate_hz=rate_hz)
        )
    except UserError as exc:
        refused = str(exc)
    except BaseException:
        trace = traceback.format_exc()
    seconds = time.perf_counter() - began_s
    # Not that of getrusage, which begins with the memory of the process that started this one.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_mb = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    return {"refused": refused, "trace": trace, "seconds": seconds, "peak_mb": peak_mb}


def _main() -> None:
    for line in sys.stdin:
        print(json.dumps(_take(Path(line.rstrip("\n")))), flush=True)


if __name__ == "__main__":
    _main()
