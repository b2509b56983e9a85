"""A fake of `cuda.bindings.driver` for `edge.backends.cuda`, with a device of ordinary memory.

It is strict where a mistake crashes the real one: nothing works before `cuInit` or from a thread
without a context, work in a stream is done only when somebody waits for it, and memory that was
given back is gone.
"""

# ruff: noqa: N801, N802 - the names are NVIDIA's
from __future__ import annotations

import ctypes
import enum
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

__all__ = ["PARAMETERS", "Device", "fake_driver"]

# The functions there are, with the number of their parameters.
PARAMETERS = {
    "cuInit": 1,
    "cuDeviceGetCount": 0,
    "cuDeviceGet": 1,
    "cuDeviceGetName": 2,
    "cuDeviceGetAttribute": 2,
    "cuDeviceTotalMem": 1,
    "cuDevicePrimaryCtxRetain": 1,
    "cuCtxSetCurrent": 1,
    "cuStreamCreate": 1,
    "cuStreamDestroy": 1,
    "cuStreamSynchronize": 1,
    "cuStreamBeginCapture": 2,
    "cuStreamEndCapture": 1,
    "cuGraphInstantiate": 2,
    "cuGraphLaunch": 2,
    "cuGraphDestroy": 1,
    "cuGraphExecDestroy": 1,
    "cuMemAlloc": 1,
    "cuMemFree": 1,
    "cuMemHostAlloc": 2,
    "cuMemFreeHost": 1,
    "cuMemcpyHtoDAsync": 4,
    "cuMemcpyDtoHAsync": 4,
}
CONTEXT = "the primary context"
Work = Callable[[], None]


class CUresult(enum.IntEnum):
    CUDA_SUCCESS = 0
    CUDA_ERROR_INVALID_VALUE = 1
    CUDA_ERROR_OUT_OF_MEMORY = 2
    CUDA_ERROR_NOT_INITIALIZED = 3
    CUDA_ERROR_NO_DEVICE = 100
    CUDA_ERROR_INVALID_CONTEXT = 201
    CUDA_ERROR_INVALID_HANDLE = 400
    CUDA_ERROR_ILLEGAL_ADDRESS = 700
    CUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803


class CUdevice_attribute(enum.IntEnum):
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76


class CUstreamCaptureMode(enum.IntEnum):
    CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1


@dataclass
class _Queue:
    waiting: list[Work] = field(default_factory=list)
    recording: list[Work] | None = None


@dataclass
class Device:
    """A GPU.

    `failing` names calls and the error that each is to answer with, `calls` counts those made.
    """

    name: str = "Orin (fake)"
    compute_capability: tuple[int, int] = (8, 7)
    memory_mib: int = 7620
    failing: dict[str, str] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    initialised: bool = False
    memory: dict[int, Any] = field(default_factory=dict)
    queues: dict[int, _Queue] = field(default_factory=dict)
    graphs: dict[int, list[Work]] = field(default_factory=dict)
    handles: Any = field(default_factory=lambda: itertools.count(1))
    of_thread: threading.local = field(default_factory=threading.local)

    def enqueue(self, stream: int, work: Work) -> None:
        """Add work to the stream, or to the recording of it that is being made."""
        queue = self.queues[stream]
        (queue.waiting if queue.recording is None else queue.recording).append(work)

    def owns(self, address: int, size: int) -> bool:
        """Whether so many bytes from there are of one allocation."""
        return any(
            start <= address and address + size <= start + len(block)
            for start, block in self.memory.items()
        )


class _Refused(Exception):  # noqa: N818 - a signal within this file
    def __init__(self, code: CUresult) -> None:
        self.code = code


def fake_driver(device: Device) -> ModuleType:
    """The module; any name outside of `PARAMETERS` and three enums is an AttributeError."""
    module = ModuleType("cuda.bindings.driver")
    functions = _Functions(device)
    for name, count in PARAMETERS.items():
        setattr(module, name, _answering(device, name, count, getattr(functions, name)))
    for kind in (CUresult, CUdevice_attribute, CUstreamCaptureMode):
        setattr(module, kind.__name__, kind)
    return module


def _answering(
    device: Device, name: str, count: int, function: Callable[..., Any]
) -> Callable[..., tuple[Any, ...]]:
    def answer(*arguments: Any) -> tuple[Any, ...]:
        if len(arguments) != count:
            raise TypeError(f"{name} takes {count} arguments, not {len(arguments)}")
        device.calls[name] = device.calls.get(name, 0) + 1
        if name in device.failing:
            return (CUresult[device.failing[name]], None)
        if name != "cuInit" and not device.initialised:
            return (CUresult.CUDA_ERROR_NOT_INITIALIZED, None)
        if (
            not name.startswith(("cuInit", "cuDevice", "cuCtx"))
            and getattr(device.of_thread, "context", None) != CONTEXT
        ):
            return (CUresult.CUDA_ERROR_INVALID_CONTEXT, None)
        try:
            result = function(*arguments)
        except _Refused as exc:
            return (exc.code, None)
        return (CUresult.CUDA_SUCCESS,) if result is None else (CUresult.CUDA_SUCCESS, result)

    return answer


def _move(destination: int, source: int, size: int) -> None:
    ctypes.memmove(destination, source, size)


class _Functions:
    """What each does when nothing is in its way."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def cuInit(self, flags: int) -> None:
        self._device.initialised = True

    def cuDeviceGetCount(self) -> int:
        return 1

    def cuDeviceGet(self, ordinal: int) -> int:
        return ordinal

    def cuDeviceGetName(self, length: int, dev: int) -> bytes:
        return self._device.name.encode().ljust(length, b"\0")

    def cuDeviceGetAttribute(self, attrib: CUdevice_attribute, dev: int) -> int:
        return self._device.compute_capability[
            attrib - CUdevice_attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
        ]

    def cuDeviceTotalMem(self, dev: int) -> int:
        return self._device.memory_mib << 20

    def cuDevicePrimaryCtxRetain(self, dev: int) -> str:
        return CONTEXT

    def cuCtxSetCurrent(self, ctx: str) -> None:
        self._device.of_thread.context = ctx

    def cuStreamCreate(self, flags: int) -> int:
        handle = next(self._device.handles)
        self._device.queues[handle] = _Queue()
        return int(handle)

    def cuStreamDestroy(self, stream: int) -> None:
        self._queue(stream)
        del self._device.queues[stream]

    def cuStreamSynchronize(self, stream: int) -> None:
        queue = self._queue(stream)
        if queue.recording is not None:
            raise _Refused(CUresult.CUDA_ERROR_INVALID_VALUE)
        waiting, queue.waiting = queue.waiting, []
        for work in waiting:
            work()

    def cuStreamBeginCapture(self, stream: int, mode: CUstreamCaptureMode) -> None:
        self._queue(stream).recording = []

    def cuStreamEndCapture(self, stream: int) -> int:
        queue, handle = self._queue(stream), next(self._device.handles)
        if queue.recording is None:
            raise _Refused(CUresult.CUDA_ERROR_INVALID_VALUE)
        self._device.graphs[handle], queue.recording = queue.recording, None
        return int(handle)

    def cuGraphInstantiate(self, graph: int, flags: int) -> int:
        handle = next(self._device.handles)
        self._device.graphs[handle] = self._device.graphs[graph]
        return int(handle)

    def cuGraphLaunch(self, executable: int, stream: int) -> None:
        self._queue(stream).waiting += self._device.graphs[executable]

    def cuGraphDestroy(self, graph: int) -> None:
        del self._device.graphs[graph]

    def cuGraphExecDestroy(self, executable: int) -> None:
        del self._device.graphs[executable]

    def cuMemAlloc(self, size: int) -> int:
        if size == 0:
            raise _Refused(CUresult.CUDA_ERROR_INVALID_VALUE)
        if size > self._device.memory_mib << 20:
            raise _Refused(CUresult.CUDA_ERROR_OUT_OF_MEMORY)
        block = (ctypes.c_byte * size)()
        self._device.memory[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def cuMemFree(self, address: int) -> None:
        if self._device.memory.pop(address, None) is None:
            raise _Refused(CUresult.CUDA_ERROR_INVALID_VALUE)

    def cuMemHostAlloc(self, size: int, flags: int) -> int:
        return self.cuMemAlloc(size)

    def cuMemFreeHost(self, address: int) -> None:
        self.cuMemFree(address)

    def cuMemcpyHtoDAsync(self, destination: int, source: int, size: int, stream: int) -> None:
        self._copy(destination, source, size, stream)

    def cuMemcpyDtoHAsync(self, destination: int, source: int, size: int, stream: int) -> None:
        self._copy(destination, source, size, stream)

    def _copy(self, destination: int, source: int, size: int, stream: int) -> None:
        self._queue(stream)
        if not (self._device.owns(destination, size) and self._device.owns(source, size)):
            raise _Refused(CUresult.CUDA_ERROR_ILLEGAL_ADDRESS)
        self._device.enqueue(stream, partial(_move, destination, source, size))

    def _queue(self, stream: int) -> _Queue:
        if stream not in self._device.queues:
            raise _Refused(CUresult.CUDA_ERROR_INVALID_HANDLE)
        return self._device.queues[stream]
