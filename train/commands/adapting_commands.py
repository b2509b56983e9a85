"""`edge-train adapt`: a study's own labels as a head on a network that is there already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import UserError
from edge.files import write_whole
from edge.terminal import FiniteRange, aside
from train.commands.options import PATH, WORKERS
from train.commands.progress import watched

if TYPE_CHECKING:
    from edge.bundle import Bundle
    from train.adapting.adapt import Adapted
    from train.adapting.study import Means

__all__ = ["adapt"]

KINDS = ("linear", "hidden", "triplet", "best")
FIRST = ("data", "trunk", "out")  # options of a head's first making
LATER = ("hop_s", "head", "acceptance")  # of which a head that is taught more keeps its own


@click.command()
@click.option(
    "--data",
    type=PATH,
    multiple=True,
    help="Manifest CSV, folder of recordings, or table of selections; once more for others, which "
    "only train and validate.",
)
@click.option("--trunk", help="Bundle whose network hears: its folder or name.")
@click.option("--out", type=PATH, help="Head to write; its name is the folder's.")
@click.option("--to", type=PATH, help="Head to teach more, in place; HEAD.work must be beside it.")
@click.option(
    "--add",
    metavar="LABEL",
    help="Species to add to the head from 1 to 50 CLIPS, or from a table of answers in which "
    "people name it.",
)
@click.option("--corrections", type=PATH, help="Table of answers about detections to learn from.")
@click.option(
    "--cache",
    type=PATH,
    help="What the network says of each recording, kept by digest.  [default: build/answers]",
)
@click.option(
    "--hop-s",
    type=FiniteRange(0.1, 60),
    help="Seconds from one window to the next.  [default: half a window]",
)
@click.option(
    "--head",
    type=click.Choice(KINDS),
    help="Kind of head; triplet needs PyTorch, best takes the best of all.  [default: linear]",
)
@click.option(
    "--acceptance",
    type=FiniteRange(0.5, 0.999),
    help="Share of known windows that the rule of rejection lets pass.  [default: 0.8]",
)
@WORKERS
@click.argument("clips", type=PATH, nargs=-1)
def adapt(**options: Any) -> None:
    """Teach a network that is there already the species of --data, as a small head.

    Writes the head, its card, the report of the test beside it, and HEAD.work, with which the head
    can be taught more: a species from a few CLIPS (--add), or what people answered about its
    detections (--corrections).
    """
    _check(options)
    if options["to"] is None:
        _first(options)
    else:
        _more(options)


def _check(options: dict[str, Any]) -> None:
    """Refuse options that do not go together."""
    teaching = [name for name in ("add", "corrections") if options[name] is not None]
    if options["to"] is None:
        missing = [name for name in FIRST if not options[name]]
        if teaching:
            raise click.UsageError(f"--{teaching[0]} needs --to HEAD")
        if missing:
            raise click.UsageError(f"--{missing[0]} is missing")
    else:
        strange = [name for name in (*FIRST, *LATER) if options[name]]
        if strange:
            name = strange[0].replace("_", "-")
            raise click.UsageError(f"--{name} does not go with --to: a head keeps its own")
        if len(teaching) != 1:
            raise click.UsageError("--to needs --add LABEL CLIPS or --corrections TABLE")
    if options["clips"] and options["add"] is None:
        raise click.UsageError(f"{options['clips'][0]}: clips go with --add LABEL")


def _first(options: dict[str, Any]) -> None:
    from edge.bundle import load_bundle
    from edge.bundle.overwriting import check_place
    from edge.bundle.places import named_bundle
    from train.adapting.adapt import adapt as run
    from train.adapting.study import Means
    from train.adapting.tops import DEFAULT

    trunk = load_bundle(named_bundle(options["trunk"]))
    if trunk.trunk is not None:
        raise UserError(
            f"--trunk {options['trunk']}: is a head itself",
            suggestion=f"give the bundle that it stands on, {trunk.trunk.path}",
        )
    out: Path = options["out"]
    check_place(out)
    means = Means(
        hop_s=options["hop_s"] or trunk.frontend.window_s / 2,
        workers=options["workers"],
        cache=options["cache"] or Path("build/answers"),
        head=options["head"] or DEFAULT,
        acceptance=options["acceptance"] or 0.8,
        report_dir=_report(out),
    )
    adapted = run(options["data"], trunk, means, say=aside, watch=watched)
    _finish(adapted, trunk, out, means)


def _more(options: dict[str, Any]) -> None:
    from edge.bundle import load_bundle
    from train.adapting.corrections import correct
    from train.adapting.few_shots import add_species
    from train.adapting.named import named_clips
    from train.adapting.study import Means
    from train.adapting.work import read_work

    out: Path = options["to"]
    head = load_bundle(out)
    work = read_work(out)
    if head.trunk is None or head.trunk.trunk_digest != work.trunk:
        raise UserError(f"{out}: is not the head that was made of {out}.work")
    means = Means(
        hop_s=work.hop_s,
        workers=options["workers"],
        cache=options["cache"] or work.cache,
        head=work.kind,
        acceptance=work.acceptance,
        report_dir=_report(out),
    )
    if options["add"] is not None:
        new = named_clips(options["add"], options["clips"], head.labels)
        adapted = add_species(new, head, head.trunk, work, means, say=aside, watch=watched)
    else:
        table = options["corrections"]
        adapted = correct(table, head, head.trunk, work, means, say=aside, watch=watched)
    write_whole(_report(out) / "changes.md", "\n\n".join(adapted.changes) + "\n")
    click.echo(adapted.changes[-1])
    _finish(adapted, head.trunk, out, means)


def _report(out: Path) -> Path:
    return out.with_name(f"{out.name}.report")


def _finish(adapted: Adapted, trunk: Bundle, out: Path, means: Means) -> None:
    """Write the head and its work folder, and say what was made."""
    from train.adapting.work import write_work

    for note in adapted.notes:
        aside(note)
    written = _write(adapted, trunk, out)
    write_work(out, adapted, means, trunk=trunk.trunk_digest)
    recordings = adapted.report["recordings"]
    click.echo(
        f"{out}: head {written.digest[:12]} on {trunk.manifest.name}, "
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
        training_data=adapted.study.corpus.digest,
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
