"""`edge-train calibrate` and `thresholds`: rejection, probabilities, and what keeps a precision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge.errors import UserError
from edge.terminal import FiniteRange, aside, warn
from train.commands.options import PATH, WORKERS
from train.commands.progress import watched

if TYPE_CHECKING:
    from edge.bundle import Bundle, ListMargin
    from edge.bundle.probability import ScoreCalibration

__all__ = ["calibrate", "thresholds"]

SECTION = "\n## Calibrated later\n"  # of a card: the last one


@click.command()
@click.option("--corpus", type=PATH, help="What `prepare` wrote; with --run.")
@click.option("--run", "folder", type=PATH, help="A finished run of `fit`.")
@click.option(
    "--acceptance",
    type=FiniteRange(0.5, 0.999),
    default=0.95,
    show_default=True,
    help="Share of known windows that the rules of a run accept.",
)
@click.option(
    "--rule",
    metavar="NAME",
    help="Rejection rule of a run, for example gaussian_density, the rule of Thakur et al. 2019 "
    "with its own threshold.  [default: the best on validation]",
)
@click.option("--bundle", help="Any bundle or head, its folder or name; with --on or --data.")
@click.option("--on", type=PATH, help="Reviewed detections of a site, CSV or JSON lines.")
@click.option("--data", type=PATH, help="Manifest CSV or folder of recordings that it never heard.")
@click.option(
    "--species",
    metavar="LIST",
    help="YAML list of the species that may be answered, or data: the known ones of --data. By it "
    "the bundle also learns how far an animal off a list may outdo those on it.",
)
@click.option("--out", type=PATH, help="The calibrated bundle; may be where the other stands.")
@click.option(
    "--hop-s",
    type=FiniteRange(0.1, 60),
    default=1.0,
    show_default=True,
    help="Seconds from one window of --data to the next, as a recorder has them.",
)
@WORKERS
def calibrate(
    corpus: Path | None,
    folder: Path | None,
    acceptance: float,
    rule: str | None,
    bundle: str | None,
    on: Path | None,
    data: Path | None,
    **options: Any,
) -> None:
    """Choose the rejection rule of a run; or say how likely the labels of any bundle are right.

    Of a run it writes RUN/calibration.npz and RUN/probability.json. Of a bundle it writes another
    one, whose detections have a probability: by labelled recordings, or by 50 and more detections
    of a label that people have reviewed at a site.
    """
    given = [name for name, value in (("--on", on), ("--data", data)) if value]
    out, species = options.pop("out"), options.pop("species")
    if corpus and folder and not (bundle or given or out or species):
        _calibrate_run(corpus, folder, acceptance, rule)
    elif bundle and out and len(given) == 1 and not (corpus or folder or rule or (on and species)):
        if on:
            _calibrate_at_site(bundle, on, out)
        elif data:
            _calibrate_bundle(bundle, data, out, species, **options)
    else:
        raise UserError(
            "calibrate needs --run with --corpus, or --bundle and --out with one of --on and "
            "--data; --rule is of a run, --species of --data"
        )


def _calibrate_run(corpus: Path, folder: Path, acceptance: float, rule: str | None) -> None:
    from train.commands.build import calibrate_run
    from train.commands.opened import opened

    calibration = calibrate_run(*opened(folder, corpus), acceptance=acceptance, rule=rule)
    for row in calibration.table:
        cells = (
            f"{key} {value:.3f}" if isinstance(value, float) else str(value)
            for key, value in row.items()
        )
        click.echo("  ".join(cells))
    click.echo(
        f"{folder}: rule {calibration.chosen}, threshold {calibration.head.threshold:.4g}; next: "
        f"edge-train evaluate --corpus {corpus} --run {folder}"
    )


def _calibrate_bundle(
    name: str, data: Path, out: Path, species: str | None, **options: Any
) -> None:
    from train.judging.calibrate_bundle import calibrated_by_recordings
    from train.judging.probability_report import draw_reliability, probability_parts

    bundle = _bundle(name)
    found = calibrated_by_recordings(bundle, data, species=species, watch=watched, **options)
    parts = probability_parts(found.reliable)
    if found.margin is not None:
        parts.append(
            f"A label is taken while no other outdoes those on the list by more than "
            f"{found.margin.threshold:g} logits (spread {found.margin.scale:g})."
        )
    click.echo("\n\n".join(parts))
    _write(bundle, out, found.calibration, parts, found.margin)
    if found.reliable is not None:
        draw_reliability(found.reliable, out.with_name(f"{out.name}.report"))


def _calibrate_at_site(name: str, file: Path, out: Path) -> None:
    from train.corpus.summary import markdown_table
    from train.judging.calibrate_bundle import FEWEST_REVIEWED, calibrated_by_reviews
    from train.judging.reviewed import read_reviewed

    bundle = _bundle(name)
    reviewed = read_reviewed(file, bundle.labels)
    calibration, labels, fewer = calibrated_by_reviews(bundle, reviewed)
    if fewer:
        named = ", ".join(f"{label} {count}" for label, count in fewer.items())
        aside(f"fewer than {FEWEST_REVIEWED} reviewed detections, so as before: {named}")
    rows = []
    for label in labels:
        answers = reviewed.of(label)
        right = sum(review.right for review in answers) / len(answers)
        found = [calibration.probability(label, score) or 0.0 for score in (0.5, 0.9, 0.99)]
        rows.append([label, len(answers), f"{right:.2f}", *(f"{p:.2f}" for p in found)])
    scores = ("probability at score 0.5", "0.9", "0.99")
    table = markdown_table(("label", "reviewed", "right", *scores), rows)
    click.echo(table)
    _write(bundle, out, calibration, [f"By reviewed detections (`{reviewed.digest[:12]}`):", table])


@click.command()
@click.argument("name", metavar="BUNDLE")
@click.option(
    "--precision",
    type=FiniteRange(0, 1, min_open=True, max_open=True),
    default=0.9,
    show_default=True,
    help="Share of a label's events that is to be right.",
)
@click.option("--out", type=PATH, help="Another bundle to write.  [default: BUNDLE itself]")
def thresholds(name: str, precision: float, out: Path | None) -> None:
    """Find from which score on the events of each label keep a precision.

    BUNDLE is a folder or a name. The events are those by which it was calibrated, of recordings
    that it had not seen. The scores go into the bundle, for `model.precision`.
    """
    from train.judging.calibrate_bundle import with_precision
    from train.judging.probability_report import thresholds_table

    bundle = _bundle(name)
    if bundle.calibration is None:
        raise UserError(
            f"{bundle.path}: is not calibrated, so there are no events to find thresholds by; "
            f"'edge-train calibrate --bundle {name} --data RECORDINGS --out DIR' makes one that is"
        )
    calibration = with_precision(bundle.calibration, precision)
    click.echo(thresholds_table(calibration, f"{precision:g}"))
    _write(bundle, out or bundle.path, calibration, [])


def _bundle(name: str) -> Bundle:
    from edge.bundle import load_bundle
    from edge.bundle.places import named_bundle

    return load_bundle(named_bundle(name))


def _write(
    bundle: Bundle,
    out: Path,
    calibration: ScoreCalibration,
    parts: list[str],
    margin: ListMargin | None = None,
) -> None:
    """Write the calibrated bundle, with `parts` at the end of its card."""
    from edge.bundle.bundle import CARD
    from edge.bundle.writing import calibrated_bundle

    card = None
    if parts:
        text = (bundle.path / CARD).read_text(encoding="utf-8").partition(SECTION)[0]
        later = "\n\n".join(part.replace("## ", "### ", 1) for part in parts)
        card = f"{text.rstrip()}\n{SECTION}\n{later}\n"
    written = calibrated_bundle(bundle, out, calibration, card=card, list_margin=margin)
    if bundle.signature is not None:
        warn(f"{out}: is not signed any more; sign it again")
    click.echo(f"{out}: bundle {written.digest[:12]}, calibration {calibration.digest[:12]}")
