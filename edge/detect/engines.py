"""Which engine runs a bundle's network here: the best that is there and gives the right answers.

TensorRT with an engine that was compiled on this very device, then ONNX Runtime on the GPU, then on
the CPU. Which step was taken, and why no better one, is logged and kept with the model: nothing is
silently slow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal

from edge.backends.base import Backend
from edge.backends.cuda import Gpu, open_gpu
from edge.backends.enginecache import CompiledEngine, EngineCache, machine_of
from edge.backends.onnx import OnnxBackend, cuda_provider_missing
from edge.backends.tensorrt_library import import_tensorrt, library_version
from edge.bundle import Bundle, Network
from edge.detect.ensemble import on_network_of
from edge.detect.layered import together
from edge.detect.model import EngineChoice, Model, TwoStepClassifier
from edge.detect.signal_health import HealthConfig
from edge.errors import BackendError, BundleError, ConfigError, EngineError, NoGpuError

__all__ = [
    "FOLDER",
    "BackendChoice",
    "EngineCandidate",
    "Record",
    "candidates",
    "load_model",
    "load_models",
]

BackendChoice = Literal["auto", "tensorrt", "cuda", "cpu"]
Kind = Literal["tensorrt", "cuda", "cpu"]
BEST_FIRST: tuple[Kind, ...] = ("tensorrt", "cuda", "cpu")
FOLDER = Path("engines")
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class EngineCandidate:
    """A way to run one network: the backend's name for people, and how to open it."""

    backend: str
    network: str
    open: Callable[[], Backend]

    @property
    def name(self) -> str:
        """Name for logs, `info` and detections."""
        return f"{self.backend}/{self.network}"


@dataclass(kw_only=True)
class Record:
    """What was tried and did not serve.

    `reasons` are of all that is not used, best first; `failed` of those should have served.
    """

    reasons: list[str] = field(default_factory=list)
    failed: int = 0

    def absent(self, what: str, reason: BackendError) -> None:
        """Note an engine that is not expected on this machine."""
        log.info("no %s: %s", what, reason)
        self.reasons.append(f"{what}: {reason}")

    def passed_over(self, what: str, reason: BackendError | BundleError) -> None:
        """Note an engine that should have served."""
        log.warning("%s is passed over: %s", what, reason)
        self.reasons.append(f"{what}: {reason}")
        self.failed += 1

    def choice(self, candidate: EngineCandidate) -> EngineChoice:
        """Return what is known of `candidate` as the one that is taken."""
        return EngineChoice(
            backend=candidate.backend,
            variant=candidate.network,
            passed_over=self.failed,
            why_not=tuple(self.reasons),
        )


class _NotHereError(BackendError):
    """An engine that is not expected on this machine."""


def load_model(
    bundle: Bundle,
    *,
    backend: BackendChoice = "auto",
    folder: Path = FOLDER,
    threads: int = 1,
    limits: HealthConfig | None = None,
    variant: str | None = None,
) -> Model:
    """Load the bundle on the best engine that proves itself here; `folder` has compiled ones.

    `variant` is the only network that will do, None: the best. Raises `ConfigError` with the
    reasons when a `backend` was chosen that cannot run it, else `BundleError` with that of the last
    engine.
    """
    record = Record()
    last: BackendError | BundleError | None = None
    found = candidates(bundle, backend=backend, folder=folder, threads=threads, record=record)
    for candidate in (one for one in found if variant in (None, one.network)):
        try:
            opened = candidate.open()
            return Model(bundle, opened, engine=record.choice(candidate), limits=limits)
        except (BackendError, BundleError) as exc:
            last = exc
            record.passed_over(candidate.name, exc)
    if last is not None and backend in ("auto", "cpu"):
        # The last was the reference: a network that fails there is no good anywhere.
        raise BundleError(f"{bundle.path}: {last}") if isinstance(last, BackendError) else last
    reason = f"cannot run here: {'; '.join(record.reasons)}"
    suggestion = "auto takes what there is"
    raise ConfigError(reason, key="backend", value=backend, suggestion=suggestion) from last


def load_models(
    bundles: Sequence[Bundle],
    *,
    backend: BackendChoice = "auto",
    folder: Path = FOLDER,
    limits: HealthConfig | None = None,
    variant: str | None = None,
) -> TwoStepClassifier:
    """Load bundles as `load_model` does; several judge together.

    A network that several have is loaded once, as the heads on it were made for it: in fp32.
    """
    load = partial(load_model, backend=backend, folder=folder, limits=limits, variant=variant)
    below: dict[str, Model] = {}
    for bundle in bundles:
        if bundle.trunk is not None and bundle.trunk_digest not in below:
            below[bundle.trunk_digest] = load(bundle)
    return together(
        [
            on_network_of(below[bundle.trunk_digest], bundle)
            if bundle.trunk_digest in below
            else load(bundle)
            for bundle in bundles
        ]
    )


def candidates(
    bundle: Bundle,
    *,
    backend: BackendChoice = "auto",
    folder: Path = FOLDER,
    threads: int = 1,
    record: Record | None = None,
) -> Iterator[EngineCandidate]:
    """Yield every engine of this machine for the bundle, best first.

    `record` takes notes of what is missing. The last is the fp32 network on the CPU, which is
    always there. Opens nothing, but may set a damaged engine aside.
    """
    record = record or Record()
    without_gpu = False
    for kind in BEST_FIRST if backend == "auto" else (backend,):
        try:
            yield from _OF_KIND[kind](bundle, folder, threads)
        except NoGpuError as exc:
            record.absent(kind, exc)
            without_gpu = True
        except _NotHereError as exc:
            if not without_gpu:  # it would be of no use
                record.absent(kind, exc)
        except BackendError as exc:
            record.passed_over(kind, exc)


def _tensorrt(bundle: Bundle, folder: Path, threads: int) -> list[EngineCandidate]:
    """Return the engines compiled for this machine.

    A network for which nothing was compiled is not missed when another was: `edge-deploy compile`
    has chosen.
    """
    gpu = open_gpu()  # before TensorRT is touched
    machine = machine_of(gpu, library_version(import_tensorrt()))
    cache, found = EngineCache(folder), []
    reason: EngineError | None = None
    for network in bundle.networks_for("tensorrt"):
        try:
            compiled = cache.find(network.path, machine)
        except EngineError as exc:
            reason = reason or exc
            continue
        opened = partial(_open_compiled, cache, compiled, gpu)
        found.append(EngineCandidate(backend="tensorrt", network=network.name, open=opened))
    if not found and reason is not None:
        raise reason
    return found


def _open_compiled(cache: EngineCache, compiled: CompiledEngine, gpu: Gpu) -> Backend:
    from edge.backends.tensorrt import TensorRtBackend

    try:
        return TensorRtBackend(compiled.plan, gpu=gpu)
    except EngineError:
        cache.set_aside(compiled.folder)
        raise


def _cuda(bundle: Bundle, folder: Path, threads: int) -> list[EngineCandidate]:
    """Return what ONNX Runtime can run on the GPU.

    fp16 is for it as it is for TensorRT; 8-bit graphs it would compute in fp32, only slower.
    """
    reason = cuda_provider_missing()
    if reason is not None:
        raise _NotHereError(reason)
    variants = bundle.manifest.variants
    return [
        _onnx_candidate(network, threads, "cuda")
        for network in bundle.networks_for("tensorrt")
        if network.name not in variants or variants[network.name].precision == "fp16"
    ]


def _cpu(bundle: Bundle, folder: Path, threads: int) -> list[EngineCandidate]:
    return [_onnx_candidate(network, threads, "cpu") for network in bundle.networks_for("onnx")]


def _onnx_candidate(
    network: Network, threads: int, provider: Literal["cpu", "cuda"]
) -> EngineCandidate:
    return EngineCandidate(
        backend=f"onnxruntime-{provider}",
        network=network.name,
        open=partial(OnnxBackend, network.path, threads=threads, provider=provider),
    )


_OF_KIND: dict[Kind, Callable[[Bundle, Path, int], list[EngineCandidate]]] = {
    "tensorrt": _tensorrt,
    "cuda": _cuda,
    "cpu": _cpu,
}
