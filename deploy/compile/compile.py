"""`edge-deploy compile`: networks of a bundle as TensorRT engines of this very device, each proved
on the golden window.

The build is a child process, because it takes minutes and may be killed for want of memory. An
engine is put into use only when it gave the bundle's answers; a better network that fails is told,
and the next one is tried.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import IO, Any

import numpy as np

from deploy.compile.build_engine import Request
from edge.backends.cuda import Gpu, open_gpu
from edge.backends.enginecache import (
    PLAN,
    BuildOptions,
    CompiledEngine,
    EngineCache,
    EngineKey,
    machine_of,
    sha256_of,
)
from edge.backends.tensorrt import TensorRtBackend
from edge.backends.tensorrt_library import import_tensorrt
from edge.bundle import Bundle, Frontend, Network
from edge.errors import BackendError, EngineError
from edge.files import write_whole

__all__ = ["Compiler", "Outcome", "trtexec"]

TIMING_CACHE = "timing.cache"
TIMED_RUNS = 20
Say = Callable[[str], None]
Progress = Callable[[float, float, str], None]  # 0..1, seconds since the start, what is being done


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one network; `engine` None when it failed for `reason`."""

    network: str
    engine: CompiledEngine | None
    reason: str = ""
    parity: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Compiler:
    """Compiles for the GPU of this machine into `folder`; raises `NoGpuError` or `BackendError`
    where that cannot be.
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
        self.machine = machine_of(self.gpu, import_tensorrt().__version__)
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
        """The networks of the bundle, the fastest first, until one is good; all with `every`, only
        those of `names` if any.
        """
        for network in bundle.networks_for("tensorrt"):
            if names and network.name not in names:
                continue
            outcome = self._one(bundle, network, force=force)
            yield outcome
            if outcome.engine is not None and not every and not names:
                return

    def _one(self, bundle: Bundle, network: Network, *, force: bool) -> Outcome:
        key = self.key(bundle, network)
        present = None if force else self.cache.holds(key)
        try:
            if present is not None:
                parity = self._parity(present.plan, bundle, network)
                if parity["passed"]:
                    return Outcome(
                        network=network.name,
                        engine=present,
                        reason="is already there",
                        parity=parity,
                    )
                self.cache.set_aside(present.folder)
                self._say(
                    f"{network.name}: the engine that was there no longer gives the bundle's "
                    "answers; it is built again"
                )
        except EngineError as exc:
            self.cache.set_aside(self.cache.place(key))
            self._say(f"{network.name}: the engine that was there is set aside: {exc}")
        try:
            return self._built(bundle, network, key)
        except BackendError as exc:
            return Outcome(network=network.name, engine=None, reason=str(exc))

    def key(self, bundle: Bundle, network: Network) -> EngineKey:
        """All that the network's engine depends on here."""
        return EngineKey(
            onnx_sha256=sha256_of(network.path.read_bytes()),
            profile=self._options.profile(bundle.frontend.shape),
            options=self._options.names,
            machine=self.machine,
        )

    def request(self, bundle: Bundle, network: Network, plan: Path) -> Request:
        """What the child is asked to build."""
        timing_cache = self.cache.folder / TIMING_CACHE
        return Request(
            onnx=network.path,
            plan=plan,
            shape=bundle.frontend.shape,
            timing_cache=timing_cache,
            options=self._options,
        )

    def _built(self, bundle: Bundle, network: Network, key: EngineKey) -> Outcome:
        with self.cache.staging() as staging:
            staged = Path(staging, "engine")
            staged.mkdir()
            request = self.request(bundle, network, staged / PLAN)
            self._say(f"{network.name}: {trtexec(request)}")
            began_s = time.monotonic()
            run_child(
                request,
                Path(staging, "request.json"),
                progress=self._progress,
                say=self._say,
                timeout_s=self._timeout_s,
            )
            build_s = time.monotonic() - began_s
            parity = self._parity((staged / PLAN).read_bytes(), bundle, network)
            if not parity["passed"]:
                text = json.dumps(parity, indent=1, sort_keys=True)
                write_whole(staged / "parity.json", f"{text}\n", durable=True)
                aside = self.cache.set_aside(staged)
                return Outcome(
                    network=network.name,
                    engine=None,
                    parity=parity,
                    reason=_disparity(parity, aside),
                )
            engine = self.cache.keep(staged, key, build_s=build_s, parity=parity)
        return Outcome(
            network=network.name, engine=engine, reason=f"built in {build_s:.0f} s", parity=parity
        )

    def _parity(self, plan: bytes, bundle: Bundle, network: Network) -> dict[str, Any]:
        """The engine's answers to the golden window beside the bundle's, which it must meet as
        every engine must.
        """
        backend, golden = TensorRtBackend(plan, gpu=self.gpu), network.golden
        features = Frontend(bundle.frontend)(golden.samples)[np.newaxis]
        expected = golden.expected
        answers = dict(zip(expected, backend.infer_named(features, tuple(expected)), strict=True))
        again = backend.infer_named(features, tuple(expected))
        times_s = [_timed(backend, features) for _ in range(TIMED_RUNS)]
        same = all(answer.shape[1:] == expected[name].shape for name, answer in answers.items())
        # By numpy's own maximum, which a nan passes through.
        largest = (
            float(
                np.max(
                    [np.abs(answer[0] - expected[name]).max() for name, answer in answers.items()]
                )
            )
            if same
            else None
        )
        return {
            "bundle": bundle.digest,
            "network": network.name,
            "machine": dataclasses.asdict(self.machine),
            "largest_difference": largest,
            "tolerance": golden.tolerance,
            "repeats_itself": all(map(np.array_equal, again, answers.values())),
            "same_best_label": bool(
                same and int(np.argmax(answers["logits"])) == int(np.argmax(golden.logits))
            ),
            "median_ms": round(1000 * float(np.median(times_s)), 3),
            "passed": largest is not None and largest <= golden.tolerance,  # so that NaN fails too
        }


def trtexec(request: Request) -> str:
    """The command of NVIDIA's own tool that builds the same, for people who want it."""
    smallest, usual, largest = (
        "x".join(map(str, shape)) for shape in request.options.profile(request.shape)
    )
    limits = f"workspace:{request.options.workspace_mib}M,tacticDram:{request.options.tactic_mib}M"
    arguments = [
        "trtexec", f"--onnx={request.onnx}", f"--saveEngine={request.plan.name}", "--stronglyTyped", "--noTF32",
        f"--minShapes=features:{smallest}", f"--optShapes=features:{usual}", f"--maxShapes=features:{largest}",
        f"--memPoolSize={limits}", "--maxAuxStreams=0", f"--timingCacheFile={request.timing_cache}", "--skipInference",
    ]  # fmt: skip
    return shlex.join(arguments)


def run_child(
    request: Request, file: Path, *, progress: Progress, say: Say, timeout_s: float
) -> None:
    """Build in a process of its own; raises `BackendError` with what it said, or with how it
    ended.
    """
    file.write_text(request.as_json(), encoding="utf-8")
    began_s, error, phase = time.monotonic(), "", "begins"
    with TemporaryFile() as errors:
        command = [sys.executable, "-m", "deploy.compile.build_engine", str(file)]
        child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, errors="replace"
        )
        timer = Timer(timeout_s, child.kill)
        timer.start()
        try:
            assert child.stdout is not None
            for told in _told(child.stdout):
                if "warning" in told:
                    say(f"warning: {told['warning']}")
                error = str(told.get("error", error))
                if "done" in told:
                    phase = str(told["phase"])
                    progress(float(told["done"]), time.monotonic() - began_s, phase)
        except BaseException:  # Ctrl-C, or whoever draws the progress: no builder is left behind
            child.kill()
            raise
        finally:
            code = child.wait()
            late = not timer.is_alive()
            timer.cancel()
            if child.stdout is not None:
                child.stdout.close()
        if code != 0:
            errors.seek(0)
            last = errors.read().decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise BackendError(
                error or _how_it_ended(code, phase, last, timeout_s if late else None)
            )


def _told(stream: IO[str]) -> Iterator[dict[str, Any]]:
    """The child's lines; TensorRT's libraries print others."""
    for line in stream:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        if isinstance(told, dict):
            yield told


def _how_it_ended(code: int, phase: str, last: str, timeout_s: float | None) -> str:
    where = f"while it was at {phase!r}"
    if timeout_s is not None and code == -signal.SIGKILL:
        return f"the builder was ended after {timeout_s:g} s {where}; give it more with --timeout-s"
    if code == -signal.SIGKILL:
        return (
            f"the builder was killed {where}, most likely for want of memory: end what else "
            "runs, or lower --workspace-mib"
        )
    said = f" ({last})" if last else ""
    if code < 0:
        return f"the builder crashed with {signal.Signals(-code).name} {where}{said}"
    return f"the builder ended with code {code} {where}{said}"


def _disparity(parity: Mapping[str, Any], aside: Path | None) -> str:
    kept = f"; it is kept in {aside}" if aside is not None else ""
    if parity["largest_difference"] is None:
        return f"its answers have another shape than the bundle's, and it is not used{kept}"
    off, tolerance = parity["largest_difference"], parity["tolerance"]
    return (
        f"on the golden window it differs by {off:.3g}, more than its tolerance "
        f"{tolerance:.3g}, and is not used{kept}"
    )


def _timed(backend: TensorRtBackend, features: Any) -> float:
    began_s = time.perf_counter()
    backend.infer(features)
    return time.perf_counter() - began_s
