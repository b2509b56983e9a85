"""The command `edge-deploy compile`: what a person, or edge-compile.service, gives and sees."""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from pathlib import Path

import click

from deploy.compile.compile import Compiler, Outcome
from edge.backends.enginecache import BuildOptions
from edge.bundle import Bundle, load_bundle
from edge.config.config import load_config
from edge.errors import BackendError, ConfigError, NoGpuError
from edge.terminal import aside

__all__ = ["compile_command"]

SAY_EVERY_S = 15.0


@click.command("compile")
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "--config",
    "file",
    type=click.Path(path_type=Path),
    help="A recorder's configuration: its bundle, its engines.",
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
    help="A network of the bundle, such as fp32, instead of the fastest.",
)
@click.option(
    "--every",
    is_flag=True,
    help="Every network, not only the fastest that gives the right answers.",
)
@click.option("--force", is_flag=True, help="Build also what is already there.")
@click.option(
    "--largest-batch",
    type=click.IntRange(1, 1024),
    default=8,
    show_default=True,
    help="Windows that go through at once.",
)
@click.option(
    "--workspace-mib",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="MiB that a layer may use.",
)
@click.option(
    "--timeout-s",
    type=click.FloatRange(min=1),
    default=3600.0,
    show_default=True,
    help="A longer build is ended.",
)
def compile_command(  # noqa: PLR0913 - one for each option
    *,
    bundle: Path | None,
    file: Path | None,
    engines: Path | None,
    names: tuple[str, ...],
    every: bool,
    force: bool,
    largest_batch: int,
    workspace_mib: int,
    timeout_s: float,
) -> None:
    """Make TensorRT engines of BUNDLE for the GPU of this machine, and prove them.

    Run it on the recorder itself: an engine belongs to the device, the TensorRT and the JetPack it
    was made with. It takes minutes, ten on a small board, and need not be repeated until one of
    these changes; what is there already is proved again and kept. Without BUNDLE it is the
    configured one, or the one that ships with the program. The recorder takes an engine only when
    it answered to the bundle's golden window within its tolerance.

    Exit codes: 0 an engine is ready; 1 none could be made; 2 this machine, the bundle or an option
    was at fault.
    """
    chosen = load_config(file).model
    if file is not None and bundle is None and chosen.backend not in ("auto", "tensorrt"):
        click.echo(f"nothing to compile: model.backend is {chosen.backend}")
        return
    loaded = load_bundle(bundle or chosen.bundle or _shipped())
    _refuse_unknown(loaded, names)
    options = BuildOptions(largest_batch=largest_batch, workspace_mib=workspace_mib)
    try:
        compiler = Compiler(
            engines or chosen.engines,
            options=options,
            say=aside,
            progress=_progress(),
            timeout_s=timeout_s,
        )
    except NoGpuError as exc:
        raise ConfigError(
            f"{exc}; an engine can only be compiled on the device that is to run it"
        ) from exc
    except BackendError as exc:
        raise ConfigError(str(exc)) from exc
    here = compiler.machine
    click.echo(
        f"{here.device}, compute capability {here.compute_capability}, TensorRT {here.tensorrt}"
    )
    outcomes = [
        _told(outcome)
        for outcome in compiler.compile(loaded, names=names, every=every, force=force)
    ]
    if not any(outcome.engine for outcome in outcomes):
        click.echo(
            (
                "no engine is ready: the recorder will run the network by ONNX Runtime, which is "
                "slower"
            ),
            err=True,
        )
        raise click.exceptions.Exit(1)


def _told(outcome: Outcome) -> Outcome:
    if outcome.engine is None:
        click.echo(f"{outcome.network}: FAILED: {outcome.reason}", err=True)
    else:
        parity = outcome.parity
        click.echo(
            f"{outcome.network}: {outcome.reason}; off by {parity['largest_difference']:.2g}, "
            f"{parity['tolerance']:.2g} allowed; "
            f"{parity['median_ms']:g} ms a window; {outcome.engine.folder}"
        )
    return outcome


def _refuse_unknown(bundle: Bundle, names: tuple[str, ...]) -> None:
    known = [network.name for network in bundle.networks_for("tensorrt")]
    for name in names:
        if name not in known:
            raise ConfigError(
                f"--network {name}: {bundle.path} has no such network for TensorRT (it has "
                f"{', '.join(known)})"
            )


def _progress() -> Callable[[float, float, str], None]:
    """Told now and then, as lines: the journal keeps them, too."""
    told_s = -SAY_EVERY_S

    def progress(done: float, since_s: float, phase: str) -> None:
        nonlocal told_s
        if since_s < told_s:  # another build has begun
            told_s = -SAY_EVERY_S
        if since_s - told_s >= SAY_EVERY_S:
            told_s = since_s
            left = (
                f", about {since_s * (1 - done) / done:.0f} s to go"
                if done > 0.02
                else ", this takes minutes"
            )
            aside(f"{done:4.0%} after {since_s:.0f} s{left}: {phase}")

    return progress


def _shipped() -> Path:
    return Path(str(importlib.resources.files("edge") / "models" / "default"))
