"""The few calls of the CUDA driver that an inference engine needs, over `cuda-bindings`.

Neither torch nor CUDA's runtime library is needed. Every function of the bindings returns a tuple
that begins with an error code, or raises when the driver's library is missing; here both are a
`BackendError`, and before a device is found a `NoGpuError`. `cuInit` comes before everything else,
because TensorRT ends the process where the driver is missing.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from edge.errors import BackendError, NoGpuError
from edge.extras import how_to_install
from edge.types import Array

__all__ = ["Buffer", "Gpu", "Stream", "open_gpu"]

DRIVER_LIBRARY = "libcuda.so.1"
FLOAT_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """The first device; its primary context is kept for the life of the process.

    CUDA's own runtime does the same.
    """

    name: str
    compute_capability: str
    driver: Any
    context: Any

    def make_current(self) -> None:
        """Make the context that of the calling thread.

        Every thread that calls CUDA needs it, and it costs next to nothing.
        """
        self.call("cuCtxSetCurrent", self.context)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the driver; return its result, a tuple of several, or None.

        Raises `BackendError`.
        """
        return _called(self.driver, name, *arguments)


class Stream:
    """A queue of work on the device."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        gpu.make_current()
        self.handle = gpu.call("cuStreamCreate", 0)
        _released_with(self, gpu, "cuStreamDestroy", self.handle)

    def wait(self) -> None:
        """Wait until everything in the stream is done; raises `BackendError` for what failed."""
        self._gpu.call("cuStreamSynchronize", self.handle)

    def recorded(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what `work` puts into this stream as a CUDA graph.

        Calling the result does the same in one launch.
        """
        mode = self._gpu.driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
        self._gpu.call("cuStreamBeginCapture", self.handle, mode)
        try:
            work()
        finally:  # a capture that is left open would make every later call fail
            graph = self._gpu.call("cuStreamEndCapture", self.handle)
        try:
            return _Graph(self._gpu, self._gpu.call("cuGraphInstantiate", graph, 0), self)
        finally:
            self._gpu.call("cuGraphDestroy", graph)


class _Graph:
    """A recorded piece of work, ready to be launched."""

    def __init__(self, gpu: Gpu, executable: Any, stream: Stream) -> None:
        self._gpu = gpu
        self._executable = executable
        self._stream = stream
        _released_with(self, gpu, "cuGraphExecDestroy", executable)

    def __call__(self) -> None:
        self._gpu.call("cuGraphLaunch", self._executable, self._stream.handle)


class Buffer:
    """Memory for `values` float32 on the device, and as much pinned on the host.

    `host` (values,) is a view of the pinned memory.
    """

    def __init__(self, gpu: Gpu, values: int) -> None:
        self._gpu = gpu
        gpu.make_current()
        size = values * FLOAT_BYTES
        self.device = gpu.call("cuMemAlloc", size)
        _released_with(self, gpu, "cuMemFree", self.device)
        self._pinned = int(gpu.call("cuMemHostAlloc", size, 0))
        _released_with(self, gpu, "cuMemFreeHost", self._pinned)
        self.host: Array = np.ctypeslib.as_array(
            (ctypes.c_float * values).from_address(self._pinned)
        )

    def upload(self, values: int, stream: Stream) -> None:
        """Put a copy of the first `values` from host to device into the stream."""
        self._gpu.call(
            "cuMemcpyHtoDAsync", self.device, self._pinned, values * FLOAT_BYTES, stream.handle
        )

    def download(self, values: int, stream: Stream) -> None:
        """Put a copy of the first `values` from device to host into the stream."""
        self._gpu.call(
            "cuMemcpyDtoHAsync", self._pinned, self.device, values * FLOAT_BYTES, stream.handle
        )


def open_gpu() -> Gpu:
    """Return the first CUDA device, ready for use by this thread.

    Raises `NoGpuError` where there is none, and `BackendError` where it cannot be used.
    """
    driver = _bindings()
    try:
        _called(driver, "cuInit", 0)
        count = _called(driver, "cuDeviceGetCount")
    except BackendError as exc:
        raise NoGpuError(f"no NVIDIA GPU: {exc}") from exc
    if count < 1:
        raise NoGpuError("no NVIDIA GPU: the driver finds no device")
    device = _called(driver, "cuDeviceGet", 0)
    gpu = Gpu(
        name=_device_name(driver, device),
        compute_capability=_compute_capability(driver, device),
        driver=driver,
        context=_called(driver, "cuDevicePrimaryCtxRetain", device),
    )
    gpu.make_current()
    return gpu


def _device_name(driver: ModuleType, device: Any) -> str:
    name = bytes(_called(driver, "cuDeviceGetName", 128, device))
    return name.partition(b"\0")[0].decode("utf-8", "replace")


def _compute_capability(driver: ModuleType, device: Any) -> str:
    attribute = driver.CUdevice_attribute
    major, minor = (
        _called(driver, "cuDeviceGetAttribute", wanted, device)
        for wanted in (
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR,
            attribute.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR,
        )
    )
    return f"{major}.{minor}"


def _bindings() -> ModuleType:
    try:
        import cuda.bindings.driver
    # The bindings look for the driver's library while they are imported, or later.
    except (ImportError, OSError, RuntimeError) as exc:
        if not _driver_is_installed():
            raise NoGpuError(f"no NVIDIA GPU: this machine has no {DRIVER_LIBRARY}") from exc
        reason = str(exc).strip().partition("\n")[0]
        raise BackendError(
            f"there is an NVIDIA driver, but cuda-bindings cannot be used ({reason}): "
            f"{how_to_install('tensorrt')}"
        ) from exc
    driver: ModuleType = cuda.bindings.driver
    return driver


def _driver_is_installed() -> bool:
    try:
        ctypes.CDLL(DRIVER_LIBRARY)
    except OSError:
        return False
    return True


def _called(driver: Any, name: str, *arguments: Any) -> Any:
    try:
        code, *results = getattr(driver, name)(*arguments)
    # The bindings raise many kinds when the driver's library cannot be found or is too old.
    except Exception as exc:
        reason = str(exc).strip().partition("\n")[0] or type(exc).__name__
        raise BackendError(f"CUDA: {name}: {reason}") from exc
    if int(code) != 0:
        raise BackendError(f"CUDA: {name}: {getattr(code, 'name', code)}")
    return results[0] if len(results) == 1 else tuple(results) or None


def _released_with(owner: object, gpu: Gpu, name: str, handle: Any) -> None:
    """Release `handle` when `owner` is collected, but not at exit: the driver may be gone then."""
    weakref.finalize(owner, _release, gpu, name, handle).atexit = False


def _release(gpu: Gpu, name: str, handle: Any) -> None:
    try:
        gpu.make_current()
        gpu.call(name, handle)
    except BackendError:
        pass  # a device that has failed refuses every call; there is nothing left to release
