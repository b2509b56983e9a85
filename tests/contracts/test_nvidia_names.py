"""The fakes of NVIDIA's software have the names, parameters and integers that NVIDIA publishes."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.bindings import surface_of_bindings
from tests.support.fake_cuda import PARAMETERS, CUdevice_attribute, CUresult, CUstreamCaptureMode
from tests.support.fake_tensorrt import VERSIONS, surface
from tests.support.real_tensorrt import rtx_missing

USERS = (
    "edge/backends/tensorrt.py",
    "edge/backends/tensorrt_library.py",
    "edge/backends/tensorrt_editions.py",
    "deploy/compile/build_engine.py",
)


def real(version: str, root: Path) -> dict[str, Any]:
    known = surface()[version]
    if version == "RTX 1.7" and (reason := rtx_missing()) is not None:
        pytest.skip(reason)
    wanted = json.dumps({"enums": list(known["enums"]), "classes": list(known["classes"])})
    found = surface_of_bindings(version, root / "build" / "bindings", wanted)
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_list_is_what_the_published_bindings_have(version: str, root: Path) -> None:
    known, found = surface()[version], real(version, root)
    assert found["version"] == known["version"]
    assert found["enums"] == known["enums"]
    for name, members in known["classes"].items():
        assert set(members) <= set(found["classes"][name]), name


@pytest.mark.parametrize("version", VERSIONS)
def test_the_parameters_have_the_names_that_the_published_bindings_give_them(
    version: str, root: Path
) -> None:
    known, found = surface()[version], real(version, root)
    checked = 0
    for name, members in known["classes"].items():
        for member, parameters in members.items():
            text = found["classes"][name][member]
            if not isinstance(parameters, list) or f"{member}(self" not in text:
                continue
            for parameter in parameters:
                assert re.search(rf"[(,] ?{parameter.rstrip('?')}:", text), (name, member, text)
            checked += 1
    assert checked > 100


def test_the_program_uses_nothing_that_is_in_one_version_only(root: Path) -> None:
    """Every attribute that the program takes of TensorRT's objects is in every list.

    The fakes prove the same for what they run.
    """
    lists = [{*known["classes"], *known["enums"]} for known in (surface()[v] for v in VERSIONS)]
    used = set()
    for file in USERS:
        for node in ast.walk(ast.parse((root / file).read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "trt"
                and not node.attr.startswith("__")
            ):
                used.add(node.attr)
    assert used >= {"Builder", "Runtime", "OnnxParser", "MemoryPoolType"}
    assert used <= set.intersection(*lists)


def test_the_drivers_names_are_those_of_cuda_bindings() -> None:
    """The parameters are those of cuda-bindings, where it is installed.

    Its functions name them in the first line of their text.
    """
    driver = pytest.importorskip("cuda.bindings.driver", reason="no cuda-bindings on this machine")
    for name, count in PARAMETERS.items():
        signature = getattr(driver, name).__doc__.strip().partition("\n")[0]
        arguments = signature[signature.index("(") + 1 : signature.rindex(")")]
        assert len(arguments.split(",")) == count if arguments else count == 0, signature
    for fake in (CUresult, CUdevice_attribute, CUstreamCaptureMode):
        for member in fake:
            assert int(getattr(getattr(driver, fake.__name__), member.name)) == member
