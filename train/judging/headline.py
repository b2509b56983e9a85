"""The numbers of a report that a bundle carries for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from train.judging.left_out import means_of_turns

__all__ = ["headline"]


def headline(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers that the manifest carries for programs: values on the test split."""
    windows, recordings = report["windows"], report["recordings"]
    turns = report.get("left_out")
    return {
        "split": report["split"],
        "rule": report["rule"],
        "macro_f1_per_recording": recordings["closed"]["macro_f1"]["value"],
        "top1_per_recording": recordings["closed"]["top1"]["value"],
        "map_per_recording": recordings["closed"]["map"]["value"],
        "macro_f1_per_window": windows["closed"]["macro_f1"]["value"],
        "auroc": {name: curve["auroc"]["value"] for name, curve in windows["open"].items()},
        "accepted": {kind: value["value"] for kind, value in windows["accepted"].items()},
        **_calibration(report.get("probability")),
        **({"species_left_out_in_turn": means_of_turns(turns)} if turns else {}),
    }


def _calibration(measured: Mapping[str, Any] | None) -> dict[str, Any]:
    if measured is None:
        return {}
    return {"expected_calibration_error_per_event": measured["expected_calibration_error"]}
