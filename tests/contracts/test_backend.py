"""What holds for every inference engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from deploy.compile.build_engine import BuildRequest, build
from edge.backends.base import Backend, NamedBackend
from edge.backends.cuda import open_gpu
from edge.backends.enginecache import BuildOptions
from edge.backends.onnx import OnnxBackend
from edge.backends.tensorrt import TensorRtBackend
from edge.backends.tensorrt_editions import TENSORRT_FOR_RTX, installed_edition
from edge.errors import BackendError
from edge.types import Array
from tests.support.backends import FixedBackend
from tests.support.bundles import LABELS, SPEC, choir_bundle, tiny_bundle
from tests.support.nvidia import Nvidia, on_a_machine, tensorrt_missing
from tests.support.real_tensorrt import RTX_TARGETS

Make = Callable[[Path, ExitStack], Backend]


def on_tensorrt(
    folder: Path,
    while_used: ExitStack,
    *,
    version: str,
    cuda_graph: bool = False,
    named: bool = False,
) -> Backend:
    """Open it on a fake of `version`; a batch of 7 is more than it takes at once."""
    while_used.enter_context(on_a_machine(Nvidia(version=version)))
    return compiled(folder, cuda_graph=cuda_graph, named=named)


def compiled(folder: Path, *, cuda_graph: bool = False, named: bool = False) -> TensorRtBackend:
    plan = folder / "engine.plan"
    request = BuildRequest(
        onnx=graph(folder, named=named),
        plan=plan,
        shape=SPEC.shape,
        timing_cache=folder / "timing",
        options=BuildOptions(largest_batch=4),
    )
    build(request, lambda what: None)
    return TensorRtBackend(plan.read_bytes(), gpu=open_gpu(), cuda_graph=cuda_graph)


def graph(folder: Path, *, named: bool) -> Path:
    """Return a graph with two outputs, or with all that a network may have."""
    bundle = (
        choir_bundle(folder / "choir", frame_threshold=0.5, attention=True)
        if named
        else tiny_bundle(folder / "tiny")
    )
    return bundle.model_path


BACKENDS: dict[str, Make] = {
    "onnx": lambda folder, _: OnnxBackend(tiny_bundle(folder / "tiny").model_path),
    "fixed": lambda folder, _: FixedBackend(
        channels=SPEC.shape[0], n_mels=SPEC.shape[1], labels=len(LABELS)
    ),
    "tensorrt-10.3": partial(on_tensorrt, version="10.3"),
    "tensorrt-11.4": partial(on_tensorrt, version="11.4"),
    "tensorrt-rtx-1.7": partial(on_tensorrt, version="RTX 1.7"),
    "tensorrt-graph": partial(on_tensorrt, version="10.3", cuda_graph=True),
}


NAMED: dict[str, Make] = {
    "onnx": lambda folder, _: OnnxBackend(graph(folder, named=True)),
    "tensorrt-10.3": partial(on_tensorrt, version="10.3", named=True),
    "tensorrt-11.4": partial(on_tensorrt, version="11.4", named=True),
    "tensorrt-rtx-1.7": partial(on_tensorrt, version="RTX 1.7", named=True),
    "tensorrt-graph": partial(on_tensorrt, version="10.3", cuda_graph=True, named=True),
}


def on_a_gpu(
    folder: Path, _: ExitStack, *, cuda_graph: bool = False, named: bool = False
) -> Backend:
    if (reason := tensorrt_missing()) is not None:
        pytest.skip(reason)
    edition = installed_edition()[0]
    gpu = open_gpu()
    if edition is TENSORRT_FOR_RTX and gpu.compute_capability not in RTX_TARGETS:
        pytest.skip(f"{edition.name} is not for {gpu.name} ({gpu.compute_capability})")
    return compiled(folder, cuda_graph=cuda_graph, named=named)


ON_A_GPU: dict[str, Make] = {
    "tensorrt": on_a_gpu,
    "tensorrt-with-a-graph": partial(on_a_gpu, cuda_graph=True),
}
NAMED_ON_A_GPU: dict[str, Make] = {
    name: partial(make, named=True)  # type: ignore[call-arg]
    for name, make in ON_A_GPU.items()
}


@pytest.fixture(
    params=[*BACKENDS, *(pytest.param(name, marks=pytest.mark.gpu) for name in ON_A_GPU)]
)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with ExitStack() as while_used:
        yield (BACKENDS | ON_A_GPU)[request.param](tmp_path, while_used)


def features(batch: int) -> Array:
    return np.random.default_rng(0).random((batch, *SPEC.shape), np.float32)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_outputs_have_a_row_for_each_window(backend: Backend, batch: int) -> None:
    embedding, logits = backend.infer(features(batch))
    assert embedding.ndim == 2
    assert len(embedding) == batch
    assert logits.shape == (batch, len(LABELS))
    assert embedding.dtype == logits.dtype == np.float32


def test_embeddings_have_length_one(backend: Backend) -> None:
    embedding, _ = backend.infer(features(3))
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)


def test_equal_input_gives_bit_equal_output(backend: Backend) -> None:
    first = [part.copy() for part in backend.infer(features(2))]
    second = backend.infer(features(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_input_is_left_alone(backend: Backend) -> None:
    given = features(1)
    backend.infer(given)
    np.testing.assert_array_equal(given, features(1))


def test_features_of_another_shape_are_a_backend_error(backend: Backend) -> None:
    with pytest.raises(BackendError):
        backend.infer(features(1)[:, :, :-1])


@pytest.fixture(
    params=[*NAMED, *(pytest.param(name, marks=pytest.mark.gpu) for name in NAMED_ON_A_GPU)]
)
def named(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NamedBackend]:
    with ExitStack() as while_used:
        opened = (NAMED | NAMED_ON_A_GPU)[request.param](tmp_path, while_used)
        assert isinstance(opened, NamedBackend)
        yield opened


@pytest.mark.parametrize("batch", [1, 7])
def test_outputs_are_named_in_any_order_and_are_what_infer_gives(
    named: NamedBackend, batch: int
) -> None:
    given = features(batch)
    attention, frames, logits = named.infer_named(given, ("attention", "frames", "logits"))
    _, mels, count = SPEC.shape
    assert attention.shape == (batch, mels, count)
    assert frames.shape == (batch, count, len(LABELS))
    assert attention.dtype == frames.dtype == np.float32
    np.testing.assert_allclose(
        attention, given[:, 0] / given[:, 0].sum(axis=(1, 2), keepdims=True), rtol=1e-5
    )
    np.testing.assert_allclose(frames.mean(axis=1), logits, rtol=1e-3, atol=1e-3)
    embedding, again = named.infer(given)  # which was not asked for before
    np.testing.assert_allclose(np.linalg.norm(embedding, axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(again, logits)
    for mine, theirs in zip(
        named.infer_named(given, ("embedding", "logits")), (embedding, logits), strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(named.infer_named(given, ("attention",))[0], attention)


def test_an_output_that_is_not_there_is_a_backend_error(named: NamedBackend) -> None:
    with pytest.raises(BackendError, match="loudness"):
        named.infer_named(features(1), ("logits", "loudness"))
