"""TensorRT on an NVIDIA GPU: runs an engine that was compiled on this very device.

Neither torch nor a CUDA toolkit is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from edge.backends.base import OUTPUTS
from edge.backends.cuda import Buffer, Gpu, Stream
from edge.backends.tensorrt_library import import_tensorrt, library_log, refusal
from edge.errors import BackendError, EngineError
from edge.types import Array

__all__ = ["TensorRtBackend"]


class TensorRtBackend:
    """The engine in `plan`, run on `gpu`.

    Buffers for its largest batch are pinned once; a larger batch goes through in parts.
    `cuda_graph` launches all that a batch takes as one piece of work, which pays where thousands of
    windows are judged a second. Raises `EngineError` for a plan that cannot be used here, and
    `BackendError` where memory is short.
    """

    def __init__(self, plan: bytes, *, gpu: Gpu, cuda_graph: bool = False) -> None:
        trt = import_tensorrt()
        self._gpu = gpu
        gpu.make_current()
        self._log = library_log(trt)
        self._log.taken()
        self._runtime = trt.Runtime(self._log.logger)  # must outlive its engine
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise refusal(self._log.taken())
        self._input, self._shape, self._outputs = self._check_tensors(trt)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise self._failure(
                "has not the memory to run the engine; end other programs that use it"
            )
        self._stream = Stream(gpu)
        self._buffers = self._place_buffers()
        self._batch = 0
        self._as_graph = cuda_graph
        self._recorded: tuple[int, tuple[str, ...], Callable[[], None]] | None = None

    @property
    def largest_batch(self) -> int:
        """Most windows that go through at once."""
        return self._shape[0]

    def infer(self, features: Array) -> tuple[Array, Array]:
        """See `Backend.infer`."""
        embedding, logits = self.infer_named(features, OUTPUTS)
        return embedding, logits

    def infer_named(self, features: Array, names: Sequence[str]) -> tuple[Array, ...]:
        """See `NamedBackend.infer_named`; only the outputs called `names` are copied back."""
        self._check_request(features, names)
        # The thread that infers need not be the one that loaded the engine.
        self._gpu.make_current()
        wanted = tuple(names)
        step = self.largest_batch
        parts = [self._infer(features[i : i + step], wanted) for i in range(0, len(features), step)]
        return tuple(np.concatenate(outputs) for outputs in zip(*parts, strict=True))

    def _check_request(self, features: Array, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._outputs:
                raise BackendError(
                    f"TensorRT: the engine has no output {name}, only {', '.join(self._outputs)}"
                )
        if (
            features.ndim != len(self._shape)
            or features.shape[1:] != self._shape[1:]
            or not len(features)
        ):
            takes = ", ".join(str(n) for n in self._shape[1:])
            raise BackendError(
                f"TensorRT: features of shape {features.shape} do not fit the engine, which takes "
                f"(B, {takes})"
            )

    def _infer(self, features: Array, wanted: tuple[str, ...]) -> list[Array]:
        batch = len(features)
        self._log.taken()
        if batch != self._batch:
            if not self._context.set_input_shape(self._input, tuple(features.shape)):
                raise self._failure(f"does not take a batch of {batch}")
            self._batch = batch
        shapes = {
            name: tuple(int(n) for n in self._context.get_tensor_shape(name))
            for name in (self._input, *wanted)
        }
        sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
        self._buffers[self._input].host[: features.size] = features.ravel()
        self._launch(batch, sizes, wanted)
        self._stream.wait()
        return [
            self._buffers[name].host[: sizes[name]].reshape(shapes[name]).copy() for name in wanted
        ]

    def _launch(self, batch: int, sizes: dict[str, int], wanted: tuple[str, ...]) -> None:
        def enqueue() -> None:
            self._buffers[self._input].upload(sizes[self._input], self._stream)
            if not self._context.execute_async_v3(int(self._stream.handle)):
                raise self._failure("could not run the engine")
            for name in wanted:
                self._buffers[name].download(sizes[name], self._stream)

        if not self._as_graph:
            return enqueue()
        # One at a time: a change of shape may move what it points to.
        if self._recorded is None or self._recorded[:2] != (batch, wanted):
            # At its first run TensorRT settles what depends on the shape, which must not be a part
            # of the recording.
            enqueue()
            self._stream.wait()
            self._recorded = batch, wanted, self._stream.recorded(enqueue)
        return self._recorded[2]()

    def _check_tensors(self, trt: Any) -> tuple[str, tuple[int, ...], tuple[str, ...]]:
        """Return name and largest shape of the input, and the outputs' names.

        Raises `EngineError` where the engine was not made from a bundle.
        """
        engine = self._engine
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        outputs = tuple(
            name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT
        )
        if len(inputs) != 1 or not set(OUTPUTS) <= set(outputs):
            raise EngineError(
                f"its tensors are {', '.join(names)}, not one input with {' and '.join(OUTPUTS)}; "
                "compile it again"
            )
        for name in (inputs[0], *outputs):
            if engine.get_tensor_dtype(name) != trt.DataType.FLOAT:
                raise EngineError(f"its tensor {name} is not float32; export the bundle again")
        _, _, largest = engine.get_tensor_profile_shape(inputs[0], 0)
        return inputs[0], tuple(int(n) for n in largest), outputs

    def _place_buffers(self) -> dict[str, Buffer]:
        """Allocate a buffer for each tensor's largest batch, and give the context its address."""
        if not self._context.set_input_shape(self._input, self._shape):
            raise self._failure("does not take the largest batch of its own profile")
        buffers = {}
        for name in (self._input, *self._outputs):
            values = int(np.prod([int(n) for n in self._context.get_tensor_shape(name)]))
            buffers[name] = Buffer(self._gpu, values)
            if not self._context.set_tensor_address(name, int(buffers[name].device)):
                raise self._failure(f"does not take the address of {name}")
        return buffers

    def _failure(self, what: str) -> BackendError:
        lines = self._log.taken()
        return BackendError(f"TensorRT {what}" + (f" ({lines[-1]})" if lines else ""))
