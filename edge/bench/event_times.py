"""How well events begin and end where calls do, on recordings in which every call is marked.

A folder of recordings has `marks.csv` with the columns file, label, common_name, start_s, end_s.
`python -m tests.support.marked` in a checkout makes such folders.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edge.bundle import Bundle, load_bundle
from edge.detect.engines import load_model
from edge.detect.model import Classifier
from edge.detect.tracker import Tracker, TrackerConfig
from edge.detect.windows import windower_of
from edge.errors import UserError
from edge.sources.file import FileSource
from edge.types import Detection, Prediction

__all__ = ["Errors", "Mark", "compare", "event_times", "joined", "marks_in"]

MARKS = "marks.csv"
COLUMNS = {"file", "label", "common_name", "start_s", "end_s"}
HOPS_S = (0.5, 1.0, 1.5, 3.0)
WANTED_S = {True: 0.5, False: 1.0}  # of the median: with frames, and without


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A call from `start_s` to `end_s` of a recording, or several with short pauses."""

    file: Path
    label: str
    common_name: str
    start_s: float
    end_s: float


@dataclass(kw_only=True)
class Errors:
    """How far events begin and end from where the marked calls do, in seconds.

    `marked` calls there were; `apart` of them have one event, and share it with no other.
    """

    marked: int = 0
    apart: int = 0
    start_s: list[float] = field(default_factory=list)
    end_s: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        if not self.start_s:
            return f"0 of {self.marked} calls heard"
        parts = [
            f"{len(self.start_s)} of {self.marked} calls heard, {self.apart} as one event each"
        ]
        for name, errors in (("start", self.start_s), ("end", self.end_s)):
            median, most = np.percentile(errors, (50, 90))
            parts.append(f"{name} off by {median:.2f} s (90 %: {most:.2f} s)")
        return "; ".join(parts)


def event_times(bundle_path: Path, folder: Path) -> Iterator[str]:
    """Yield lines that say how far events are off, for several hops; raises `UserError`."""
    bundle = load_bundle(bundle_path)
    model = load_model(bundle)
    marks, unknown = _named(marks_in(folder), bundle)
    config = TrackerConfig()
    has_frames = bundle.manifest.frame_threshold is not None
    told = "frames" if has_frames else "overlapping windows"
    yield f"events      {bundle.manifest.name} {bundle.digest[:16]}, {told}, {folder}"
    if unknown:
        yield f"  left out, not among the labels: {', '.join(unknown)}"
    for hop_s in (hop_s for hop_s in HOPS_S if hop_s <= bundle.frontend.window_s):
        narrowed, whole = Errors(), Errors()
        for file in sorted({mark.file for mark in marks}):
            wanted = joined([mark for mark in marks if mark.file == file], config.cooldown_s)
            predictions = _predictions(model, file, hop_s)
            compare(wanted, _events(predictions, model, config), narrowed)
            plain = config.model_copy(update={"narrow": False})
            compare(wanted, _events(predictions, model, plain), whole)
        yield f"  hop {hop_s:g} s     {narrowed}"
        yield f"    by windows  {whole}"
    yield f"  wanted: medians of {WANTED_S[has_frames]} s at a fine hop"


def marks_in(folder: Path) -> list[Mark]:
    """Return what is marked in a folder; raises `UserError` where that cannot be read."""
    file = folder / MARKS
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            rows = list(csv.DictReader(opened))
        missing = COLUMNS - set(rows[0] if rows else ())
        if missing:
            raise UserError(f"{file}: has no column {', '.join(sorted(missing))}")
        return [
            Mark(
                file=folder / row["file"],
                label=row["label"],
                common_name=row["common_name"],
                start_s=float(row["start_s"]),
                end_s=float(row["end_s"]),
            )
            for row in rows
        ]
    except OSError as exc:
        raise UserError(f"{file}: {exc.strerror or exc}") from exc
    except (ValueError, csv.Error) as exc:
        raise UserError(f"{file}: cannot be read as marks ({exc})") from exc


def joined(marks: Iterable[Mark], cooldown_s: float) -> list[Mark]:
    """Return the events that the marks of a recording make: what lies close is one."""
    events: list[Mark] = []
    for mark in sorted(marks, key=lambda mark: (mark.label, mark.start_s)):
        last = events[-1] if events else None
        if last and last.label == mark.label and mark.start_s - last.end_s <= cooldown_s:
            events[-1] = replace(last, end_s=max(last.end_s, mark.end_s))
        else:
            events.append(mark)
    return events


def compare(wanted: Sequence[Mark], found: Sequence[Detection], errors: Errors) -> None:
    """Add how far the events that were `found` are off from those that are `wanted`."""
    for mark in wanted:
        errors.marked += 1
        over = [d for d in found if d.label == mark.label and _overlap(d, mark)]
        if not over:
            continue
        errors.start_s.append(abs(min(d.start_s for d in over) - mark.start_s))
        errors.end_s.append(abs(max(d.end_s for d in over) - mark.end_s))
        others = [m for m in wanted if m.label == mark.label and m is not mark]
        errors.apart += len(over) == 1 and not any(_overlap(over[0], other) for other in others)


def _overlap(d: Detection, mark: Mark) -> bool:
    return d.start_s < mark.end_s and mark.start_s < d.end_s


def _named(marks: Sequence[Mark], bundle: Bundle) -> tuple[list[Mark], list[str]]:
    """Return the marks with the bundle's labels, and the names of those that it does not know."""
    labels = {label.label for label in bundle.labels}
    by_name = {label.common_name: label.label for label in bundle.labels}
    known, unknown = [], set()
    for mark in marks:
        label = by_name.get(mark.common_name, mark.label)
        if label in labels:
            known.append(replace(mark, label=label))
        else:
            unknown.add(mark.common_name)
    return known, sorted(unknown)


def _predictions(model: Classifier, file: Path, hop_s: float) -> list[Prediction]:
    spec = model.bundle.frontend
    windower = windower_of(spec, hop_s)
    return [
        model.predict(window)
        for block in FileSource(str(file), sample_rate_hz=spec.sample_rate_hz).blocks()
        for window in windower.push(block)
    ]


def _events(
    predictions: Iterable[Prediction], model: Classifier, config: TrackerConfig
) -> list[Detection]:
    tracker = Tracker(decision=model.decision, identity="bench", config=config)
    found = [d for p in predictions for d in tracker.push(p)]
    return [d for d in (*found, *tracker.flush()) if d.state == "end"]
