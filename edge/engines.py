"""Which engine runs which network of a bundle on this machine: the best that is there and gives the right answers.

TensorRT with an engine that was compiled on this very device, then ONNX Runtime on the GPU, then on the CPU. Which step was taken,
and why no better one, is logged and kept with the model: nothing is silently slow.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from edge.backends.base import Backend
from edge.backends.cuda import Gpu, open_gpu
from edge.backends.enginecache import Engine as CompiledEngine
from edge.backends.enginecache import EngineCache, machine_of
from edge.backends.onnx import OnnxBackend, cuda_provider_missing
from edge.backends.tensorrt_library import import_tensorrt
from edge.bundle import Bundle, Network
from edge.errors import BackendError, BundleError, ConfigError, EngineError, NoGpuError
from edge.health import HealthLimits
from edge.model import Model

__all__ = ["FOLDER", "BackendChoice", "Engine", "Offer", "engines", "load_model", "offer"]

BackendChoice = Literal["auto", "tensorrt", "cuda", "cpu"]
Kind = Literal["tensorrt", "cuda", "cpu"]
BEST_FIRST: tuple[Kind, ...] = ("tensorrt", "cuda", "cpu")
FOLDER = Path("engines")
log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A way to run one network: the backend's name for people, and how to open it."""

    backend: str
    network: str
    open: Callable[[], Backend]

    @property
    def name(self) -> str:
        """For logs, `info` and detections."""
        return f"{self.backend}/{self.network}"


@dataclass(frozen=True, kw_only=True)
class Offer:
    """The engines of a machine, best first; `missing` says why other kinds are not among them, and `failed` of those should be."""

    engines: tuple[Engine, ...]
    missing: tuple[str, ...]
    failed: int


class _NotHereError(BackendError):
    """Nobody would expect it here."""


def load_model(
    bundle: Bundle,
    *,
    backend: BackendChoice = "auto",
    folder: Path = FOLDER,
    threads: int = 1,
    limits: HealthLimits | None = None,
) -> Model:
    """The bundle on the best engine that proves itself here; `folder` has the compiled ones.

    Raises `ConfigError` with the reasons when a `backend` was chosen that cannot run it, else the last engine's error.
    """
    offered = offer(bundle, backend=backend, folder=folder, threads=threads)
    why_not, passed_over = list(offered.missing), offered.failed
    for engine in offered.engines:
        try:
            opened = engine.open()
            return Model(
                bundle,
                opened,
                network=engine.network,
                backend_name=engine.backend,
                passed_over=passed_over,
                why_not=tuple(why_not),
                limits=limits,
            )
        except (BackendError, BundleError) as exc:
            if engine is offered.engines[-1] and engine.backend == "onnxruntime-cpu":
                raise
            passed_over += 1
            why_not.append(f"{engine.name}: {exc}")
            log.warning("%s is passed over: %s", engine.name, exc)
    raise ConfigError(f"backend {backend} cannot run here: {'; '.join(why_not)} (auto takes what there is)")


def engines(bundle: Bundle, *, backend: BackendChoice = "auto", folder: Path = FOLDER, threads: int = 1) -> Iterator[Engine]:
    """Every engine of this machine for the bundle, best first; the last is the fp32 network on the CPU, which is always there."""
    yield from offer(bundle, backend=backend, folder=folder, threads=threads).engines


def offer(bundle: Bundle, *, backend: BackendChoice = "auto", folder: Path = FOLDER, threads: int = 1) -> Offer:
    """What there is, and why there is no more; opens none of it, but may set a damaged engine aside."""
    found: list[Engine] = []
    missing: list[str] = []
    failed = 0
    for kind in BEST_FIRST if backend == "auto" else (backend,):
        try:
            found += _OF_KIND[kind](bundle, folder, threads)
        except (NoGpuError, _NotHereError) as exc:
            log.info("no %s: %s", kind, exc)
            missing.append(f"{kind}: {exc}")
        except BackendError as exc:
            log.warning("%s is passed over: %s", kind, exc)
            missing.append(f"{kind}: {exc}")
            failed += 1
    return Offer(engines=tuple(found), missing=tuple(missing), failed=failed)


def _tensorrt(bundle: Bundle, folder: Path, threads: int) -> list[Engine]:
    """A network for which nothing was compiled is not missed when another was: `edge-deploy compile` has chosen."""
    gpu = open_gpu()  # before TensorRT is touched
    machine = machine_of(gpu, import_tensorrt().__version__)
    cache, found = EngineCache(folder), []
    reason: EngineError | None = None
    for network in bundle.networks_for("tensorrt"):
        try:
            compiled = cache.find(network.path, machine)
        except EngineError as exc:
            reason = reason or exc
            continue
        found.append(Engine(backend="tensorrt", network=network.name, open=partial(_open_compiled, cache, compiled, gpu)))
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


def _cuda(bundle: Bundle, folder: Path, threads: int) -> list[Engine]:
    """fp16 is for it as it is for TensorRT; 8-bit graphs it would compute in fp32, only slower."""
    reason = cuda_provider_missing()
    if reason is not None:
        raise _NotHereError(reason)
    variants = bundle.manifest.variants
    networks = [n for n in bundle.networks_for("tensorrt") if n.name not in variants or variants[n.name].precision == "fp16"]
    return [Engine(backend="onnxruntime-cuda", network=n.name, open=partial(_open_onnx, n, threads, "cuda")) for n in networks]


def _cpu(bundle: Bundle, folder: Path, threads: int) -> list[Engine]:
    networks = bundle.networks_for("onnx")
    return [Engine(backend="onnxruntime-cpu", network=n.name, open=partial(_open_onnx, n, threads, "cpu")) for n in networks]


def _open_onnx(network: Network, threads: int, provider: Literal["cpu", "cuda"]) -> Backend:
    return OnnxBackend(network.path, threads=threads, provider=provider)


_OF_KIND: dict[Kind, Callable[[Bundle, Path, int], list[Engine]]] = {"tensorrt": _tensorrt, "cuda": _cuda, "cpu": _cpu}
