"""`python -m train.commands.bench_torch RUN`: how fast a run's network is in PyTorch; no test.

Eager and as a CUDA graph, at several batch sizes, from features in memory to answers, as `python -m
deploy.compile.bench_gpu` measures the engines of a recorder. The ratio to the chip's limit takes
what the chip can do from the command line, because no library knows it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from train.learning.run import load_run

__all__ = ["main"]

BATCHES = (1, 8, 64)
WARM_UP = 5
Infer = Callable[[Tensor], tuple[Tensor, Tensor]]


@click.command()
@click.argument("folder", metavar="RUN", type=click.Path(path_type=Path))
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    help="Time for each measurement.",
)
@click.option(
    "--peak-tflops",
    type=click.FloatRange(min=0, min_open=True),
    help="What this chip can do in fp32, for the ratio to its limit.",
)
@torch.no_grad()
def main(folder: Path, seconds: float, peak_tflops: float | None) -> None:
    """Print median latency, windows per second and share of the chip's limit of RUN's network."""
    run = load_run(folder)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = run.network.to(device).eval()
    features = torch.from_numpy(
        np.random.default_rng(0).random((max(BATCHES), *run.recipe.frontend.shape), np.float32)
    )
    flops = _flops_per_window(network, features[:1].to(device))
    if device.type == "cpu":
        click.echo("not run: CUDA graphs: this machine has no CUDA device", err=True)
    click.echo(f"{flops / 2e6:.0f} million multiply-adds a window, on {_name(device)}")
    click.echo("| how | batch | median ms | windows/s | of the limit |\n|---|---|---|---|---|")
    for batch in BATCHES:
        for how, infer in _ways(network, features[:batch], device):
            median_s = _median_s(infer, features[:batch], seconds)
            share = (
                f"{100 * flops * batch / median_s / (peak_tflops * 1e12):.1f} %"
                if peak_tflops
                else "–"
            )
            click.echo(
                f"| {how} | {batch} | {1000 * median_s:.2f} | {batch / median_s:.0f} | {share} |"
            )


def _ways(
    network: nn.Module, features: Tensor, device: torch.device
) -> Iterator[tuple[str, Infer]]:
    def eager(window: Tensor) -> tuple[Tensor, Tensor]:
        embedding, logits = network(window.to(device))
        return embedding.cpu(), logits.cpu()

    yield "PyTorch, eager", eager
    if device.type == "cuda":
        yield "PyTorch, CUDA graph", _captured(network, features, device)


def _captured(network: nn.Module, features: Tensor, device: torch.device) -> Infer:
    """Return the network recorded once as a CUDA graph for this batch size, and replayed.

    It is warmed up on a stream of its own, which capturing needs.
    """
    given = features.to(device)
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UP):
            network(given)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        embedding, logits = network(given)

    def replay(window: Tensor) -> tuple[Tensor, Tensor]:
        given.copy_(window)
        graph.replay()
        return embedding.cpu(), logits.cpu()

    return replay


def _median_s(infer: Infer, features: Tensor, seconds: float) -> float:
    times_s: list[float] = []
    for _ in range(WARM_UP):
        infer(features)
    ends_s = time.perf_counter() + seconds
    while not times_s or time.perf_counter() < ends_s:
        began_s = time.perf_counter()
        infer(features)  # ends with a copy to the host, which waits for the device
        times_s.append(time.perf_counter() - began_s)
    return float(np.median(times_s))


def _flops_per_window(network: nn.Module, features: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        network(features)
    return int(counter.get_total_flops())


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"


if __name__ == "__main__":
    main()
