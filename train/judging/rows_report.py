"""The section of a report on rows of 5 s, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from train.corpus.summary import markdown_table
from train.judging.cells import estimate_cell

__all__ = ["rows_section"]


def rows_section(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the section on rows of 5 s, empty where they were not judged."""
    if "rows" not in report:
        return ()
    rows = report["rows"]
    table = [
        [
            row["post_processing"],
            "its own" if row["threshold"] is None else f"{row['threshold']:.3g}",
            f"{row['validation']:.3f}",
            estimate_cell(row["micro_f1"]),
            _gain(row),
        ]
        for row in rows["variants"]
    ]
    return (
        "## Rows of 5 s, nocall included",
        f"Micro F1 over {rows['rows']} rows that do not overlap, {rows['nocall']} of them nocall: "
        "noise, unknown species, and where nothing stands out. Saying nothing anywhere would give "
        f"{rows['nocall'] / rows['rows']:.3f}. The bundle decides by its rule and, where a window "
        "may carry several labels, by the thresholds that are in it. The others give whatever "
        "passes one threshold, the best of validation, or of resamples of it in which the share of "
        "nocall varies. The sliding window is what `slide_s: 2.5` "
        "does; the global correction knows the whole recording, and no recorder can have it.",
        markdown_table(
            ("post-processing", "threshold", "validation", "test", "gain over none"), table
        ),
    )


def _gain(row: Mapping[str, Any]) -> str:
    return "–" if row["post_processing"] == "none" else estimate_cell(row["gain"], sign=True)
