"""How fast the recorder's backends run the same networks, exported as ONNX."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch

from deploy.compile.build_engine import BuildRequest
from deploy.compile.builder import run_builder
from edge.backends.base import Backend
from edge.backends.cuda import open_gpu
from edge.backends.enginecache import BuildOptions
from edge.backends.onnx import OnnxBackend
from edge.backends.tensorrt import TensorRtBackend
from edge.backends.tensorrt_library import import_tensorrt
from edge.errors import BackendError, UserError
from tests.support.gpu.inference import Row, Subject, difference
from tests.support.gpu.plan import Plan
from tests.support.gpu.timing import host_s
from train.export.export import to_onnx

__all__ = ["engine_rows"]

BUILD_S = 120.0
WORKSPACE_MIB = 4096  # a card of a workstation, not a small board
Opener = Callable[[Path], Backend]


def engine_rows(subject: Subject, plan: Plan, folder: Path) -> Iterator[Row]:
    """Measure each backend at every batch size; one that is not there is a row that says so.

    Their time is from features in memory to answers in memory, as a recorder's is.
    """
    folder.mkdir(parents=True)
    graph = folder / "model.onnx"
    network = subject.network
    device = next(network.parameters()).device
    graph.write_bytes(to_onnx(network.cpu(), subject.recipe.frontend))
    network.to(device)
    yield from _rows("ONNX Runtime, one CPU thread", OnnxBackend, graph, subject, plan, (1,))
    cuda = partial(OnnxBackend, provider="cuda")
    yield from _rows("ONNX Runtime, CUDA", cuda, graph, subject, plan, plan.batches)
    for way, as_graph in (("TensorRT", False), ("TensorRT, CUDA graph", True)):
        opener = partial(_compiled, subject=subject, largest=max(plan.batches), as_graph=as_graph)
        yield from _rows(way, opener, graph, subject, plan, plan.batches)


def _rows(
    way: str, opener: Opener, graph: Path, subject: Subject, plan: Plan, batches: tuple[int, ...]
) -> Iterator[Row]:
    try:
        backend = opener(graph)
    except (BackendError, UserError) as exc:
        yield Row(way=way, note=f"not run: {exc}")
        return
    off = difference(_answers(backend, subject.windows), subject.exact)
    for batch in batches:
        try:
            yield _row(way, backend, subject, batch, off, plan.seconds)
        except (BackendError, UserError) as exc:
            yield Row(way=way, batch=batch, note=f"not run: {exc}")


def _row(
    way: str, backend: Backend, subject: Subject, batch: int, off: float, seconds: float
) -> Row:
    features = [torch.rand(batch, *subject.recipe.frontend.shape).numpy() for _ in range(2)]
    # A backend waits for its answers.
    time_s = host_s(
        lambda i: backend.infer(features[i % 2]), torch.device("cpu"), seconds, warm_up=2
    )
    return Row(way=way, batch=batch, host_s=time_s, difference=off)


def _answers(backend: Backend, windows: torch.Tensor) -> tuple[torch.Tensor, ...]:
    embedding, logits = backend.infer(windows.cpu().numpy())
    return torch.from_numpy(embedding), torch.from_numpy(logits)


def _compiled(graph: Path, *, subject: Subject, largest: int, as_graph: bool) -> Backend:
    """Build the engine, unless it is there already, and open it."""
    gpu = open_gpu()
    import_tensorrt()
    plan = graph.with_suffix(".plan")
    if not plan.exists():
        request = BuildRequest(
            onnx=graph,
            plan=plan,
            shape=subject.recipe.frontend.shape,
            timing_cache=graph.with_suffix(".timing"),
            options=BuildOptions(largest_batch=largest, workspace_mib=WORKSPACE_MIB),
        )
        run_builder(
            request,
            graph.with_suffix(".json"),
            progress=lambda done, since_s, phase: None,
            say=lambda line: print(line, file=sys.stderr),
            timeout_s=BUILD_S,
        )
    return TensorRtBackend(plan.read_bytes(), gpu=gpu, cuda_graph=as_graph)
