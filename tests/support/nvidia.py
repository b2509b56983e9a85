"""A fake of a machine with NVIDIA's software: `tensorrt` and `cuda.bindings.driver`."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from edge.backends.cuda import open_gpu
from edge.backends.tensorrt_library import import_tensorrt
from edge.errors import BackendError
from tests.support.fake_cuda import Device, fake_driver
from tests.support.fake_tensorrt import Behaviour, fake_tensorrt

__all__ = ["Nvidia", "begin", "for_children", "on_a_machine", "tensorrt_missing"]


OURS = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings", "tensorrt_rtx_libs", "cuda")


@dataclass
class Nvidia:
    """What is installed: a TensorRT of `version` ("RTX 1.7": TensorRT for RTX), and a device.

    `import_errors` gives modules the text that their import fails with.
    """

    version: str = "10.3"
    device: Device = field(default_factory=Device)
    behaviour: Behaviour = field(default_factory=Behaviour)
    import_errors: Mapping[str, str] = field(default_factory=dict)

    def modules(self) -> dict[str, ModuleType]:
        """Those that can be imported, by name."""
        driver = fake_driver(self.device)
        cuda, bindings = ModuleType("cuda"), ModuleType("cuda.bindings")
        cuda.__path__, bindings.__path__ = [], []
        tensorrt = fake_tensorrt(self.version, self.device, self.behaviour)
        found = {
            tensorrt.__name__: tensorrt,
            "cuda": cuda,
            "cuda.bindings": bindings,
            "cuda.bindings.driver": driver,
        }
        return {name: module for name, module in found.items() if name not in self.import_errors}


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, machine: Nvidia) -> None:
        self._machine = machine
        self._modules = machine.modules()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name in self._machine.import_errors:
            failing = _Failing(self._machine.import_errors[name])
            return importlib.machinery.ModuleSpec(name, failing)
        if name not in self._modules:
            return None
        return importlib.machinery.ModuleSpec(
            name,
            _Loader(self._modules[name]),
            is_package="cuda.bindings.driver".startswith(f"{name}."),
        )


class _Failing(importlib.abc.Loader):
    """Of a module that is there, but cannot be imported."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def exec_module(self, module: ModuleType) -> None:
        raise ImportError(self._reason, name=module.__name__)


class _Loader(importlib.abc.Loader):
    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        pass


@contextmanager
def on_a_machine(machine: Nvidia) -> Iterator[Nvidia]:
    """Have this process run on `machine` within the block, whatever is really installed."""
    finder = _Finder(machine)
    before = {name: sys.modules.pop(name) for name in list(sys.modules) if _ours(name)}
    sys.meta_path.insert(0, finder)
    _hide_others(machine)
    try:
        yield machine
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _ours(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def for_children(
    machine: Nvidia, root: Path, path: str = os.environ.get("PYTHONPATH", "")
) -> dict[str, str]:
    """Return the environment in which a Python that we start runs on `machine`, too.

    See `tests/support/startup/sitecustomize.py`.
    """
    behaviour = {
        k: v for k, v in asdict(replace(machine.behaviour, loggers=[])).items() if k != "loggers"
    }
    device = {"name": machine.device.name, "compute_capability": machine.device.compute_capability}
    content = {
        "version": machine.version,
        "device": device,
        "behaviour": behaviour,
        "import_errors": dict(machine.import_errors),
    }
    folders = [str(root / "tests" / "support" / "startup"), str(root), *filter(None, [path])]
    return {"FAKE_NVIDIA": json.dumps(content), "PYTHONPATH": os.pathsep.join(folders)}


def begin(description: str) -> None:
    """Be on the machine that `for_children` has described, from now on."""
    content = json.loads(description)
    device = Device(
        name=content["device"]["name"],
        compute_capability=tuple(content["device"]["compute_capability"]),
    )
    behaviour = Behaviour(
        **{**content["behaviour"], "deaf_pools": tuple(content["behaviour"]["deaf_pools"])}
    )
    machine = Nvidia(
        version=content["version"],
        device=device,
        behaviour=behaviour,
        import_errors=content["import_errors"],
    )
    sys.meta_path.insert(0, _Finder(machine))
    _hide_others(machine)


def tensorrt_missing() -> str | None:
    """Why the real TensorRT cannot be used on this machine, or None."""
    try:
        open_gpu()
        import_tensorrt()
    except BackendError as exc:
        return f"no TensorRT: {exc}"
    return None


def _hide_others(machine: Nvidia) -> None:
    """Have Python find nothing of NVIDIA's that is really installed."""
    hidden: dict[str, Any] = dict.fromkeys(OURS)
    for name in {*machine.modules(), *machine.import_errors}:
        hidden.pop(name, None)
    sys.modules.update(hidden)


def _ours(name: str) -> bool:
    return name.partition(".")[0] in OURS
