"""A paper's experiment as Markdown: what it reports, and what the same systems give here.

out/paper.md      the table, and what it was measured on
out/scores.png    macro F1 of every run: dots, and violins from five runs on
out/triplets.png  triplets, margin and loss of each system that learns by triplets
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.bundle.strictjson import read_json
from edge.errors import UserError
from edge.files import replacing, write_whole
from train.commands.averages import average_reports
from train.commands.plan import Average, Plan, System
from train.commands.systems import NOT_MEASURED, SystemResult, read_results, run_folder
from train.corpus.summary import markdown_table
from train.export.size import machine
from train.judging.contrasts import UNKNOWNS
from train.judging.figures import new_figure
from train.learning.checkpoint import read_history
from train.learning.curves import draw_triplets

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["write_paper"]

HEADER = (
    *("system", "the paper", "runs", "macro F1, recordings", "macro F1, windows", "c-mAP", "r-mAP"),
    *("AUROC unknown species", "macro F1 with rejection", "unknown species rejected"),
)
VIOLIN = 5  # runs from which a distribution is drawn
Report = Mapping[str, Any]


def write_paper(plan: Plan, out: Path, sections: Sequence[str] = ()) -> str:
    """Write out/paper.md and its pictures from the finished runs in `out`; returns the text.

    `sections` come at its end. Raises `UserError` when no system is finished.
    """
    results = read_results(plan, out)
    if not results:
        raise UserError(f"{out}: has no finished run of a system of {plan.file}")
    systems = {name: list(runs) for name, runs in groupby(results, lambda each: each.system)}
    reports = {name: [_report(out, run) for run in runs] for name, runs in systems.items()}
    reports |= average_reports(plan, results, out)
    lines = [_line(plan, name, runs) for name, runs in reports.items()]
    parts = [f"## {plan.title}", markdown_table(HEADER, lines), _legend(plan, results)]
    with replacing(out / "scores.png") as staged:
        _draw(plan, reports).savefig(staged, format="png", dpi=130)
    pictures = _pictures(results, out)
    text = "\n\n".join([*parts, *_rows(reports), pictures, *sections]) + "\n"
    write_whole(out / "paper.md", text)
    return text


def _pictures(results: Sequence[SystemResult], out: Path) -> str:
    """Draw triplets.png where a system learns by triplets; returns where the pictures are."""
    first = {result.system: result for result in reversed(results)}
    histories = {
        name: read_history(_run(out, first[name]) / "member-0" / "history.csv")
        for name in dict.fromkeys(result.system for result in results)
    }
    said = [f"Pictures in {out}: `scores.png`, macro F1 of every run"]
    if draw_triplets(histories, out / "triplets.png"):
        said.append("`triplets.png`, triplets, margin and loss of the first run of each system")
    said.append("`*/run/report/predictions.png`, what each run says over time")
    said.append("`*/run/member-0/learning_curves.png`, how it learnt")
    return "; ".join(said) + "."


def _report(out: Path, run: SystemResult) -> Report:
    return read_json(_run(out, run) / "report" / "report.json")


def _run(out: Path, result: SystemResult) -> Path:
    return run_folder(out, result.recipe, result.seed) / "run"


def _line(plan: Plan, name: str, reports: Sequence[Report]) -> list[str]:
    lines: tuple[System | Average, ...] = (*plan.systems, *plan.averages)
    planned = next(each for each in lines if each.name == name)
    note = planned.note if isinstance(planned, System) and not plan.full else ""
    # An average has no rule for rejection.
    rules = [_rule(report, plan.rule) for report in reports if "rules" in report]
    rejected = [_less(1, rule["accepted"].get(UNKNOWNS, {}).get("value")) for rule in rules]
    curves = [report["windows"]["open"].get(UNKNOWNS, NOT_MEASURED) for report in reports]
    apart = [curve["auroc"]["value"] for curve in curves]
    return [
        name + (f" ({note})" if note else ""),
        planned.reported or "–",
        str(len(reports)),
        _spread([report["recordings"]["closed"]["macro_f1"]["value"] for report in reports]),
        _spread([report["windows"]["closed"]["macro_f1"]["value"] for report in reports]),
        _spread([report["windows"]["closed"]["c_map"]["value"] for report in reports]),
        _spread([report["windows"]["closed"]["r_map"]["value"] for report in reports]),
        _spread(apart),
        _spread([rule["macro_f1_with_rejection"]["value"] for rule in rules]),
        _spread(rejected),
    ]


def _rule(report: Report, own: str) -> Report:
    """Return what was measured of the paper's own rule, else of the one that was chosen."""
    wanted = own or report["rule"]
    rules: dict[str, Report] = {rule["rule"]: rule for rule in report["rules"]}
    if wanted not in rules:
        raise UserError(f"rule {wanted}: is none of those of a run: {', '.join(rules)}")
    return rules[wanted]


def _less(whole: float, value: float | None) -> float | None:
    return None if value is None else whole - value


def _spread(values: Sequence[float | None]) -> str:
    """Return the mean over runs, with the standard deviation where there are several."""
    known = [value for value in values if value is not None]
    if not known:
        return "–"
    spread = f" ± {statistics.stdev(known):.3f}" if len(known) > 1 else ""
    return f"{statistics.mean(known):.3f}{spread}"


def _rows(reports: Mapping[str, Sequence[Report]]) -> list[str]:
    """Return a table of micro F1 of rows of 5 s by post-processing, of the systems that have it."""
    judged = {name: runs for name, runs in reports.items() if all("rows" in run for run in runs)}
    if not judged:
        return []
    first = next(iter(judged.values()))[0]
    variants = [variant["post_processing"] for variant in first["rows"]["variants"]]
    lines = [
        (name, *(_spread([_f1(run, variant) for run in runs]) for variant in variants))
        for name, runs in judged.items()
    ]
    header = ("micro F1 of rows of 5 s, by post-processing", *variants)
    return [markdown_table(header, lines)]


def _f1(report: Report, variant: str) -> float | None:
    """Return micro F1 after a post-processing, None where there is none of that name."""
    made = {one["post_processing"]: one["micro_f1"]["value"] for one in report["rows"]["variants"]}
    return made.get(variant)


def _legend(plan: Plan, results: Sequence[SystemResult]) -> str:
    part = plan.corpus
    budget = "the papers' own budgets" if plan.full else "a small budget"
    rule = f"the paper's rule ({plan.rule})" if plan.rule else "the rule chosen on validation"
    drawn = (
        "by recordist: nobody who is heard in the test was learnt from"
        if part.by == "recordist"
        else "at random by recording, as papers do: people and places of the test were learnt from"
    )
    return (
        f"{results[0].species} species, at most {part.recordings} recordings of each, "
        f"{part.test_share:.0%} of them for the test, {drawn}; {budget}. Means over runs that "
        "differ in their seed, ± their standard deviation. c-mAP and r-mAP "
        "are of windows. Macro F1 is without rejection but for "
        f"the column that says so, which counts accepted outliers as wrong; {rule} decides there. "
        f"{_hours(results)} of training; {machine()}."
    )


def _hours(results: Sequence[SystemResult]) -> str:
    minutes = sum(result.train_s for result in results) / 60
    return f"{minutes:.0f} CPU minutes" if minutes < 100 else f"{minutes / 60:.1f} CPU hours"


def _draw(plan: Plan, reports: Mapping[str, Sequence[Report]]) -> Figure:
    """Draw macro F1 per recording of every run of every system."""
    figure = new_figure(8, 1.2 + 0.5 * len(reports))
    axes = figure.add_subplot()
    for place, of_system in enumerate(reports.values()):
        values = [report["recordings"]["closed"]["macro_f1"]["value"] for report in of_system]
        if len(values) >= VIOLIN:
            axes.violinplot(values, [place], orientation="horizontal", showmedians=True, widths=0.8)
        axes.plot(values, [place] * len(values), "o", color="#27496d", markersize=4)
    axes.set_yticks(range(len(reports)), list(reports))
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel="macro F1 per recording", title=plan.title)
    axes.grid(axis="x", alpha=0.3)
    return figure
