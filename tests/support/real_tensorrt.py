"""The real TensorRT for RTX, whose parser and builder need no GPU."""

from __future__ import annotations

import importlib.util
import platform

__all__ = ["rtx_missing"]

MODULES = ("tensorrt_rtx_bindings", "tensorrt_rtx_libs")


def rtx_missing() -> str | None:
    """Why it cannot be used on this machine, or None; it exists for Linux on x86-64 only."""
    if platform.machine() != "x86_64" or platform.system() != "Linux":
        return f"no TensorRT for RTX for {platform.system()} on {platform.machine()}"
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            return f"no {module} (`make test` installs it)"
    return None
