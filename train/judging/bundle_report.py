"""The report of `train.judging.any_bundle` for people, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edge.errors import one_line
from train.corpus.summary import markdown_table
from train.judging.animal_curves import outcomes_section
from train.judging.probability_report import probability_parts
from train.judging.report import (
    accepted_table,
    closed_table,
    open_table,
    rules_table,
    species_table,
)

__all__ = ["render_bundle_report"]

MOST_NAMED = 20  # of files that were left out


def render_bundle_report(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown. Brackets are 95 % bootstrap intervals over recordings."""
    parts = [
        f"# {report['bundle']} on these recordings",
        _intro(report),
        *_missing(report),
        "## Known species, no rejection",
        closed_table(report),
        "## Known against unknown",
        "Novelty ranks windows; a recording has the novelty of its least novel window.",
        open_table(report),
        "## Accepted as a species",
        "As the bundle decides with this list. Known species should be accepted, everything else "
        "rejected. Quiet windows are those of an animal's recording in which nothing stands out.",
        accepted_table(report),
        *probability_parts(report.get("probability")),
        "## Rejection rules, per window",
        "Thresholds of all but the bundle's own decision are those at which "
        f"{report['acceptance_wanted']:.0%} of these known windows pass.",
        rules_table(report),
        "## What a stricter score costs, per window",
        "Of windows with at least this score as their best: the share of each kind that is named, "
        "and how much of all that is named is right.",
        _costs(report["costs"]),
        *_margin(report),
        *outcomes_section(report),
        "## By species",
        "Recordings of the species; precision, recall and F1 among recordings of known species "
        "without rejection, then F1 among all recordings with rejection.",
        species_table(report["by_species"]),
    ]
    return "\n\n".join(parts) + "\n"


def _intro(report: Mapping[str, Any]) -> str:
    licence = f", licence {report['licence']}" if report["licence"] else ""
    answers = f"{report['listed']} of its {report['labels']} labels"
    if report["listed"] == report["labels"]:
        answers = f"any of its {report['labels']} labels"
    return (
        f"Bundle `{report['digest'][:12]}`{licence}. It may answer with {answers}; the recordings "
        f"are of {report['species']} of these. Windows every {report['hop_s']:g} s. Brackets: 95 % "
        f"bootstrap intervals over recordings, {report['resamples']} resamples."
    )


def _missing(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each thing that these numbers do not cover."""
    notes = []
    if report["missing"]:
        notes.append(f"Species that it does not have: {', '.join(report['missing'])}.")
    if report["left_out"]:
        named = [f"{name} ({one_line(reason)})" for name, reason in report["left_out"]]
        notes.append(f"Left out: {_some(named)}.")
    return notes


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _costs(rows: Sequence[Mapping[str, float | None]]) -> str:
    columns = {
        "score": "least score",
        "known": "known species",
        "right": "right of what is named",
        "unknown": "unknown species",
        "noise": "noise and background",
    }
    cells = [[_share(row[key]) for key in columns] for row in rows]
    return markdown_table(list(columns.values()), cells)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")


def _margin(report: Mapping[str, Any]) -> list[str]:
    margin = report["list_margin"]
    if margin is None:
        return []
    return [
        "Margin over the list that leaves 99 % of what is named rightly: threshold "
        f"{margin['threshold']:g}, scale {margin['scale']:g} (logits)."
    ]
