"""Networks of a bundle as TensorRT engines of this device, each proved on the golden window.

An engine is put into use only when it gave the bundle's answers. A faster network that fails is
reported, and the next one is tried.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.compile.build_engine import BuildRequest
from deploy.compile.builder import Progress, Say, run_builder, trtexec
from deploy.compile.parity import disparity, parity_of
from edge.backends.cuda import Gpu, open_gpu
from edge.backends.enginecache import (
    PLAN,
    BuildOptions,
    CompiledEngine,
    EngineCache,
    EngineKey,
    machine_of,
    write_parity,
)
from edge.backends.tensorrt_editions import installed_edition
from edge.backends.tensorrt_library import import_tensorrt, library_version
from edge.bundle import Bundle, Network
from edge.bundle.digest import sha256_of
from edge.errors import BackendError, EngineError

__all__ = ["Compiler", "Outcome"]

TIMING_CACHE = "timing.cache"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one network; `engine` is None when it failed for `reason`."""

    network: str
    engine: CompiledEngine | None
    reason: str = ""
    parity: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Compiler:
    """Compiles networks into `folder` for the GPU of this machine.

    Raises `NoGpuError` where there is none, and `BackendError` where TensorRT cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        *,
        options: BuildOptions,
        say: Say,
        progress: Progress,
        timeout_s: float = 3600.0,
    ) -> None:
        self.gpu: Gpu = open_gpu()  # before TensorRT is touched
        self.machine = machine_of(self.gpu, library_version(import_tensorrt()))
        self.cache = EngineCache(folder)
        self._options = options
        self._say = say
        self._progress = progress
        self._timeout_s = timeout_s

    def compile(
        self,
        bundle: Bundle,
        *,
        names: tuple[str, ...] = (),
        every: bool = False,
        force: bool = False,
    ) -> Iterator[Outcome]:
        """Compile networks of the bundle, the fastest first, until one gives the right answers.

        With `every` all of them are compiled, with `names` those. `force` builds an engine again
        that is there already.
        """
        for network in bundle.networks_for("tensorrt"):
            if names and network.name not in names:
                continue
            outcome = self._outcome(bundle, network, force=force)
            yield outcome
            if outcome.engine is not None and not every and not names:
                return

    def _outcome(self, bundle: Bundle, network: Network, *, force: bool) -> Outcome:
        key = self._key(bundle, network)
        present = None if force else self.cache.holds(key)
        if present is not None:
            parity = self._parity_again(present, bundle, network)
            if parity is not None:
                return Outcome(
                    network=network.name, engine=present, reason="is already there", parity=parity
                )
        try:
            return self._built(bundle, network, key)
        except BackendError as exc:
            return Outcome(network=network.name, engine=None, reason=str(exc))

    def _parity_again(
        self, present: CompiledEngine, bundle: Bundle, network: Network
    ) -> dict[str, Any] | None:
        """Prove an engine of an earlier run; set it aside and return None when it fails."""
        try:
            parity = self._parity(present.plan, bundle, network)
        except EngineError as exc:
            self.cache.set_aside(present.folder)
            self._say(f"{network.name}: the engine that was there is set aside: {exc}")
            return None
        if parity["passed"]:
            return parity
        self.cache.set_aside(present.folder)
        self._say(
            f"{network.name}: the engine that was there no longer gives the bundle's answers; it "
            "is built again"
        )
        return None

    def _built(self, bundle: Bundle, network: Network, key: EngineKey) -> Outcome:
        with self.cache.staging() as staging:
            staged = Path(staging, "engine")
            staged.mkdir()
            build_s = self._build(bundle, network, staged / PLAN, Path(staging, "request.json"))
            parity = self._parity((staged / PLAN).read_bytes(), bundle, network)
            if not parity["passed"]:
                write_parity(staged, parity)
                reason = disparity(parity, self.cache.set_aside(staged))
                return Outcome(network=network.name, engine=None, reason=reason, parity=parity)
            engine = self.cache.keep(staged, key, build_s=build_s, parity=parity)
        return Outcome(
            network=network.name, engine=engine, reason=f"built in {build_s:.0f} s", parity=parity
        )

    def _build(self, bundle: Bundle, network: Network, plan: Path, file: Path) -> float:
        """Build the network into `plan`, and return how many seconds that took."""
        request = BuildRequest(
            onnx=network.path,
            plan=plan,
            shape=bundle.frontend.shape,
            timing_cache=self.cache.folder / TIMING_CACHE,
            options=self._options,
        )
        if installed_edition()[0].has_trtexec:
            self._say(f"{network.name}: {trtexec(request)}")
        began_s = time.monotonic()
        run_builder(
            request, file, progress=self._progress, say=self._say, timeout_s=self._timeout_s
        )
        return time.monotonic() - began_s

    def _parity(self, plan: bytes, bundle: Bundle, network: Network) -> dict[str, Any]:
        return parity_of(plan, bundle, network, gpu=self.gpu, machine=self.machine)

    def _key(self, bundle: Bundle, network: Network) -> EngineKey:
        """Return all that the network's engine depends on here."""
        return EngineKey(
            onnx_sha256=sha256_of(network.path.read_bytes()),
            profile=self._options.profile(bundle.frontend.shape),
            options=self._options.names,
            machine=self.machine,
        )
