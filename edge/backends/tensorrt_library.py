"""NVIDIA's `tensorrt` module: importing it, its version, and the meaning of what it logs.

Versions 10.3 to 11.x work, and TensorRT for RTX in its place (`tensorrt_editions.py`). Integers of
enums moved between versions, so that flags are always `1 << int(member)` and names are what is
written down; everything used here is in all of them.
"""

from __future__ import annotations

import importlib
import logging
import re
from collections import deque
from functools import cache
from types import ModuleType
from typing import Any

from edge.backends.tensorrt_editions import Edition, edition_of, installed_edition
from edge.errors import BackendError, EngineError, one_line
from edge.extras import how_to_install

__all__ = ["TensorRtLog", "import_tensorrt", "library_log", "library_version", "refusal"]

KEPT_LINES = 20
log = logging.getLogger(__name__)

OTHER_CUDA = "the CUDA libraries do not belong to this TensorRT; install those of the same JetPack"
# What the text of a failed import contains -> what to do; the first that fits. The loader names a
# missing library in the text only.
HINTS = {
    "No module named 'tensorrt'": (
        f"{how_to_install('tensorrt')}; on JetPack the environment needs --system-site-packages"
    ),
    "No module named 'tensorrt": (
        "it was made for another Python; use the one that JetPack came with"
    ),
    "libnvdla_compiler": (
        "install nvidia-l4t-dla-compiler; in a container, start it with the NVIDIA runtime"
    ),
    "libnvinfer": (
        "TensorRT's libraries are not where the loader looks; install them again, or set "
        "LD_LIBRARY_PATH"
    ),
    "libtensorrt_": "install tensorrt-rtx-cu13-libs of the same version as the bindings",
    "libnvonnxparser": "TensorRT's ONNX parser is not installed; install libnvonnxparsers",
    "libcud": OTHER_CUDA,
    "libcublas": OTHER_CUDA,
    "numpy": "this TensorRT is too old for the installed numpy; 10.3 is the oldest that works",
}
HINT = "install TensorRT again, of the version that belongs to this JetPack"

# What TensorRT logs when it refuses a plan -> what that means; the first that fits. A refusal has
# no other form than this text.
MEANINGS = {
    "not compatible with this version of tensorrt": "it was built by another version of TensorRT",
    "generated on an incompatible device": "it was built on another kind of GPU",
    "platform specific tag mismatch": "it was built on another platform",
    "magictag": "it is truncated, damaged, or of a newer layout",
}
OTHER_CARD = "does not support this compute capability"  # seen with TensorRT for RTX on an H100
MEMORY = ("out of memory", "outofmemory", "failed_allocation")


def import_tensorrt() -> ModuleType:
    """Import the module, of a version that this program knows.

    Raises `BackendError` with the reason and a hint. Call it only after `open_gpu` has succeeded:
    without a driver TensorRT may end the process.
    """
    edition, name = installed_edition()
    try:
        module = importlib.import_module(name)
    # An old TensorRT on a new numpy raises AttributeError.
    except (ImportError, OSError, AttributeError) as exc:
        reason = str(exc).strip().partition("\n")[0]
        hint = next((hint for text, hint in HINTS.items() if text in reason), HINT)
        raise BackendError(f"{name} cannot be imported: {reason} ({hint})") from exc
    _check_version(edition, str(getattr(module, "__version__", "")))
    return module


def library_version(trt: ModuleType) -> str:
    """Return which TensorRT an imported module is: what the key of an engine says of it."""
    return f"{edition_of(trt).key}{trt.__version__}"


def _check_version(edition: Edition, version: str) -> None:
    known = re.match(r"(\d+)\.(\d+)", version)
    if known is None:
        raise BackendError(f"{edition.name} does not say which version it is ({HINT})")
    major, minor = int(known[1]), int(known[2])
    oldest = ".".join(map(str, edition.oldest))
    if (major, minor) < edition.oldest:
        raise BackendError(
            f"{edition.name} {version} is too old, {oldest} is the oldest that works: "
            f"{edition.too_old}"
        )
    if major > edition.newest_major:
        raise BackendError(
            f"{edition.name} {version} is newer than this program, which knows {oldest} to "
            f"{edition.newest_major}.x; update the program"
        )


class TensorRtLog:
    """The last warnings and errors of TensorRT, whose calls only return None when they fail.

    `logger` is what TensorRT's classes take at their construction.
    """

    def __init__(self, trt: ModuleType) -> None:
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        lines = self._lines

        class Logger(trt.ILogger):  # type: ignore[misc,name-defined]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, msg: str) -> None:
                serious = int(severity) <= int(trt.ILogger.WARNING)
                log.log(logging.WARNING if serious else logging.DEBUG, "TensorRT: %s", msg)
                if serious:
                    lines.append(one_line(msg))

        self.logger = Logger()

    def taken(self) -> list[str]:
        """Return the last warnings and errors, oldest first, and forget them."""
        lines = list(self._lines)
        self._lines.clear()
        return lines


@cache
def library_log(trt: ModuleType) -> TensorRtLog:
    """Return the log of the process, of which there is one.

    TensorRT keeps the first logger that it is given and warns about every other.
    """
    return TensorRtLog(trt)


def refusal(lines: list[str]) -> BackendError:
    """Return the error for a plan that TensorRT refused, from the lines that it logged.

    It is an `EngineError`, unless the plan may well be accepted another time.
    """
    text = " ".join(lines).lower()
    said = f" ({lines[-1]})" if lines else ""
    if any(sign in text for sign in MEMORY):
        return BackendError(
            "TensorRT has not enough memory to load the engine; end other programs that use it"
            f"{said}"
        )
    if OTHER_CARD in text:
        return BackendError(
            "this TensorRT makes no engines for the GPU of this machine; install another edition "
            f"(TensorRT in place of TensorRT for RTX){said}"
        )
    meaning = next(
        (meaning for sign, meaning in MEANINGS.items() if sign in text), "TensorRT refuses it"
    )
    return EngineError(f"{meaning}; compile it again with `edge-deploy compile`{said}")
