"""A fake `tensorrt` that builds and runs engines on the CPU, and has only names of the real one.

The names, parameters and integers come from `tensorrt_surface.json`, as version
10.3, as 11.4 and as 1.7 for RTX. A plan is the ONNX graph behind a header that says what it was
built by and for; ONNX Runtime runs it. What a real one would answer with a crash is an
AssertionError here, which no code of ours catches.
"""

from __future__ import annotations

import enum
from types import ModuleType
from typing import Any

from tests.support.fake_cuda import Device
from tests.support.fake_tensorrt_base import (
    VERSIONS,
    Behaviour,
    ILogger,
    IProgressMonitor,
    Library,
    surface,
)
from tests.support.fake_tensorrt_build import Builder, OnnxParser
from tests.support.fake_tensorrt_run import Runtime

__all__ = ["VERSIONS", "Behaviour", "fake_tensorrt", "surface"]

RTX = "RTX "  # before the version of TensorRT for RTX


def fake_tensorrt(version: str, device: Device, behaviour: Behaviour | None = None) -> ModuleType:
    """Return the module of `version` "10.3", "11.4", or "RTX 1.7".

    Another version has the names of the nearest of them.
    """
    is_for_rtx = version.startswith(RTX)
    near = "RTX 1.7" if is_for_rtx else "11.4" if version.startswith("11") else "10.3"
    known = surface()[near]
    module = ModuleType("tensorrt_rtx" if is_for_rtx else "tensorrt")
    exact = known["version"] if version in VERSIONS else version.removeprefix(RTX)
    module.__version__ = exact  # type: ignore[attr-defined]
    enums: dict[str, Any] = {
        name: enum.IntEnum(name.rpartition(".")[2], members)
        for name, members in known["enums"].items()
    }
    for name, kind in enums.items():
        if "." not in name:
            setattr(module, name, kind)
    context = Library(
        module=module,
        enums=enums,
        device=device,
        behaviour=behaviour or Behaviour(),
        version=exact,
        names=known,
        is_for_rtx=is_for_rtx,
    )
    for cls in (ILogger, IProgressMonitor, Builder, OnnxParser, Runtime):
        setattr(module, cls.__name__, context.strict(cls))
    for member in enums["ILogger.Severity"]:
        setattr(module.ILogger, member.name, member)
    module.ILogger.Severity = enums["ILogger.Severity"]
    return module
