"""The base of the fake `tensorrt`: known names, failures, and classes that take no other name."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.support.fake_cuda import Device

__all__ = [
    "MAGIC",
    "VERSIONS",
    "Behaviour",
    "IHostMemory",
    "ILogger",
    "IProgressMonitor",
    "Library",
    "Strict",
    "accept",
    "session",
    "surface",
]

VERSIONS = ("10.3", "11.4", "RTX 1.7")
MAGIC = b"fake plan\n"


@cache
def surface() -> dict[str, Any]:
    """See `tensorrt_surface.json`."""
    content: dict[str, Any] = json.loads(
        Path(__file__).with_name("tensorrt_surface.json").read_text(encoding="utf-8")
    )
    return content


@dataclass
class Behaviour:
    """How the fake is to fail.

    `deserialize_says`: answer None and log this. `build_says`: the same when building.

    `deaf_pools` names memory pools whose limits it does not take. `execute_fails`:
    `execute_async_v3` answers False. `answers_off_by` is added to what the network gives.
    `signal_at_step` is sent to the building process at its second step, and `sleeps_s` is how long
    that step takes.
    """

    deserialize_says: str | None = None
    build_says: str | None = None
    deaf_pools: tuple[str, ...] = ()
    execute_fails: bool = False
    no_context: bool = False
    answers_off_by: float = 0.0
    signal_at_step: int | None = None
    sleeps_s: float = 0.0
    platform: str = "linux-aarch64"
    loggers: list[Any] = field(default_factory=list)


@dataclass
class Library:
    """What all objects of one fake module share."""

    module: ModuleType
    enums: Mapping[str, Any]
    device: Device
    behaviour: Behaviour
    version: str
    names: Mapping[str, Any]
    is_for_rtx: bool

    def strict(self, cls: type[Any]) -> type[Any]:
        """Return the class as of this version.

        It has no public name that the real one has not, and the real one's parameters.
        """
        members = self.names["classes"][cls.__name__]
        for name, value in vars(cls).items():
            if name.startswith("_"):
                continue
            assert name in members, f"{cls.__name__}.{name} is not in TensorRT {self.version}"
            if inspect.isfunction(value):
                parameters = list(inspect.signature(value).parameters)[1:]
                assert parameters == [p.rstrip("?") for p in members[name]], (
                    f"{cls.__name__}.{name} has other parameters"
                )
        return type(cls.__name__, (cls,), {"_lib": self, "_members": members})

    def make(self, cls: type[Any], *arguments: Any) -> Any:
        made = object.__new__(self.strict(cls))
        made._begin(*arguments)
        return made

    def error(self, logger: Any, text: str) -> None:
        logger.log(self.enums["ILogger.Severity"].ERROR, text)


class Strict:
    """Takes no attribute that the real class would not."""

    _lib: Library
    _members: Mapping[str, Any]

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and self._members.get(name) != "writable":
            raise AttributeError(f"{type(self).__name__} has no attribute {name} that can be set")
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._members:
            raise NotImplementedError(
                f"the fake {type(self).__name__} has no {name} yet, the real one has"
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name}")


class ILogger:
    """A base class for loggers.

    Its `__init__` has to be called, or pybind refuses the object later.
    """

    _begun = False

    def __init__(self) -> None:
        self._begun = True

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    """A base class for progress monitors; its `__init__` has to be called, too."""

    _begun = False

    def __init__(self) -> None:
        self._begun = True

    def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


def accept(lib: Library, logger: Any, *, needs_device: bool = True) -> Any:
    assert lib.device.initialised or not needs_device, (
        "segmentation fault: TensorRT was touched before cuInit"
    )
    if not (isinstance(logger, ILogger) and logger._begun):
        raise TypeError("__init__(): incompatible constructor arguments")
    lib.behaviour.loggers.append(logger)
    assert len({id(given) for given in lib.behaviour.loggers}) == 1, (
        "TensorRT keeps its first logger and complains about others"
    )
    return logger


class IHostMemory(Strict):
    def _begin(self, content: bytes) -> None:
        self._content = content

    @property
    def nbytes(self) -> int:
        return len(self._content)

    # stands for the buffer protocol, which plain classes have from Python 3.12 on only
    def __bytes__(self) -> bytes:
        return self._content


def session(onnx: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
