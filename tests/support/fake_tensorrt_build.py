"""The half of the fake `tensorrt` that builds: from a graph to a plan."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import Any

from tests.support.fake_tensorrt_base import MAGIC, IHostMemory, Strict, accept, session

__all__ = ["Builder", "OnnxParser"]

MEMORY_LIMIT = 1 << 36


class Builder(Strict):
    def __init__(self, logger: Any) -> None:
        self._logger = accept(self._lib, logger, needs_device=not self._lib.is_for_rtx)

    def create_network(self, flags: int = 0) -> Any:
        return self._lib.make(INetworkDefinition, flags)

    def create_builder_config(self) -> Any:
        return self._lib.make(IBuilderConfig, self._logger)

    def create_optimization_profile(self) -> Any:
        return self._lib.make(IOptimizationProfile)

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        lib = self._lib
        strongly = 1 << lib.enums["NetworkDefinitionCreationFlag"].STRONGLY_TYPED
        assert lib.version.startswith("11") or network._flags & strongly, (
            "this program builds strongly typed networks only"
        )
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
            if step == 1:
                time.sleep(self._lib.behaviour.sleeps_s)
                if self._lib.behaviour.signal_at_step is not None:
                    os.kill(os.getpid(), self._lib.behaviour.signal_at_step)
            if not monitor.step_complete("Tactics", step):
                return False
        monitor.phase_finish("Tactics")
        done = monitor.step_complete("Building", 0) and monitor.step_complete("Building", 1)
        monitor.phase_finish("Building")
        return bool(done)


class INetworkDefinition(Strict):
    def _begin(self, flags: int) -> None:
        self._flags, self._onnx = flags, b""
        self._inputs: list[Any] = []
        self._outputs = 0

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return self._outputs

    def get_input(self, index: int) -> Any:
        return self._inputs[index]


class ITensor(Strict):
    def _begin(self, name: str, shape: tuple[int, ...]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "shape", shape)


class OnnxParser(Strict):
    def __init__(self, network: Any, logger: Any) -> None:
        self._network = network
        self._logger = accept(self._lib, logger, needs_device=not self._lib.is_for_rtx)
        self._errors: list[Any] = []

    def parse(self, model: Any, path: str | None = None) -> bool:
        try:
            parsed = session(bytes(model))
        except Exception as exc:
            self._errors.append(self._lib.make(ParserError, str(exc)))
            return False
        self._network._onnx = bytes(model)
        for tensor in parsed.get_inputs():
            shape = tuple(-1 if isinstance(n, str) else int(n) for n in tensor.shape)
            self._network._inputs.append(self._lib.make(ITensor, tensor.name, shape))
        self._network._outputs = len(parsed.get_outputs())
        return True

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> Any:
        return self._errors[index]


class ParserError(Strict):
    def _begin(self, text: str) -> None:
        self._text = text

    def desc(self) -> str:
        return self._text

    def node_name(self) -> str:
        return ""

    def node_operator(self) -> str:
        return ""


class IOptimizationProfile(Strict):
    def _begin(self) -> None:
        self._shapes: dict[str, list[list[int]]] = {}

    def set_shape(
        self, input: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]
    ) -> None:
        if not all(a <= b <= c for a, b, c in zip(min, opt, max, strict=True)):
            raise ValueError("shapes are not in order")
        self._shapes[input] = [list(min), list(opt), list(max)]


class IBuilderConfig(Strict):
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


class ITimingCache(Strict):
    def _begin(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> Any:
        return self._lib.make(IHostMemory, self._content)
