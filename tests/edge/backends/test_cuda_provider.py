"""ONNX Runtime's CUDA provider: used where it works, noticed where it has silently become the
CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from edge.backends.onnx import CUDA, OnnxBackend
from edge.bundle import Bundle
from edge.detect.engines import candidates, load_model
from edge.errors import BackendError, ConfigError
from tests.support.bundles import tiny_bundle
from tests.support.fake_cuda import Device
from tests.support.nvidia import Nvidia, on_a_machine


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return tiny_bundle(tmp_path / "tiny")


@contextmanager
def onnxruntime_gpu(*, works: bool) -> Iterator[None]:
    """The installed ONNX Runtime as the build with CUDA would be: it says what it runs on, which
    need not be what was asked.
    """
    import onnxruntime as real

    class Session(real.InferenceSession):  # type: ignore[misc]
        def __init__(self, path: str, options: Any, providers: list[Any]) -> None:
            self.asked = [name if isinstance(name, str) else name[0] for name in providers]
            super().__init__(path, options, providers=["CPUExecutionProvider"])

        def get_providers(self) -> list[str]:
            return self.asked if works else ["CPUExecutionProvider"]

    module = ModuleType("onnxruntime")
    module.__dict__.update({k: v for k, v in vars(real).items() if not k.startswith("__")})
    module.__dict__.update(
        InferenceSession=Session, get_available_providers=lambda: [CUDA, "CPUExecutionProvider"]
    )
    sys.modules["onnxruntime"] = module
    try:
        yield
    finally:
        sys.modules["onnxruntime"] = real


def test_a_build_without_cuda_is_told() -> None:
    with pytest.raises(BackendError, match="built without CUDA; onnxruntime-gpu"):
        OnnxBackend("model.onnx", provider="cuda")


def test_it_comes_between_tensorrt_and_the_cpu(bundle: Bundle, tmp_path: Path) -> None:
    with on_a_machine(Nvidia()), onnxruntime_gpu(works=True):
        names = [engine.name for engine in candidates(bundle, folder=tmp_path)]
        model = load_model(bundle, folder=tmp_path)
    assert names == ["onnxruntime-cuda/fp32", "onnxruntime-cpu/fp32"]
    # TensorRT is there and nothing was compiled for it
    assert (model.engine.backend, model.engine.passed_over) == ("onnxruntime-cuda", 1)


def test_a_fall_back_to_the_cpu_is_noticed(bundle: Bundle, tmp_path: Path) -> None:
    with (
        on_a_machine(Nvidia(device=Device(failing={"cuInit": "CUDA_ERROR_NO_DEVICE"}))),
        onnxruntime_gpu(works=False),
    ):
        model = load_model(bundle, folder=tmp_path)
        assert (model.engine.backend, model.engine.passed_over) == ("onnxruntime-cpu", 1)
        assert "fallen back to the CPU" in model.engine.why_not[-1]
        with pytest.raises(
            ConfigError, match=r"backend = cuda: cannot run here: .*fallen back to the CPU"
        ):
            load_model(bundle, backend="cuda", folder=tmp_path)


@pytest.mark.gpu
def test_on_a_gpu_it_answers_as_the_bundle_does(bundle: Bundle) -> None:
    try:
        OnnxBackend(bundle.model_path, provider="cuda")
    except BackendError as exc:
        pytest.skip(f"no CUDA provider: {exc}")
    assert load_model(bundle, backend="cuda").engine.backend == "onnxruntime-cuda"
