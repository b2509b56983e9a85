"""A `tensorrt` that builds, keeps and runs engines on the CPU, and knows no name that the real one does not.

The names, parameters and integers come from `tensorrt_surface.json`, as version 10.3 and as 11.4. A plan is the ONNX graph behind
a header that says what it was built by and for; ONNX Runtime runs it. What a real one would answer with a crash is an
AssertionError here, which no code of ours catches.
"""

from __future__ import annotations

import ctypes
import enum
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tests.support.fake_cuda import Device

__all__ = ["MAGIC", "VERSIONS", "Behaviour", "fake_tensorrt", "surface"]

VERSIONS = ("10.3", "11.4")
MAGIC = b"fake plan\n"
MEMORY_LIMIT = 1 << 36


@cache
def surface() -> dict[str, Any]:
    """See `tensorrt_surface.json`."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("tensorrt_surface.json").read_text(encoding="utf-8"))
    return content


@dataclass
class Behaviour:
    """How it is to fail. `deserialize_says`: answer None and log this. `build_says`: the same when building.

    `deaf_pools` names memory pools whose limits it does not take. `execute_fails`: `execute_async_v3` answers False.
    `answers_off_by` is added to what the network gives. `killed_at_step` ends the process there as the kernel does.
    """

    deserialize_says: str | None = None
    build_says: str | None = None
    deaf_pools: tuple[str, ...] = ()
    execute_fails: bool = False
    no_context: bool = False
    answers_off_by: float = 0.0
    killed_at_step: int | None = None
    platform: str = "linux-aarch64"
    loggers: list[Any] = field(default_factory=list)


def fake_tensorrt(version: str, device: Device, behaviour: Behaviour | None = None) -> ModuleType:
    """The module as of `version` "10.3" or "11.4", or as of another version with the names of the nearest."""
    known = surface()["11.4" if version.startswith("11") else "10.3"]
    module = ModuleType("tensorrt")
    module.__version__ = known["version"] if version in VERSIONS else version  # type: ignore[attr-defined]
    enums: dict[str, Any] = {name: enum.IntEnum(name.rpartition(".")[2], members) for name, members in known["enums"].items()}
    for name, kind in enums.items():
        if "." not in name:
            setattr(module, name, kind)
    context = _Library(module=module, enums=enums, device=device, behaviour=behaviour or Behaviour(), version=module.__version__)
    for cls in (ILogger, IProgressMonitor, Builder, OnnxParser, Runtime):
        setattr(module, cls.__name__, context.strict(cls))
    for member in enums["ILogger.Severity"]:
        setattr(module.ILogger, member.name, member)
    module.ILogger.Severity = enums["ILogger.Severity"]
    return module


@dataclass
class _Library:
    """What all objects of one fake module share."""

    module: ModuleType
    enums: Mapping[str, Any]
    device: Device
    behaviour: Behaviour
    version: str

    def strict(self, cls: type[Any]) -> type[Any]:
        """The class as of this version: nothing public that the real one has not, with the real one's parameters."""
        members = surface()["11.4" if self.version.startswith("11") else "10.3"]["classes"][cls.__name__]
        for name, value in vars(cls).items():
            if name.startswith("_"):
                continue
            assert name in members, f"{cls.__name__}.{name} is not in TensorRT {self.version}"
            if inspect.isfunction(value):
                parameters = list(inspect.signature(value).parameters)[1:]
                assert parameters == [p.rstrip("?") for p in members[name]], f"{cls.__name__}.{name} has other parameters"
        return type(cls.__name__, (cls,), {"_lib": self, "_members": members})

    def make(self, cls: type[Any], *arguments: Any) -> Any:
        made = object.__new__(self.strict(cls))
        made._begin(*arguments)
        return made

    def error(self, logger: Any, text: str) -> None:
        logger.log(self.enums["ILogger.Severity"].ERROR, text)


class _Strict:
    """Takes no attribute that the real class would not."""

    _lib: _Library
    _members: Mapping[str, Any]

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and self._members.get(name) != "writable":
            raise AttributeError(f"{type(self).__name__} has no attribute {name} that can be set")
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name in self._members:
            raise NotImplementedError(f"the fake {type(self).__name__} has no {name} yet, the real one has")
        raise AttributeError(f"{type(self).__name__} has no attribute {name}")


class ILogger:
    """To be inherited from; the base's `__init__` has to be called, or pybind refuses the object later."""

    _begun = False

    def __init__(self) -> None:
        self._begun = True

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    """As ILogger."""

    _begun = False

    def __init__(self) -> None:
        self._begun = True

    def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
        raise NotImplementedError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise NotImplementedError

    def phase_finish(self, phase_name: str) -> None:
        raise NotImplementedError


def _accept(lib: _Library, logger: Any) -> Any:
    assert lib.device.initialised, "segmentation fault: TensorRT was touched before cuInit"
    if not (isinstance(logger, ILogger) and logger._begun):
        raise TypeError("__init__(): incompatible constructor arguments")
    lib.behaviour.loggers.append(logger)
    assert len({id(given) for given in lib.behaviour.loggers}) == 1, "TensorRT keeps its first logger and complains about others"
    return logger


class Builder(_Strict):
    def __init__(self, logger: Any) -> None:
        self._logger = _accept(self._lib, logger)

    def create_network(self, flags: int = 0) -> Any:
        return self._lib.make(INetworkDefinition, flags)

    def create_builder_config(self) -> Any:
        return self._lib.make(IBuilderConfig, self._logger)

    def create_optimization_profile(self) -> Any:
        return self._lib.make(IOptimizationProfile)

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        lib = self._lib
        strongly = 1 << lib.enums["NetworkDefinitionCreationFlag"].STRONGLY_TYPED
        assert lib.version.startswith("11") or network._flags & strongly, "this program builds strongly typed networks only"
        assert config._profiles, "a dynamic network without a profile"
        if not self._go_on(config.progress_monitor) or lib.behaviour.build_says is not None:
            lib.error(self._logger, lib.behaviour.build_says or "the build was cancelled")
            return None
        header = {
            "version": lib.version,
            "compute_capability": list(lib.device.compute_capability),
            "platform": lib.behaviour.platform,
            "profile": config._profiles[0]._shapes,
            "size": len(network._onnx),
        }
        if config._timing_cache is not None:
            config._timing_cache._content = b"tactics of " + lib.version.encode()
        return lib.make(IHostMemory, MAGIC + json.dumps(header).encode() + b"\n" + network._onnx)

    def _go_on(self, monitor: Any) -> bool:
        if monitor is None:
            return True
        assert monitor._begun
        monitor.phase_start("Building", None, 2)
        monitor.phase_start("Tactics", "Building", 3)
        for step in range(3):
            if step == self._lib.behaviour.killed_at_step:
                import os
                import signal

                os.kill(os.getpid(), signal.SIGKILL)
            if not monitor.step_complete("Tactics", step):
                return False
        monitor.phase_finish("Tactics")
        done = monitor.step_complete("Building", 0) and monitor.step_complete("Building", 1)
        monitor.phase_finish("Building")
        return bool(done)


class INetworkDefinition(_Strict):
    def _begin(self, flags: int) -> None:
        self._flags, self._onnx = flags, b""
        self._inputs: list[Any] = []

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return 2

    def get_input(self, index: int) -> Any:
        return self._inputs[index]


class ITensor(_Strict):
    def _begin(self, name: str, shape: tuple[int, ...]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "shape", shape)


class OnnxParser(_Strict):
    def __init__(self, network: Any, logger: Any) -> None:
        self._network, self._logger = network, _accept(self._lib, logger)
        self._errors: list[Any] = []

    def parse(self, model: Any, path: str | None = None) -> bool:
        try:
            session = _session(bytes(model))
        except Exception as exc:
            self._errors.append(self._lib.make(ParserError, str(exc)))
            return False
        self._network._onnx = bytes(model)
        for tensor in session.get_inputs():
            shape = tuple(-1 if isinstance(n, str) else int(n) for n in tensor.shape)
            self._network._inputs.append(self._lib.make(ITensor, tensor.name, shape))
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]


class ParserError(_Strict):
    def _begin(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return self._text

    def node_name(self) -> str:
        return ""

    def node_operator(self) -> str:
        return ""


class IOptimizationProfile(_Strict):
    def _begin(self) -> None:
        self._shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> None:
        if not all(a <= b <= c for a, b, c in zip(min, opt, max, strict=True)):
            raise ValueError("shapes are not in order")
        self._shapes[input] = [list(min), list(opt), list(max)]


class IBuilderConfig(_Strict):
    def _begin(self, logger: Any) -> None:
        self._logger = logger
        self._limits: dict[Any, int] = {}
        self._profiles: list[Any] = []
        self._timing_cache: Any = None
        self.progress_monitor = None
        self.max_aux_streams = -1
        self.builder_optimization_level = 3
        self.flags = 1 << self._lib.enums["BuilderFlag"].TF32  # as the real one has it

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        if pool.name in self._lib.behaviour.deaf_pools:
            self._lib.error(self._logger, f"limit of {pool.name} is out of range")
            return
        self._limits[pool] = pool_size

    def get_memory_pool_limit(self, pool: Any) -> int:
        return self._limits.get(pool, MEMORY_LIMIT)

    def set_flag(self, flag: Any) -> None:
        self.flags |= 1 << flag

    def clear_flag(self, flag: Any) -> None:
        self.flags &= ~(1 << flag)

    def get_flag(self, flag: Any) -> bool:
        return bool(self.flags & (1 << flag))

    def create_timing_cache(self, serialized_timing_cache: Any) -> Any:
        return self._lib.make(ITimingCache, bytes(serialized_timing_cache))

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if cache._content and not cache._content.endswith(self._lib.version.encode()):
            return False
        self._timing_cache = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._timing_cache

    def add_optimization_profile(self, profile: Any) -> int:
        if not profile._shapes:
            return -1
        self._profiles.append(profile)
        return len(self._profiles) - 1


class ITimingCache(_Strict):
    def _begin(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> Any:
        return self._lib.make(IHostMemory, self._content)


class IHostMemory(_Strict):
    def _begin(self, content: bytes) -> None:
        self._content = content

    @property
    def nbytes(self) -> int:
        return len(self._content)

    def __bytes__(self) -> bytes:  # stands for the buffer protocol, which plain classes have from Python 3.12 on only
        return self._content


class Runtime(_Strict):
    def __init__(self, logger: Any) -> None:
        self._logger = _accept(self._lib, logger)

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        lib, plan = self._lib, bytes(serialized_engine)
        complaint = self._complaint(plan) if lib.behaviour.deserialize_says is None else lib.behaviour.deserialize_says
        if complaint is not None:
            if complaint:
                lib.error(self._logger, complaint)
            return None
        header, _, onnx = plan[len(MAGIC) :].partition(b"\n")
        return lib.make(ICudaEngine, json.loads(header)["profile"], onnx)

    def _complaint(self, plan: bytes) -> str | None:
        """In TensorRT's own words."""
        lib = self._lib
        header, _, onnx = plan[len(MAGIC) :].partition(b"\n")
        if not plan.startswith(MAGIC) or json.loads(header)["size"] != len(onnx):
            return (
                "Error Code 1: Serialization (Serialization assertion magicTagRead == kMAGIC_TAG failed.Magic tag does not match)"
            )
        built = json.loads(header)
        if built["platform"] != lib.behaviour.platform:
            return "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Platform specific tag mismatch detected.)"
        if built["version"] != lib.version:
            return (
                "The engine plan file is not compatible with this version of TensorRT, expecting library version "
                f"{lib.version} got {built['version']}, please rebuild."
            )
        if tuple(built["compute_capability"]) != lib.device.compute_capability:
            here, there = (".".join(map(str, cc)) for cc in (lib.device.compute_capability, built["compute_capability"]))
            return f"The engine plan file is generated on an incompatible device, expecting compute {here} got compute {there}"
        return None


class ICudaEngine(_Strict):
    def _begin(self, profile: dict[str, list[list[int]]], onnx: bytes) -> None:
        self._profile, self._session = profile, _session(onnx)
        self._inputs = {tensor.name: tensor for tensor in self._session.get_inputs()}
        self._tensors = {**self._inputs, **{tensor.name: tensor for tensor in self._session.get_outputs()}}

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return str(list(self._tensors)[index])

    def get_tensor_mode(self, name: str) -> Any:
        return self._lib.enums["TensorIOMode"]["INPUT" if name in self._inputs else "OUTPUT"]

    def get_tensor_dtype(self, name: str) -> Any:
        return self._lib.enums["DataType"]["FLOAT" if self._tensors[name].type == "tensor(float)" else "HALF"]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        return [tuple(shape) for shape in self._profile[name]]

    @property
    def device_memory_size_v2(self) -> int:
        return 1 << 20

    def create_execution_context(self, strategy: Any = None) -> Any:
        return None if self._lib.behaviour.no_context else self._lib.make(IExecutionContext, self)


class IExecutionContext(_Strict):
    def _begin(self, engine: Any) -> None:
        self._of = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        smallest, _, largest = self._of._profile[name]
        fits = len(shape) == len(largest) and all(a <= n <= b for a, n, b in zip(smallest, shape, largest, strict=True))
        if fits:
            self._shapes[name] = tuple(shape)
        return fits

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self._of._inputs:
            return self._shapes.get(name, (-1,))
        batch = next(iter(self._shapes.values()))[0]
        return (batch, *(int(n) for n in self._of._tensors[name].shape[1:]))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert self._lib.device.owns(memory, 1), "segmentation fault"
        self._addresses[name] = memory
        return name in self._of._tensors

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self._lib.behaviour.execute_fails or set(self._addresses) != set(self._of._tensors):
            self._lib.error(
                self._of_logger(), "IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (an illegal memory access)"
            )
            return False
        shapes = {name: self.get_tensor_shape(name) for name in self._of._tensors}
        self._lib.device.enqueue(stream_handle, lambda: self._run(shapes))
        return True

    def _of_logger(self) -> Any:
        return self._lib.behaviour.loggers[0]

    def _run(self, shapes: dict[str, tuple[int, ...]]) -> None:
        views = {name: self._view(name, shape) for name, shape in shapes.items()}
        inputs = {name: views[name] for name in self._of._inputs}
        names = [name for name in shapes if name not in inputs]
        for name, values in zip(names, self._of._session.run(names, inputs), strict=True):
            views[name][...] = values + np.float32(self._lib.behaviour.answers_off_by)

    def _view(self, name: str, shape: tuple[int, ...]) -> Any:
        values, address = int(np.prod(shape)), self._addresses[name]
        assert self._lib.device.owns(address, 4 * values), "an address outside of the device's memory"
        return np.ctypeslib.as_array((ctypes.c_float * values).from_address(address)).reshape(shape)


def _session(onnx: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
