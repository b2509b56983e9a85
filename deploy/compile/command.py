"""The command `edge-deploy compile`, which people and edge-compile.service run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from deploy.compile.compile import Compiler, Outcome
from edge.backends.enginecache import BuildOptions
from edge.bundle import Bundle, load_bundles
from edge.bundle.places import SHIPPED, named_bundle
from edge.config.config import ModelConfig, load_config
from edge.errors import BackendError, ConfigError, NoGpuError
from edge.terminal import FiniteRange, aside

__all__ = ["compile_command"]

SAY_EVERY_S = 15.0


@click.command("compile")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="Configuration of a recorder: take its bundle and folder of engines.",
)
@click.option(
    "--engines",
    type=click.Path(path_type=Path),
    help="Folder for the engines, instead of the configured one.",
)
@click.option(
    "--network",
    "names",
    multiple=True,
    help="Compile this network of the bundle, such as fp32, instead of the fastest.",
)
@click.option(
    "--every",
    is_flag=True,
    help="Compile every network, not only the fastest that gives the right answers.",
)
@click.option("--force", is_flag=True, help="Build engines again that exist already.")
@click.option(
    "--largest-batch",
    type=click.IntRange(1, 1024),
    default=8,
    show_default=True,
    help="Windows that the network takes at once, at most.",
)
@click.option(
    "--workspace-mib",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Memory that a layer may use, in MiB.",
)
@click.option(
    "--timeout-s",
    type=FiniteRange(min=1),
    default=3600.0,
    show_default=True,
    help="End a build that takes longer, in seconds.",
)
def compile_command(**asked: Any) -> None:
    """Make TensorRT engines of BUNDLE for the GPU of this machine, and prove them.

    Run it on the recorder itself: an engine belongs to the device, the TensorRT and the JetPack it
    was made with. It takes minutes, ten on a small board, and need not be repeated until one of
    these changes; an engine that exists already is proved again and kept. Without BUNDLE, the
    configured bundle is compiled, or the one that ships with the program. The recorder uses an
    engine only when its answers to the bundle's golden window were within the tolerance.

    Exit codes: 0 an engine is ready; 1 none could be made; 2 this machine, the bundle or an option
    was at fault.
    """
    if not _compile(_Request(**asked)):
        raise click.exceptions.Exit(1)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """The argument and the options of the command."""

    bundle: Path | None
    file: Path | None
    engines: Path | None
    names: tuple[str, ...]
    every: bool
    force: bool
    largest_batch: int
    workspace_mib: int
    timeout_s: float


def _compile(asked: _Request) -> bool:
    """Compile and print what came of it; return False when no engine is ready and one is wanted."""
    chosen = load_config(asked.file).model
    is_configured = asked.file is not None and asked.bundle is None
    if is_configured and chosen.backend not in ("auto", "tensorrt"):
        click.echo(f"nothing to compile: model.backend is {chosen.backend}")
        return True
    bundles = _networks(asked, chosen)
    for bundle in bundles:
        _refuse_unknown(bundle, asked.names)
    compiler = _compiler(asked, asked.engines or chosen.engines)
    here = compiler.machine
    click.echo(
        f"{here.device}, compute capability {here.compute_capability}, TensorRT {here.tensorrt}"
    )
    ready = [_compiled(bundle, compiler, asked) for bundle in bundles]
    return all(ready)


def _networks(asked: _Request, chosen: ModelConfig) -> list[Bundle]:
    """Return what is to be compiled, each network once: heads share one, which is then fp32."""
    words = (asked.bundle,) if asked.bundle else chosen.bundles or (chosen.bundle,)
    paths = [named_bundle(word) if word else SHIPPED / "default" for word in words]
    by_network: dict[Path, Bundle] = {}
    for bundle in load_bundles(paths, trusted=chosen.trusted()):
        if bundle.trunk is not None or bundle.model_path not in by_network:
            by_network[bundle.model_path] = bundle
    return list(by_network.values())


def _compiled(bundle: Bundle, compiler: Compiler, asked: _Request) -> bool:
    """Compile a bundle's network, print what came of it, and return whether an engine is ready."""
    ready = 0
    for outcome in compiler.compile(
        bundle, names=asked.names, every=asked.every, force=asked.force
    ):
        _show(outcome)
        ready += outcome.engine is not None
    if not ready:
        aside(
            "no engine is ready: the recorder will run the network by ONNX Runtime, which is slower"
        )
    return ready > 0


def _compiler(asked: _Request, folder: Path) -> Compiler:
    options = BuildOptions(largest_batch=asked.largest_batch, workspace_mib=asked.workspace_mib)
    try:
        return Compiler(
            folder,
            options=options,
            say=aside,
            progress=_ProgressLines(),
            timeout_s=asked.timeout_s,
        )
    except NoGpuError as exc:
        raise ConfigError(
            f"{exc}; an engine can only be compiled on the device that is to run it"
        ) from exc
    except BackendError as exc:
        raise ConfigError(str(exc)) from exc


def _show(outcome: Outcome) -> None:
    """Print what became of a network; a failure goes to standard error."""
    if outcome.engine is None:
        aside(f"{outcome.network}: FAILED: {outcome.reason}")
        return
    parity = outcome.parity
    click.echo(
        f"{outcome.network}: {outcome.reason}; off by {parity['largest_difference']:.2g}, "
        f"{parity['tolerance']:.2g} allowed; "
        f"{parity['median_ms']:g} ms a window; {outcome.engine.folder}"
    )


def _refuse_unknown(bundle: Bundle, names: tuple[str, ...]) -> None:
    known = [network.name for network in bundle.networks_for("tensorrt")]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"--network {name}: {bundle.path} has no such network for TensorRT (it has "
                f"{', '.join(known)})"
            )


class _ProgressLines:
    """Prints progress now and then, in whole lines, which the journal keeps, too."""

    def __init__(self) -> None:
        self._shown_s = -SAY_EVERY_S

    def __call__(self, done: float, since_s: float, phase: str) -> None:
        """Print a line, unless the last one was printed only a moment ago."""
        if since_s < self._shown_s:  # another build has begun
            self._shown_s = -SAY_EVERY_S
        if since_s - self._shown_s < SAY_EVERY_S:
            return
        self._shown_s = since_s
        left = (
            f", about {since_s * (1 - done) / done:.0f} s to go"
            if done > 0.02
            else ", this takes minutes"
        )
        aside(f"{done:4.0%} after {since_s:.0f} s{left}: {phase}")
