"""Which engine runs which network of a bundle on this machine: the best that is there and gives the right answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from edge.backends.base import Backend
from edge.backends.onnx import OnnxBackend
from edge.bundle import FP32, Bundle, Network
from edge.bundle.manifest import PRECISIONS
from edge.ensemble import Ensemble
from edge.errors import BackendError, BundleError
from edge.health import HealthLimits
from edge.model import Judge, Model

__all__ = ["Engine", "engines", "load_model", "load_models"]

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


def load_model(bundle: Bundle, *, threads: int = 1, limits: HealthLimits | None = None) -> Model:
    """The bundle on the best engine that proves itself here; raises the last one's error when none does."""
    passed_over = 0
    *better, last = engines(bundle, threads=threads)
    for engine in better:
        try:
            return _model(bundle, engine, limits, passed_over)
        except (BackendError, BundleError) as exc:
            passed_over += 1
            log.warning("%s is passed over: %s", engine.name, exc)
    return _model(bundle, last, limits, passed_over)


def load_models(bundles: Sequence[Bundle], *, limits: HealthLimits | None = None) -> Judge:
    """As `load_model`; several bundles judge together."""
    models = [load_model(bundle, limits=limits) for bundle in bundles]
    return models[0] if len(models) == 1 else Ensemble(models)


def engines(bundle: Bundle, *, threads: int = 1) -> Iterator[Engine]:
    """Every engine of this machine for the bundle, best first; the last is the fp32 network on the CPU, which is always there."""
    for network in _networks(bundle, "onnx"):
        yield Engine(backend="onnxruntime-cpu", network=network.name, open=_cpu(network, threads))


def _cpu(network: Network, threads: int) -> Callable[[], Backend]:
    return lambda: OnnxBackend(network.path, threads=threads)


def _networks(bundle: Bundle, backend: str) -> list[Network]:
    """Those made for the backend, the fastest first; the last is fp32."""
    variants = sorted(bundle.manifest.variants.items(), key=lambda pair: (PRECISIONS.index(pair[1].precision), pair[0]))
    return [bundle.networks[name] for name, variant in variants if backend in variant.runs_on] + [bundle.networks[FP32]]


def _model(bundle: Bundle, engine: Engine, limits: HealthLimits | None, passed_over: int) -> Model:
    return Model(bundle, engine.open(), network=engine.network, backend_name=engine.backend, passed_over=passed_over, limits=limits)
