"""A TensorFlow Lite file as operators and constants."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import BundleError, UserError
from edge.extras import how_to_install

__all__ = ["Operator", "TfliteFile"]

MAGIC = b"TFL3"
DAMAGE = (struct.error, IndexError, KeyError, TypeError, AttributeError, ValueError)
DTYPES = {0: np.float32, 1: np.float16, 2: np.int32}


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator: its `name` as TensorFlow Lite's, and the tensors that it takes and gives."""

    name: str
    inputs: tuple[int, ...]
    output: int
    options: Any


class TfliteFile:
    """The first graph of the file at `path`, as `content`; raises `BundleError` for another file.

    Raises `UserError` without the library that reads such files.
    """

    def __init__(self, path: Path, content: bytes) -> None:
        if content[4:8] != MAGIC:
            raise BundleError(f"{path}: is no TensorFlow Lite file")
        self._tflite = _library()
        self._path = path
        with self._whole():
            self._model = self._tflite.Model.GetRootAs(content, 0)
            self._graph = self._model.Subgraphs(0)
            self.tensors = int(self._graph.TensorsLength())

    @property
    def inputs(self) -> tuple[int, ...]:
        """The tensors that the graph takes."""
        with self._whole():
            return tuple(int(tensor) for tensor in self._graph.InputsAsNumpy())

    @property
    def outputs(self) -> tuple[int, ...]:
        """The tensors that the graph gives."""
        with self._whole():
            return tuple(int(tensor) for tensor in self._graph.OutputsAsNumpy())

    def operators(self) -> Iterator[Operator]:
        """Yield the operators in the order in which they run; raises `BundleError`."""
        with self._whole():
            codes = [
                self._model.OperatorCodes(i).BuiltinCode()
                for i in range(self._model.OperatorCodesLength())
            ]
            names = {code: name for name, code in vars(self._tflite.BuiltinOperator).items()}
            for i in range(self._graph.OperatorsLength()):
                operator = self._graph.Operators(i)
                yield Operator(
                    name=names[codes[operator.OpcodeIndex()]],
                    inputs=tuple(int(tensor) for tensor in operator.InputsAsNumpy()),
                    output=int(operator.Outputs(0)),
                    options=operator.BuiltinOptions(),
                )

    def options(self, operator: Operator, kind: str) -> Any:
        """Return the options of an operator, read as those of `kind`, such as `Conv2DOptions`."""
        with self._whole():
            options = getattr(self._tflite, kind)()
            options.Init(operator.options.Bytes, operator.options.Pos)
        return _Options(options, self._whole)

    def constant(self, tensor: int) -> NDArray[Any] | None:
        """Return the values of a constant, None for a tensor that is computed."""
        with self._whole():
            described = self._graph.Tensors(tensor)
            buffer = self._model.Buffers(described.Buffer())
            if not buffer.DataLength():
                return None
            dtype = DTYPES.get(described.Type())
            if dtype is None:
                raise BundleError(f"{self._path}: tensor {tensor} has a type that is not expected")
            values = np.frombuffer(buffer.DataAsNumpy().tobytes(), dtype)
            return values.reshape(self.shape(tensor))

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor as the file has it."""
        with self._whole():
            described = self._graph.Tensors(tensor)
            return tuple(int(described.Shape(i)) for i in range(described.ShapeLength()))

    def name(self, tensor: int) -> str:
        """Return the name of a tensor."""
        with self._whole():
            name: bytes = self._graph.Tensors(tensor).Name()
            return name.decode("utf-8", "replace")

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Take what reading beyond the end of the file raises for what it is."""
        try:
            yield
        except DAMAGE as exc:
            raise BundleError(f"{self._path}: is damaged or cut off ({exc})") from exc


class _Options:
    """Options whose values are read when they are asked for, and may be beyond the end then."""

    def __init__(self, options: Any, whole: Callable[[], AbstractContextManager[None]]) -> None:
        self._options = options
        self._whole = whole

    def __getattr__(self, name: str) -> Callable[[], int]:
        def read() -> int:
            with self._whole():
                return int(getattr(self._options, name)())

        return read


def _library() -> Any:
    try:
        import tflite
    except ImportError as exc:
        raise UserError(
            "reading a TensorFlow Lite file needs the package tflite",
            suggestion=how_to_install("importing"),
        ) from exc
    return tflite
