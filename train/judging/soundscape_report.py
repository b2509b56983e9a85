"""The report of `train.judging.soundscape_evaluation` for people, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge.errors import one_line
from train.corpus.summary import markdown_table
from train.judging.cells import estimate_cell
from train.judging.ranking import TOP

__all__ = ["render_soundscape_report"]

LISTS = {
    "c_map": f"c-mAP, lists of {TOP}",
    "r_map": f"r-mAP, lists of {TOP}",
    "c_map_whole_lists": "c-mAP",
    "map_time_coded": "MAP, time-coded",
    "r_map_with_nocall": "r-mAP, nocall included",
    "map_of_recordings": "MAP of whole recordings",
}


def render_soundscape_report(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown. Brackets are 95 % bootstrap intervals over recordings."""
    parts = [
        f"# {report['bundle']} on soundscapes",
        _intro(report),
        *_missing(report),
        "## Rows, by lists of species",
        "Of rows with species, the list of each by score (r-mAP; time-coded: whole lists); of "
        "species, the list of all rows by its score (c-mAP); of recordings, all that calls in one. "
        "With nocall, all rows count, and nothing stands behind what the bundle gives.",
        _table("species", LISTS, report["lists"], name="list"),
        "## Rows, as the bundle decides",
        "Micro F1 over all pairs of a row and a label, nocall among the labels. Saying nothing "
        f"anywhere would give {report['nocall'] / report['rows']:.3f} of the rows.",
        _table("species", {"micro_f1": "micro F1"}, report["lists"], name="list"),
        *_sites(report),
        *_events(report),
        "## By species",
        _species(report),
    ]
    return "\n\n".join(parts) + "\n"


def _intro(report: Mapping[str, Any]) -> str:
    licence = f", licence {report['licence']}" if report["licence"] else ""
    return (
        f"Bundle `{report['digest'][:12]}`{licence}, which may answer with {report['listed']} of "
        f"its {report['labels']} labels. {report['recordings']} recordings of "
        f"{report['minutes']:g} minutes, heard whole; {report['rows']} rows, of which "
        f"{report['nocall']} are nocall; {report['species']} species that it may answer. Brackets: "
        f"95 % bootstrap intervals over recordings, {report['resamples']} resamples."
    )


def _missing(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each thing that the bundle cannot find, or that was not heard."""
    notes = []
    if report["with_missing"]:
        named = ", ".join(f"{name} ({place})" for name, place in report["missing"].items())
        notes.append(
            f"In {report['with_missing']} rows are animals that it cannot answer, which count as "
            f"not found: {named or 'unknown ones'}."
        )
    if report["inaudible"]:
        notes.append(f"{report['inaudible']} marks lie in a band that it does not hear.")
    if report["left_out"]:
        named = ", ".join(f"{name} ({one_line(reason)})" for name, reason in report["left_out"])
        notes.append(f"Left out: {named}.")
    return notes


def _table(first: str, columns: Mapping[str, str], rows: list[dict[str, Any]], *, name: str) -> str:
    cells = [[row[name], *(estimate_cell(row[key]) for key in columns)] for row in rows]
    return markdown_table((first, *columns.values()), cells)


def _sites(report: Mapping[str, Any]) -> tuple[str, ...]:
    if not report["sites"]:
        return ()
    share = report["sites"][0]["share"]
    rows = [
        [
            row["site"] or "none",
            row["rows"],
            f"{row['nocall']:.3f}",
            estimate_cell(row["micro_f1"]),
            estimate_cell(row["at_equal_share"]),
        ]
        for row in report["sites"]
    ]
    header = ("site", "rows", "nocall", "micro F1", f"micro F1 at {share:.3f} nocall")
    return (
        "## By site",
        "Rows without a call are easy, and sites differ in how many they have: the last column "
        "weighs the rows of each as if it had as many as the site with most.",
        markdown_table(header, rows),
    )


def _events(report: Mapping[str, Any]) -> tuple[str, ...]:
    if not report["events"]:
        return ()
    columns = {"precision": "precision", "recall": "recall", "f1": "F1"}
    return (
        "## Events",
        "What `edge replay` gives of the recordings against what is marked in them, over all "
        "labels: events matched one to one, or segments in which a label is there or not.",
        _table("right is", columns, report["events"], name="counted"),
    )


def _species(report: Mapping[str, Any]) -> str:
    rows = [
        [
            row["species"],
            row["rows"],
            *(estimate_cell(row[key]) for key in ("average_precision", "precision", "recall")),
        ]
        for row in sorted(report["by_species"], key=lambda row: (-row["rows"], row["species"]))
    ]
    return markdown_table(("species", "rows", "average precision", "precision", "recall"), rows)
