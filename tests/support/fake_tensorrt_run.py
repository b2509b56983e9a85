"""The half of the fake `tensorrt` that runs: from a plan to answers."""

from __future__ import annotations

import ctypes
import json
from typing import Any

import numpy as np

from tests.support.fake_tensorrt_base import MAGIC, Strict, accept, session

__all__ = ["Runtime"]


class Runtime(Strict):
    def __init__(self, logger: Any) -> None:
        self._logger = accept(self._lib, logger)

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        lib, plan = self._lib, bytes(serialized_engine)
        complaint = (
            self._complaint(plan)
            if lib.behaviour.deserialize_says is None
            else lib.behaviour.deserialize_says
        )
        if complaint is not None:
            if complaint:
                lib.error(self._logger, complaint)
            return None
        header, _, onnx = plan[len(MAGIC) :].partition(b"\n")
        return lib.make(ICudaEngine, json.loads(header)["profile"], onnx)

    def _complaint(self, plan: bytes) -> str | None:
        """Return why the plan cannot be used, in TensorRT's own words."""
        lib = self._lib
        header, _, onnx = plan[len(MAGIC) :].partition(b"\n")
        if not plan.startswith(MAGIC) or json.loads(header)["size"] != len(onnx):
            return (
                "Error Code 1: Serialization (Serialization assertion magicTagRead == "
                "kMAGIC_TAG failed.Magic tag does not match)"
            )
        built = json.loads(header)
        if built["platform"] != lib.behaviour.platform:
            return (
                "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Platform "
                "specific tag mismatch detected.)"
            )
        if built["version"] != lib.version:
            return (
                "The engine plan file is not compatible with this version of TensorRT, expecting "
                "library version "
                f"{lib.version} got {built['version']}, please rebuild."
            )
        if tuple(built["compute_capability"]) != lib.device.compute_capability:
            here, there = (
                ".".join(map(str, cc))
                for cc in (lib.device.compute_capability, built["compute_capability"])
            )
            return (
                "The engine plan file is generated on an incompatible device, expecting "
                f"compute {here} got compute {there}"
            )
        return None


class ICudaEngine(Strict):
    def _begin(self, profile: dict[str, list[list[int]]], onnx: bytes) -> None:
        self._profile, self._session = profile, session(onnx)
        self._inputs = {tensor.name: tensor for tensor in self._session.get_inputs()}
        self._tensors = {
            **self._inputs,
            **{tensor.name: tensor for tensor in self._session.get_outputs()},
        }

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return str(list(self._tensors)[index])

    def get_tensor_mode(self, name: str) -> Any:
        return self._lib.enums["TensorIOMode"]["INPUT" if name in self._inputs else "OUTPUT"]

    def get_tensor_dtype(self, name: str) -> Any:
        return self._lib.enums["DataType"][
            "FLOAT" if self._tensors[name].type == "tensor(float)" else "HALF"
        ]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        return [tuple(shape) for shape in self._profile[name]]

    @property
    def device_memory_size_v2(self) -> int:
        return 1 << 20

    def create_execution_context(self, strategy: Any = None) -> Any:
        return None if self._lib.behaviour.no_context else self._lib.make(IExecutionContext, self)


class IExecutionContext(Strict):
    def _begin(self, engine: Any) -> None:
        self._of = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        smallest, _, largest = self._of._profile[name]
        fits = len(shape) == len(largest) and all(
            a <= n <= b for a, n, b in zip(smallest, shape, largest, strict=True)
        )
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
                self._of_logger(),
                (
                    "IExecutionContext::enqueueV3: Error Code 1: Cuda Runtime (an illegal memory "
                    "access)"
                ),
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
        assert self._lib.device.owns(address, 4 * values), (
            "an address outside of the device's memory"
        )
        return np.ctypeslib.as_array((ctypes.c_float * values).from_address(address)).reshape(shape)
