"""NVIDIA's published Python bindings, whose names are compared with those that this program uses.

The wheels are a megabyte each and are fetched by pip; stub libraries with the few symbols that the
bindings link to stand in for TensorRT itself. Nothing is called, and it is all done in a process of
its own, which may crash.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["surface_of_bindings"]

# What is looked at: distribution and version, and the libraries it links to.
WHEELS = {
    "10.3": ("tensorrt-cu12-bindings", "10.3.0", 10),
    "11.4": ("tensorrt-cu13-bindings", "11.4.0.106", 11),
}
INSTALLED = "RTX 1.7"  # with its libraries, by the extra `dev`
LIBRARIES = ("nvinfer", "nvonnxparser", "nvinfer_plugin")
SYMBOLS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
LOOK = """
import importlib, json, sys
trt = importlib.import_module(sys.argv[2])
wanted, found = json.loads(sys.argv[1]), {"version": trt.__version__, "enums": {}, "classes": {}}
def named(path):
    thing = trt
    for part in path.split("."):
        thing = getattr(thing, part)
    return thing
for name in wanted["enums"]:
    found["enums"][name] = {key: int(value) for key, value in named(name).__members__.items()}
for name in wanted["classes"]:
    cls = named(name)
    found["classes"][name] = {member: getattr(cls, member).__doc__ or "" for member in dir(cls)}
print(json.dumps(found))
"""


@cache
def surface_of_bindings(version: str, cached: Path, wanted: str) -> dict[str, Any] | str:
    """Return what the published bindings of a version have, or why they cannot be had.

    They are enums with their integers, and classes with the text of each member, for the names in
    `wanted` (JSON).
    """
    if version == INSTALLED:
        return _looked_at("tensorrt_rtx_bindings", wanted, os.environ)
    distribution, exact, major = WHEELS[version]
    folder = cached / f"{distribution}-{exact}"
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary=:all:",
        "-d",
        str(folder),
        f"{distribution}=={exact}",
    ]
    fetched = (
        None
        if list(folder.glob("*.whl"))
        else subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    )
    wheels = list(folder.glob("*.whl"))
    if not wheels:
        last = fetched.stderr.strip().rpartition("\n")[2] if fetched else ""
        return f"{distribution} {exact} cannot be fetched for this Python and machine: {last}"
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(folder)
    if (reason := _stubs(folder, major)) is not None:
        return reason
    environment = {**os.environ, "PYTHONPATH": str(folder), "LD_LIBRARY_PATH": str(folder)}
    return _looked_at("tensorrt_bindings", wanted, environment)


def _looked_at(module: str, wanted: str, environment: Mapping[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-c", LOOK, wanted, module]
    looked = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    if looked.returncode != 0:
        raise AssertionError(f"{module} does not have it: {looked.stderr.strip()}")
    found: dict[str, Any] = json.loads(looked.stdout)
    return found


def _stubs(folder: Path, major: int) -> str | None:
    source = folder / "stub.c"
    source.write_text("".join(f"void {symbol}(void) {{}}\n" for symbol in SYMBOLS))
    for library in LIBRARIES:
        name = f"lib{library}.so.{major}"
        command = [
            "cc",
            "-shared",
            "-fPIC",
            f"-Wl,-soname,{name}",
            "-o",
            str(folder / name),
            str(source),
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.SubprocessError) as exc:
            return f"no C compiler for the stub libraries ({exc})"
    return None
