"""The real TensorRT for RTX, whose parser and builder need no GPU."""

from __future__ import annotations

import importlib.util
import platform
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.compile.build_engine import BuildRequest, build
from edge.backends.enginecache import BuildOptions

__all__ = ["EXISTS_HERE", "RTX_TARGETS", "built", "rtx_missing"]

MODULES = ("tensorrt_rtx_bindings", "tensorrt_rtx_libs")
# Compute capabilities of the cards that its engines are for, as it says itself.
RTX_TARGETS = ("8.0", "8.6", "8.9", "12.0", "12.1")
EXISTS_HERE = (platform.system(), platform.machine()) == ("Linux", "x86_64")


def rtx_missing() -> str | None:
    """Why it cannot be used on this machine, or None; it exists for Linux on x86-64 only."""
    if not EXISTS_HERE:
        return f"no TensorRT for RTX for {platform.system()} on {platform.machine()}"
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            return f"no {module} (`make test` installs it)"
    return None


def built(
    graph: bytes | Path,
    shape: tuple[int, ...],
    *,
    options: BuildOptions | None = None,
    report: Callable[[Mapping[str, Any]], None] = lambda message: None,
) -> bytes:
    """Return the plan of a graph for windows of `shape`, built as `edge-deploy compile` does.

    `report` is given what the builder says on the way. Raises `BackendError`.
    """
    with tempfile.TemporaryDirectory() as folder:
        onnx = graph if isinstance(graph, Path) else Path(folder, "model.onnx")
        if isinstance(graph, bytes):
            onnx.write_bytes(graph)
        request = BuildRequest(
            onnx=onnx,
            plan=Path(folder, "engine.plan"),
            shape=shape,
            timing_cache=Path(folder, "timing.cache"),
            options=options or BuildOptions(),
        )
        build(request, report)
        assert not request.timing_cache.exists()
        return request.plan.read_bytes()
