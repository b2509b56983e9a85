"""How fast PyTorch runs the networks: eager and as a CUDA graph, in three precisions."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from tests.support.gpu.counting import Work, work_of
from tests.support.gpu.plan import LABELS, Measured, Plan
from tests.support.gpu.timing import Precision, computing_in, device_s, host_s
from train.learning.members import member_network
from train.networks.ensemble import NetworkEnsemble
from train.recipe.recipe import Recipe

__all__ = ["TOLERANCES", "Row", "Subject", "difference", "subject_of", "torch_rows"]

Infer = Callable[[Tensor], tuple[Tensor, ...]]
BEFORE_CAPTURE = 3  # runs in which the libraries choose and allocate
ROTATED_BYTES = 200 << 20  # more than any cache holds
# Of the norm of the difference to that of the answers in float64.
TOLERANCES: dict[Precision, float] = {"fp32": 1e-3, "TF32": 3e-2, "fp16": 5e-2}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A network on the device, the features of two windows, and the exact answers to them."""

    title: str
    recipe: Recipe
    network: nn.Module
    work: Work
    windows: Tensor
    exact: tuple[Tensor, ...]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A way to run a network, at a batch size; `note` says why there are no times.

    `host_s` is from features in memory to answers in memory, `device_s` with both on the device.
    `difference` is that to the exact answers.
    """

    way: str
    precision: Precision = "fp32"
    batch: int = 0
    host_s: float | None = None
    device_s: float | None = None
    difference: float | None = None
    note: str = ""

    @property
    def is_wrong(self) -> bool:
        """Whether the answers differ by more than they may; NaN does."""
        return self.difference is not None and not self.difference <= TOLERANCES[self.precision]


@torch.no_grad()
def subject_of(measured: Measured, root: Path, device: torch.device) -> Subject:
    """Build the network of a recipe with random weights, and its exact answers on the CPU."""
    recipe = measured.load(root)
    torch.manual_seed(recipe.seed)
    members = [member_network(recipe, LABELS) for _ in range(recipe.members)]
    network = NetworkEnsemble(members) if len(members) > 1 else members[0]
    network = network.to(device)
    windows = torch.rand(4, *recipe.frontend.shape, device=device)
    with computing_in("fp32"):
        network.train()(windows)  # so that its normalisations are of such features
    network.eval()
    exact = copy.deepcopy(network).cpu().double()(windows[:2].cpu().double())
    return Subject(
        title=measured.title,
        recipe=recipe,
        network=network,
        work=work_of(network, windows[:2]),
        windows=windows[:2],
        exact=tuple(exact),
    )


def difference(answers: tuple[Tensor, ...], exact: tuple[Tensor, ...]) -> float:
    """Return the largest norm of a difference to the exact answers, relative to theirs."""
    return max(
        float((ours.cpu().double() - theirs).norm() / theirs.norm())
        for ours, theirs in zip(answers, exact, strict=True)
    )


def torch_rows(subject: Subject, plan: Plan, device: torch.device) -> Iterator[Row]:
    """Measure every way of PyTorch's at every batch size."""
    ways: list[tuple[str, Precision]] = [("PyTorch, eager", "fp32")]
    if device.type == "cuda":
        graphs: tuple[Precision, ...] = ("fp32", "TF32", "fp16")
        ways += [("PyTorch, CUDA graph", precision) for precision in graphs]
    for batch in plan.batches:
        for way, precision in ways:
            try:
                row = _row(subject, way, precision, batch, plan.seconds, device)
            except torch.cuda.OutOfMemoryError:
                row = Row(way=way, precision=precision, batch=batch, note="out of memory")
            torch.cuda.empty_cache()  # of the graph, too
            yield row


@torch.no_grad()
def _row(
    subject: Subject,
    way: str,
    precision: Precision,
    batch: int,
    seconds: float,
    device: torch.device,
) -> Row:
    given = _inputs(subject, batch, device)
    with computing_in(precision):
        infer = _eager(subject.network, precision)
        off = difference(infer(subject.windows), subject.exact)
        if way != "PyTorch, eager":
            infer = _captured(infer, given[0])
            answers = infer(_padded(subject.windows, batch))
            off = difference(
                tuple(a[: len(subject.windows)] for a in answers), _cut(subject, batch)
            )
        device_time = device_s(lambda i: infer(given[i % len(given)]), device, seconds)
        on_host = [features.cpu() for features in given]
        given.clear()

        def whole(i: int) -> list[Tensor]:
            answers = infer(on_host[i % len(on_host)].to(device))
            return [answer.cpu() for answer in answers]

        host_time = host_s(whole, device, seconds)
    return Row(
        way=way,
        precision=precision,
        batch=batch,
        host_s=host_time,
        device_s=device_time,
        difference=off,
    )


def _inputs(subject: Subject, batch: int, device: torch.device) -> list[Tensor]:
    """Return different random features (batch, channels, bands, frames), more than a cache holds.

    On the CPU two do.
    """
    shape = (batch, *subject.recipe.frontend.shape)
    enough = math.ceil(ROTATED_BYTES / (4 * math.prod(shape))) if device.type == "cuda" else 2
    return [torch.rand(shape, device=device) for _ in range(min(16, max(2, enough)))]


def _eager(network: nn.Module, precision: Precision) -> Infer:
    if precision != "fp16":
        return lambda windows: tuple(network(windows))
    half = copy.deepcopy(network).half()
    return lambda windows: tuple(answer.float() for answer in half(windows.half()))


def _captured(infer: Infer, features: Tensor) -> Infer:
    """Return the network recorded once as a CUDA graph for this batch size, and replayed.

    It is warmed up on a stream of its own, which capturing needs. The graph has the addresses of
    the weights, and does not keep them: `infer` stays as long as what is returned.
    """
    given = features.clone()
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(BEFORE_CAPTURE):
            infer(given)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        answers = infer(given)
    for answer in answers:
        answer.fill_(torch.nan)  # what the graph does not write is seen

    def replay(windows: Tensor) -> tuple[Tensor, ...]:
        given.copy_(windows)
        graph.replay()
        return answers

    return _Recorded(replay, infer)


class _Recorded:
    """A replay that keeps what was recorded."""

    def __init__(self, replay: Infer, recorded: Infer) -> None:
        self._replay, self._recorded = replay, recorded

    def __call__(self, windows: Tensor) -> tuple[Tensor, ...]:
        return self._replay(windows)


def _padded(windows: Tensor, batch: int) -> Tensor:
    """Return the windows as a batch of that size: the first of them, or with others behind them."""
    more = max(0, batch - len(windows))
    return torch.cat([windows, torch.rand(more, *windows.shape[1:], device=windows.device)])[:batch]


def _cut(subject: Subject, batch: int) -> tuple[Tensor, ...]:
    return tuple(answer[:batch] for answer in subject.exact)
