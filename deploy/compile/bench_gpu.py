"""`python -m deploy.compile.bench_gpu BUNDLE`: how fast every backend of this machine runs it.

Only the network is timed, at several batch sizes: latency is that of `infer`, from features in
memory, with the copies to the device and back. A backend that cannot run says why.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from edge.backends.base import Backend
from edge.backends.cuda import open_gpu
from edge.backends.enginecache import EngineCache, machine_of
from edge.backends.onnx import OnnxBackend
from edge.backends.tensorrt import TensorRtBackend
from edge.backends.tensorrt_library import import_tensorrt, library_version
from edge.bundle import Bundle, Network, load_bundle
from edge.config.config import load_config
from edge.errors import BackendError
from edge.terminal import FiniteRange

__all__ = ["main"]

BATCHES = (1, 8, 64, 512)
WARM_UP = 5


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--engines", type=click.Path(path_type=Path), help="Folder of compiled engines.")
@click.option(
    "--seconds",
    type=FiniteRange(min=0.1),
    default=3.0,
    show_default=True,
    help="Time for each measurement.",
)
def main(bundle: Path, engines: Path | None, seconds: float) -> None:
    """Print median latency, its 95th percentile and windows per second.

    There is a row for each backend, network of BUNDLE and batch size.
    """
    loaded = load_bundle(bundle)
    features = np.random.default_rng(0).random((max(BATCHES), *loaded.frontend.shape), np.float32)
    click.echo(
        "| backend | network | batch | median ms | 95 % ms | windows/s |\n|---|---|---|---|---|---|"
    )
    for name, network, opened in _openers(loaded, engines or load_config(None).model.engines):
        try:
            backend = opened()
        except BackendError as exc:
            click.echo(f"not run: {name} {network.name}: {exc}", err=True)
            continue
        for batch in BATCHES:
            times_ms = 1000 * _times_s(backend, features[:batch], seconds)
            median_ms, slow_ms = np.median(times_ms), np.percentile(times_ms, 95)
            click.echo(
                f"| {name} | {network.name} | {batch} | {median_ms:.2f} | {slow_ms:.2f} | "
                f"{1000 * batch / median_ms:.0f} |"
            )


def _openers(bundle: Bundle, folder: Path) -> Iterator[tuple[str, Network, Callable[[], Backend]]]:
    """Yield the name of each backend, a network it may run, and what opens it."""

    def compiled(network: Network, *, cuda_graph: bool) -> Backend:
        gpu = open_gpu()
        machine = machine_of(gpu, library_version(import_tensorrt()))
        engine = EngineCache(folder).find(network.path, machine)
        return TensorRtBackend(engine.plan, gpu=gpu, cuda_graph=cuda_graph)

    for network in bundle.networks_for("tensorrt"):
        yield "tensorrt", network, partial(compiled, network, cuda_graph=False)
        yield "tensorrt with a CUDA graph", network, partial(compiled, network, cuda_graph=True)
        yield "onnxruntime-cuda", network, partial(OnnxBackend, network.path, provider="cuda")
    for network in bundle.networks_for("onnx"):
        yield "onnxruntime-cpu", network, partial(OnnxBackend, network.path)


def _times_s(
    backend: Backend, features: NDArray[np.float32], seconds: float
) -> NDArray[np.float64]:
    """Return the time of each inference of `features` (n, C, F, T) within so many seconds."""
    times_s: list[float] = []
    for _ in range(WARM_UP):
        backend.infer(features)
    ends_s = time.perf_counter() + seconds
    while not times_s or time.perf_counter() < ends_s:
        began_s = time.perf_counter()
        backend.infer(features)
        times_s.append(time.perf_counter() - began_s)
    return np.array(times_s)


if __name__ == "__main__":
    main()
