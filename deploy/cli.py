"""`edge-deploy`: verify, sign, quantize, compile, install and send bundles, and show a fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from deploy.compile.command import compile_command
from deploy.fleet.command import fleet_command, send_command
from deploy.importing.command import import_command
from edge.bundle import Bundle, FrontendSpec, load_bundle
from edge.bundle.places import named_bundle
from edge.bundle.signature import public_key
from edge.bundle.signing import sign_bundle
from edge.errors import EdgeError, UserError, one_line
from edge.terminal import OneLineErrors, aside

__all__ = ["main"]


def _exit_status(error: EdgeError) -> int:
    """Return 2 for what a person has to change, and 1 for any other error."""
    return 2 if isinstance(error, UserError) else 1


@click.group(
    cls=OneLineErrors,
    status_of=_exit_status,
    prefix="edge-deploy",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="edge-monitor", prog_name="edge-deploy")
def main() -> None:
    """Put bundles, and the program that runs them, on recorders."""


main.add_command(compile_command)
main.add_command(import_command)
main.add_command(send_command)
main.add_command(fleet_command)


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    "keys",
    multiple=True,
    help="Public key that must have signed BUNDLE, as base64 or the file that has it; of several, "
    "one must have.",
)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing when the bundle is sound.")
def verify(bundle: Path, keys: tuple[str, ...], quiet: bool) -> None:
    """Check every file of BUNDLE against its manifest, and print what it is.

    BUNDLE is a folder, a name or TRUNK+HEAD; of a head, its trunk is checked too. When it cannot be
    trusted, print the reason and exit with 2.
    """
    loaded = load_bundle(named_bundle(bundle), trusted=[public_key(key) for key in keys])
    if not quiet:
        for name, value in _facts(loaded):
            click.echo(f"{name:<10} {one_line(value)}")


@main.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option(
    "--key",
    required=True,
    type=click.Path(path_type=Path),
    help="Private key, as 'openssl genpkey -algorithm ed25519' writes it.",
)
def sign(bundle: Path, key: Path) -> None:
    """Sign BUNDLE with a private key, and print the public key that recorders are to trust.

    The signature, manifest.sig, covers the manifest and so every file. It lasts until the bundle is
    made again. Of TRUNK+HEAD it is that of the head.
    """
    signature = sign_bundle(named_bundle(bundle), key)
    click.echo(f"{bundle}: is signed; model.trusted_keys: ['{signature.key}']")


@main.command("quantize")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--precision", required=True, type=click.Choice(["fp16", "int8", "int8+fp16"]))
@click.option(
    "--windows",
    required=True,
    type=click.Path(path_type=Path),
    help="File of windows to measure on, written by 'edge-train windows'.",
)
@click.option(
    "--for",
    "backend",
    type=click.Choice(["onnx", "tensorrt"]),
    help="Make only the variant for ONNX Runtime on a CPU, or for TensorRT.",
)
@click.option(
    "--allow-loss",
    is_flag=True,
    help="Keep a variant that loses more than 0.5 points of macro F1 or of AUROC.",
)
def quantize_(
    bundle: Path, precision: str, windows: Path, backend: str | None, allow_loss: bool
) -> None:
    """Add the network at another PRECISION to BUNDLE, with its accuracy beside fp32's.

    fp16 and int8+fp16 are for TensorRT; int8 comes for TensorRT (int8) and for ONNX Runtime on a
    CPU (int8-cpu). It takes minutes. Nothing is written when a variant is refused.
    """
    from deploy.quantize.convert import kinds_for
    from deploy.quantize.quantize import quantize
    from deploy.quantize.windows import read_windows

    loaded, kinds = load_bundle(named_bundle(bundle)), kinds_for(precision, backend)
    written = quantize(
        loaded, read_windows(windows, loaded), kinds, allow_loss=allow_loss, say=aside
    )
    for kind in kinds:
        click.echo(f"{kind.name}: {_accuracy(written.manifest.variants[kind.name].metrics)}")
    click.echo(f"{bundle}: bundle {written.digest[:12]}, with {', '.join(written.networks)}")


def _accuracy(metrics: Mapping[str, Any]) -> str:
    """Return the accuracy of a variant beside fp32's, in one line."""
    before = metrics["fp32"]
    pairs = [("macro F1", before["macro_f1_per_recording"], metrics["macro_f1_per_recording"])]
    pairs += [
        (f"AUROC {name}", value, metrics["auroc"][name]) for name, value in before["auroc"].items()
    ]
    return ", ".join(f"{name} {was:.4f} -> {now:.4f}" for name, was, now in pairs)


@main.command()
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Model to install: folder, name or TRUNK+HEAD; without it the installed one stays, or the "
    "default is installed.",
)
@click.option(
    "--package",
    help="Wheel or folder to install the program from; without it, the checkout this runs from.",
)
@click.option(
    "--wheels",
    type=click.Path(path_type=Path),
    help="Folder to take all packages from, for a machine without a network.",
)
@click.option(
    "--python",
    default="/usr/bin/python3",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Python to make the virtual environment with.",
)
@click.option(
    "--root",
    default="/",
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder to install into, other than / for a trial.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be done, and do nothing.")
def install(**asked: Any) -> None:
    """Make this machine a recorder, or bring it up to date.

    Installs the program, its configuration, its systemd units and a model. It is safe to run again.
    `edge check` of the new program decides: if it finds a fault in the configuration or the model,
    everything is taken back, and the exit status is 2.
    """
    from deploy.install.install import InstallRequest, install

    install(InstallRequest(**asked), click.echo)


def _facts(bundle: Bundle) -> Iterator[tuple[str, str]]:
    """Yield what a person wants to know about a bundle, as (name, value) rows."""
    manifest = bundle.manifest
    yield "name", manifest.name
    yield "digest", bundle.digest
    yield "labels", str(len(bundle.labels))
    yield "frontend", _describe(bundle.frontend)
    yield (
        "head",
        f"{manifest.activation} scores, rejection by {manifest.rule} above "
        f"{manifest.threshold:.4g}",
    )
    yield "trained on", f"data {manifest.training_data[:12]}, code {manifest.code}"
    yield "signed", "no" if bundle.signature is None else f"with the key {bundle.signature.key}"
    yield from _files(bundle)
    if bundle.trunk is not None:
        yield "trunk", f"{bundle.trunk.manifest.name} {bundle.trunk.path}"
        yield "digest", bundle.trunk.digest
        yield "network", f"{bundle.trunk_digest}, which the head names"
        yield from _files(bundle.trunk)


def _files(bundle: Bundle) -> Iterator[tuple[str, str]]:
    for file, sha256 in sorted(bundle.manifest.files.items()):
        size_kb = (bundle.path / file).stat().st_size / 1000
        yield "file", f"{file:<14} {size_kb:>9.1f} kB  sha256 {sha256[:16]}"


def _describe(spec: FrontendSpec) -> str:
    """Return window, bands, channels and shape in one line."""
    window = f"{spec.window_s:g} s at {spec.sample_rate_hz} Hz"
    if spec.is_waveform:
        return f"{window}, the waveform: {spec.window_samples} samples"
    channels = ", ".join(f"{c.component} ({c.level.kind})" for c in spec.channels)
    shape = " x ".join(str(n) for n in spec.shape)
    return f"{window}, {spec.n_mels} bands to {spec.fmax_hz:g} Hz, {channels}: {shape}"


if __name__ == "__main__":
    main()
