"""`edge-train adapt`: a study's own labels as a head on a network that is there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge.terminal import aside
from train.commands.options import DATA, PATH, WORKERS
from train.commands.progress import watched

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from train.adapting.adapt import Adapted

__all__ = ["adapt"]


@click.command()
@DATA
@click.option("--trunk", required=True, help="Bundle whose network hears: its folder or name.")
@click.option("--out", type=PATH, required=True, help="Head to write; its name is the folder's.")
@click.option(
    "--cache",
    type=PATH,
    default=Path("build/answers"),
    show_default=True,
    help="What the network says of each recording, kept by digest.",
)
@click.option(
    "--hop-s",
    type=click.FloatRange(0.1, 60),
    help="Seconds from one window to the next.  [default: half a window]",
)
@click.option(
    "--acceptance",
    type=click.FloatRange(0.5, 0.999),
    default=0.8,
    show_default=True,
    help="Share of known windows that the rule of rejection lets pass.",
)
@WORKERS
def adapt(
    data: Path,
    trunk: str,
    out: Path,
    cache: Path,
    hop_s: float | None,
    acceptance: float,
    workers: int,
) -> None:
    """Teach a network that is there already the species of --data, as a small head.

    Writes the head, its card, and the report of the test beside it.
    """
    from edge.bundle import load_bundle
    from edge.bundle.places import named_bundle
    from train.adapting.adapt import Means
    from train.adapting.adapt import adapt as run

    below = load_bundle(named_bundle(trunk))
    means = Means(
        hop_s=hop_s or below.frontend.window_s / 2,
        workers=workers,
        cache=cache,
        acceptance=acceptance,
        report_dir=out.with_name(f"{out.name}.report"),
    )
    adapted = run(data, below, means, say=aside, watch=watched)
    for note in adapted.notes:
        aside(note)
    written = _write(adapted, below, out)
    recordings = adapted.report["recordings"]
    click.echo(
        f"{out}: head {written.digest[:12]} on {below.manifest.name}, "
        f"{len(written.labels)} labels, macro F1 per recording "
        f"{recordings['closed']['macro_f1']['value']}"
    )


def _write(adapted: Adapted, trunk: Bundle, out: Path) -> Bundle:
    from edge.bundle import Manifest
    from edge.bundle.writing import write_head
    from train.adapting.card import render_head_card
    from train.export.version import code_version
    from train.judging.headline import headline

    head = adapted.calibration.head
    manifest = Manifest(
        name=out.name,
        labels=adapted.labels,
        frontend=trunk.frontend,
        activation=head.activation,
        rule=head.rule.kind,
        threshold=head.threshold,
        scale=head.scale,
        training_data=adapted.corpus.digest,
        code=code_version(),
        metrics=headline(adapted.report),
        animal=adapted.calibration.animal,
        licence=trunk.manifest.licence,
        source=f"a head on {trunk.manifest.name}"[:200],
    )
    card = render_head_card(adapted, trunk, name=out.name)
    return write_head(
        out,
        manifest,
        trunk=trunk,
        top=adapted.top,
        rule=head.rule,
        card=card,
        calibration=adapted.scores,
    )
