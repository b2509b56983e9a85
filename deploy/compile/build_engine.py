"""The child process that builds one engine: `python -m deploy.compile.build_engine REQUEST.json`.

A build takes minutes and may be killed when memory runs out. So that its parent then still knows
how far it came, it reports what it does on standard output, one JSON object a line:

{"phase": NAME, "done": 0..1}   where it is
{"warning": TEXT}               it goes on, but not as it was asked to
{"error": TEXT}                 why it has failed

Its exit status is 0 when the plan is written.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.backends.cuda import open_gpu
from edge.backends.enginecache import BuildOptions
from edge.backends.tensorrt_editions import installed_edition
from edge.backends.tensorrt_library import import_tensorrt, library_log
from edge.errors import BackendError, one_line
from edge.files import write_whole

__all__ = ["BuildRequest", "build", "main"]

MIB = 1 << 20
Report = Callable[[Mapping[str, Any]], None]
OOM_SCORE = 800  # of 1000: the highest is ended first when memory runs out


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """Build the graph `onnx`, whose windows have `shape` (C, F, T), into the file `plan`.

    The file `timing_cache` is read and written.
    """

    onnx: Path
    plan: Path
    shape: tuple[int, ...]
    timing_cache: Path
    options: BuildOptions

    def as_json(self) -> str:
        """Return the request as JSON, which `parse` reads."""
        return json.dumps(dataclasses.asdict(self), default=str)

    @staticmethod
    def parse(text: str) -> BuildRequest:
        """Return the request that `as_json` has written."""
        values = json.loads(text)
        return BuildRequest(
            onnx=Path(values["onnx"]),
            plan=Path(values["plan"]),
            shape=tuple(values["shape"]),
            timing_cache=Path(values["timing_cache"]),
            options=BuildOptions(**values["options"]),
        )


def build(request: BuildRequest, report: Report) -> None:
    """Build and write the plan; raises `BackendError` when that fails."""
    edition, _ = installed_edition()
    if not edition.builds_without_gpu:
        open_gpu()  # before anything of TensorRT is touched
    trt = import_tensorrt()
    said = library_log(trt)
    said.taken()
    builder = trt.Builder(said.logger)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    # The network lives in the parser, which has to outlive the build.
    parser = trt.OnnxParser(network, said.logger)
    if not parser.parse(request.onnx.read_bytes()):
        raise BackendError(f"TensorRT cannot read {request.onnx.name}: {_parser_errors(parser)}")
    config = builder.create_builder_config()
    _limit(trt, config, request.options, report)
    config.add_optimization_profile(_profile(builder, network, request))
    cache = (
        _timing_cache(config, request.timing_cache, report) if edition.has_timing_cache else None
    )
    monitor = _monitor(trt, report)
    config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError(_why_not_built(said.taken()))
    write_whole(request.plan, bytes(plan), durable=True)
    if cache is not None:
        timing_cache = bytes(config.get_timing_cache().serialize())
        write_whole(request.timing_cache, timing_cache, durable=True)


def _limit(trt: Any, config: Any, options: BuildOptions, report: Report) -> None:
    """Set limits for a small board.

    Each is read back, because TensorRT ignores one that is out of range and does not say so.
    """
    wanted = {"WORKSPACE": options.workspace_mib * MIB, "TACTIC_DRAM": options.tactic_mib * MIB}
    for name, limit in wanted.items():
        pool = getattr(trt.MemoryPoolType, name)
        config.set_memory_pool_limit(pool, limit)
        taken = int(config.get_memory_pool_limit(pool))
        if taken != limit:
            report(
                {
                    "warning": (
                        f"TensorRT limits {name} to {taken // MIB} MiB, not to the "
                        f"{limit // MIB} MiB that were asked for"
                    )
                }
            )
    config.max_aux_streams = 0
    # With TF32, the answers would not be those of the bundle's fp32 network.
    config.clear_flag(trt.BuilderFlag.TF32)


def _profile(builder: Any, network: Any, request: BuildRequest) -> Any:
    if network.num_inputs != 1:
        raise BackendError(
            f"{request.onnx.name} has {network.num_inputs} inputs, not one; export the bundle again"
        )
    profile = builder.create_optimization_profile()
    smallest, usual, largest = request.options.profile(request.shape)
    profile.set_shape(network.get_input(0).name, smallest, usual, largest)
    return profile


def _timing_cache(config: Any, file: Path, report: Report) -> Any:
    """Give the builder what an earlier build measured, and return that cache.

    It is empty when another TensorRT or another device measured it.
    """
    for content in (file.read_bytes(), b"") if file.exists() else (b"",):
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return cache
        report({"warning": f"{file.name} is of another TensorRT or device and is begun anew"})
    return None


def _monitor(trt: Any, report: Report) -> Any:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        """Reports the share of the build that is done.

        Phases are nested: all the steps of a phase together are one step of the phase around it.
        """

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._phases: dict[str, tuple[int, int]] = {}  # name -> steps, steps done
            self._furthest = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases[phase_name] = max(1, int(num_steps)), 0
            report({"phase": phase_name, "done": self._done()})

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._phases:
                steps, _ = self._phases[phase_name]
                self._phases[phase_name] = steps, min(steps, int(step) + 1)
                report({"phase": phase_name, "done": self._done()})
            return True

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)

        def _done(self) -> float:
            """Return the share of the whole that is done, 0..1.

            It never falls, though a phase may end before the step around it counts as done.
            """
            done, share = 0.0, 1.0
            # They are in the order they began in: from the outermost to the innermost.
            for steps, finished in self._phases.values():
                done += share * finished / steps
                share /= steps
            self._furthest = max(self._furthest, round(min(done, 1.0), 4))
            return self._furthest

    return Monitor()


def _parser_errors(parser: Any) -> str:
    errors = [parser.get_error(i) for i in range(parser.num_errors)]
    said = [f"{one_line(error.desc())}{_node_of(error)}" for error in errors]
    return "; ".join(said) or "it does not say why"


def _node_of(error: Any) -> str:
    """Return the node that an error of the parser is about, where it names one."""
    operator, name = str(error.node_operator()), str(error.node_name())
    return f" (node {one_line(name)}, {one_line(operator)})" if operator else ""


def _why_not_built(lines: list[str]) -> str:
    text, said = " ".join(lines).lower(), f" ({lines[-1]})" if lines else ""
    if any(
        sign in text
        for sign in ("out of memory", "outofmemory", "failed_allocation", "insufficient memory")
    ):
        return (
            "the GPU's memory was not enough to build the engine; end what else uses it, or "
            f"lower --workspace-mib{said}"
        )
    if "workspace limit" in text or "workspace memory" in text:
        return f"the engine needs more memory than its builder may use; raise --workspace-mib{said}"
    return f"TensorRT could not build the engine{said}"


def _be_ended_first() -> None:
    """Have the kernel end this process, not the recorder, when memory runs out."""
    with suppress(OSError):  # not Linux, or not allowed
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE), encoding="ascii")


def main() -> None:
    """Build what the request in the file named by the argument asks for."""
    _be_ended_first()

    def report(what: Mapping[str, Any]) -> None:
        print(json.dumps(what), flush=True)

    try:
        build(BuildRequest.parse(Path(sys.argv[1]).read_text(encoding="utf-8")), report)
    except BackendError as exc:
        report({"error": str(exc)})
        sys.exit(1)


if __name__ == "__main__":
    main()
