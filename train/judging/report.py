"""The report of `train.judging.evaluate`: report.json for programs, report.md for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edge.files import write_whole
from train.corpus.summary import markdown_table
from train.judging.animal_curves import outcomes_section
from train.judging.cells import estimate_cell
from train.judging.left_out import render_stand_ins
from train.judging.probability_report import probability_parts
from train.judging.rows_report import rows_section
from train.judging.rules import PAPER
from train.judging.song_types import song_types_section

__all__ = [
    "accepted_table",
    "closed_table",
    "open_table",
    "render_report",
    "rules_table",
    "species_table",
    "write_report",
]

TEXT = {
    "macro_f1": "macro F1",
    "top1": "top-1",
    "auroc": "AUROC",
    "fpr95": "FPR at 95 % known acceptance",
    "oscr": "OSCR",
}


def write_report(report: Mapping[str, Any], text: str, out_dir: Path) -> None:
    """Write report.json and, with its `text` for people, report.md into `out_dir`."""
    write_whole(out_dir / "report.json", json.dumps(report, indent=1, allow_nan=False) + "\n")
    write_whole(out_dir / "report.md", text)


def render_report(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown. Brackets are 95 % bootstrap intervals over recordings."""
    parts = [
        f"# Evaluation on the split '{report['split']}'",
        f"{report['species']} species, rule `{report['rule']}`, its {_threshold(report)}. "
        "Brackets: 95 % bootstrap intervals over recordings, "
        f"{report['resamples']} resamples.",
        *render_stand_ins(report),
        "## Known species, no rejection",
        closed_table(report),
        "## Known against unknown",
        "Novelty ranks windows; a recording has the novelty of its least novel window.",
        open_table(report),
        "## Accepted as a species",
        "At the operating threshold. Known species should be accepted, everything else rejected. "
        "Quiet windows are those of an animal's recording in which nothing stands out.",
        accepted_table(report),
        *probability_parts(report.get("probability")),
        "## Rejection rules, per window",
        rules_table(report),
        *outcomes_section(report),
        *([_against_paper(report)] if "against_paper" in report else []),
        *rows_section(report),
        *song_types_section(report),
        "## How the rule was chosen (validation)",
        _calibration(report["calibration"]),
        "## By species",
        "Recordings of the species; precision, recall and F1 among recordings of known species "
        "without rejection, then F1 among all recordings with rejection.",
        species_table(report["by_species"]),
    ]
    return "\n\n".join(parts) + "\n"


def _threshold(report: Mapping[str, Any]) -> str:
    if report["rule"] == PAPER:
        return "own threshold, a density of a half"
    return f"threshold at {report['acceptance_wanted']:.0%} acceptance of known validation windows"


def _text(name: str) -> str:
    for key, words in TEXT.items():
        name = name.replace(key, words)
    return name.replace("_", " ")


def closed_table(report: Mapping[str, Any]) -> str:
    """Return how well windows and recordings are named without rejection."""
    columns = {
        "macro_f1": "macro F1",
        "top1": "top-1",
        "c_map": "c-mAP, lists of 10",
        "r_map": "r-mAP, lists of 10",
        "map": "MAP",
    }
    if "map_background" in report["recordings"]["closed"]:
        columns["map_background"] = "MAP, background included"
    rows = [
        [level, *(estimate_cell(report[level]["closed"].get(key)) for key in columns)]
        for level in ("windows", "recordings")
    ]
    return markdown_table(("per", *columns.values()), rows)


def open_table(report: Mapping[str, Any]) -> str:
    """Return how well knowns and outliers are told apart."""
    rows = [
        [level, outliers, *(estimate_cell(numbers[key]) for key in ("auroc", "fpr95", "oscr"))]
        for level in ("windows", "recordings")
        for outliers, numbers in report[level]["open"].items()
    ]
    table = markdown_table(("per", "outliers", "AUROC", TEXT["fpr95"], "OSCR"), rows)
    if not rows:
        table = "There is no recording of an unknown species, noise or background to tell apart."
    f1 = "; ".join(
        f"{level} {estimate_cell(report[level]['macro_f1_with_rejection'])}"
        for level in ("windows", "recordings")
    )
    return f"{table}\n\nMacro F1 with rejection, among all knowns and outliers: {f1}."


def accepted_table(report: Mapping[str, Any]) -> str:
    """Return which share of each kind is accepted."""
    rows = []
    for kind, windows in report["windows"]["accepted"].items():
        counted = report["counted"].get(kind, {})
        recordings = report["recordings"]["accepted"].get(kind)
        rows.append(
            [
                kind,
                counted.get("windows", ""),
                counted.get("recordings", ""),
                estimate_cell(windows),
                estimate_cell(recordings),
            ]
        )
    return markdown_table(
        (
            "kind",
            "windows",
            "recordings",
            "share of windows accepted",
            "share of recordings accepted",
        ),
        rows,
    )


def rules_table(report: Mapping[str, Any]) -> str:
    """Return how each rule does on windows."""
    contrasts = list(report["windows"]["open"])
    first = contrasts[:1]  # none where all recordings are of known species
    header = [
        "rule",
        *(f"AUROC, {c}" for c in contrasts),
        *(f"OSCR, {c}" for c in first),
        "macro F1 with rejection",
    ]
    kinds = [
        kind
        for kind in ("known species", "unknown species", "noise and background")
        if kind in report["rules"][0]["accepted"]
    ]
    rows = []
    for rule in report["rules"]:
        name = f"**{rule['rule']}**" if rule["rule"] == report["rule"] else rule["rule"]
        oscr = [estimate_cell(rule["open"][c]["oscr"]) for c in first]
        curves = [estimate_cell(rule["open"][c]["auroc"]) for c in contrasts]
        rows.append(
            [
                name,
                *curves,
                *oscr,
                estimate_cell(rule["macro_f1_with_rejection"]),
                *(estimate_cell(rule["accepted"][k]) for k in kinds),
            ]
        )
    return markdown_table([*header, *(f"{kind} accepted" for kind in kinds)], rows)


def _against_paper(report: Mapping[str, Any]) -> str:
    gains = "; ".join(
        f"{_text(name)} {estimate_cell(value, sign=True)}"
        for name, value in report["against_paper"].items()
    )
    return f"Rule `{report['rule']}` minus the paper's, on the same resamples: {gains}."


def _calibration(table: Sequence[Mapping[str, Any]]) -> str:
    if not table:
        return "Rule and threshold are those of before."
    columns = list(table[0])
    rows = [
        [f"{row[c]:.3f}" if isinstance(row[c], float) else row[c] for c in columns] for row in table
    ]
    return markdown_table([_text(c) for c in columns], rows)


def species_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return how well each species is named."""
    cells = [
        [
            row["common_name"],
            row["recordings"],
            *(estimate_cell(row[k]) for k in ("precision", "recall", "f1", "f1_with_rejection")),
        ]
        for row in sorted(
            rows,
            key=lambda row: (-(row["f1"] if row["f1"] is not None else -1), row["common_name"]),
        )
    ]
    return markdown_table(
        ("species", "recordings", "precision", "recall", "F1", "F1 with rejection"), cells
    )
