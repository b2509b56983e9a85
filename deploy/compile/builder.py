"""Building an engine in a process of its own, because it takes minutes and may run out of memory.

NVIDIA's own tool, trtexec, can build the same; the command is for people who want it.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import Any

from deploy.compile.build_engine import BuildRequest
from edge.bundle.strictjson import json_objects
from edge.errors import BackendError

__all__ = ["Progress", "Say", "run_builder", "trtexec"]

Say = Callable[[str], None]
Progress = Callable[[float, float, str], None]  # 0..1, seconds since the start, what is being done


def trtexec(request: BuildRequest) -> str:
    """Return the trtexec command that builds the same."""
    smallest, usual, largest = (
        "x".join(map(str, shape)) for shape in request.options.profile(request.shape)
    )
    limits = f"workspace:{request.options.workspace_mib}M,tacticDram:{request.options.tactic_mib}M"
    arguments = [
        "trtexec",
        f"--onnx={request.onnx}",
        f"--saveEngine={request.plan.name}",
        "--stronglyTyped",
        "--noTF32",
        f"--minShapes=features:{smallest}",
        f"--optShapes=features:{usual}",
        f"--maxShapes=features:{largest}",
        f"--memPoolSize={limits}",
        "--maxAuxStreams=0",
        f"--timingCacheFile={request.timing_cache}",
        "--skipInference",
    ]
    return shlex.join(arguments)


class _Reports:
    """What the builder has reported so far; progress and warnings are passed on at once."""

    def __init__(self, progress: Progress, say: Say) -> None:
        self._progress = progress
        self._say = say
        self._began_s = time.monotonic()
        self.phase = "begins"
        self.error = ""

    def take(self, message: Mapping[str, Any]) -> None:
        """Take one message; its keys are those that `deploy.compile.build_engine` writes."""
        if "warning" in message:
            self._say(f"warning: {message['warning']}")
        if "error" in message:
            self.error = str(message["error"])
        if "done" in message:
            self.phase = str(message["phase"])
            self._progress(float(message["done"]), time.monotonic() - self._began_s, self.phase)


def run_builder(
    request: BuildRequest, file: Path, *, progress: Progress, say: Say, timeout_s: float
) -> None:
    """Build what is requested, by way of `file`, which holds the request.

    Raises `BackendError` with the builder's reason, or with how it ended when it gave none.
    """
    file.write_text(request.as_json(), encoding="utf-8")
    reports = _Reports(progress, say)
    command = [sys.executable, "-m", "deploy.compile.build_engine", str(file)]
    with (
        TemporaryFile() as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace"
        ) as child,
    ):
        timer = Timer(timeout_s, child.kill)
        timer.start()
        try:
            assert child.stdout is not None
            # TensorRT's libraries print there, too.
            for message in json_objects(child.stdout):
                reports.take(message)
        except BaseException:  # Ctrl-C, or an error in `progress`: no builder is left behind
            child.kill()
            raise
        finally:
            code = child.wait()
            late = not timer.is_alive()
            timer.cancel()
        if code != 0:
            errors.seek(0)
            last = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise BackendError(
                reports.error
                or _how_it_ended(code, reports.phase, last, timeout_s if late else None)
            )


def _how_it_ended(code: int, phase: str, last: str, timeout_s: float | None) -> str:
    """Return how the builder ended, in one line; `timeout_s` is None unless its time was over."""
    where = f"while it was at {phase!r}"
    if timeout_s is not None and code == -signal.SIGKILL:
        return f"the builder was ended after {timeout_s:g} s {where}; give it more with --timeout-s"
    if code == -signal.SIGKILL:
        return (
            f"the builder was killed {where}, most likely for want of memory: end what else "
            "runs, or lower --workspace-mib"
        )
    said = f" ({last})" if last else ""
    if code < 0:
        return f"the builder crashed with {signal.Signals(-code).name} {where}{said}"
    return f"the builder ended with code {code} {where}{said}"
