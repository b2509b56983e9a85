"""Answers as files: a table of corrections for `edge-train adapt`, plain CSV, and Raven's.

The table has only what teaches: no unsure answers, none without a clip, and none of the events of
which people say different things.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO, get_args

from edge.files import replacing
from edge.page.answers import COLUMNS, Answer, Answers
from edge.replay.formats.cells import guarded_name, guarded_path
from edge.terminal import printable

__all__ = ["EXPORTS", "Export", "Settled", "copy_clips", "export", "settled"]

Export = Literal["manifest", "jsonl", "csv", "raven"]
EXPORTS: tuple[Export, ...] = get_args(Export)
# What `edge-train adapt` reads comes first.
MANIFEST = ("path", "start_s", "end_s", "label", "answer", "who")
BESIDE = ("id", "start_utc", "end_utc", "score", "answered_utc", "bundle", "config", "cluster")
RAVEN = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)"),
    *("High Freq (Hz)", "Begin Path", "File Offset (s)", "Annotation", "Detected", "Answer", "Who"),
    *("start_utc", "answered_utc", "bundle", "config"),
)
HIGH_HZ = 24_000.0  # of the box that Raven draws; answers are about all of the band


@dataclass(frozen=True, kw_only=True)
class Settled:
    """The answers that teach something, how many events people differ about, and what is left out
    for want of a clip.
    """

    answers: Sequence[Answer]
    differing: int
    without_clip: int


def settled(answers: Iterable[Answer]) -> Settled:
    """Return the answers on which people agree."""
    by_event: dict[str, list[Answer]] = {}
    for answer in answers:
        if answer.claim:
            by_event.setdefault(answer.event, []).append(answer)
    agreed = [own for own in by_event.values() if _agree(own)]
    kept = [one for own in agreed for one in own]
    with_clip = [one for one in kept if one.clip and one.end_s > one.start_s]
    return Settled(
        answers=with_clip,
        differing=len(by_event) - len(agreed),
        without_clip=len(kept) - len(with_clip),
    )


def export(answers: Answers, stream: TextIO, form: str, *, clips: Path | None = None) -> Settled:
    """Write all answers in a form of `EXPORTS`; `clips` is the folder that their paths begin with.

    Returns what teaches.
    """
    found = answers.all()
    agreed = settled(found)
    folder = answers.clips.resolve() if clips is None else clips
    match form:
        case "manifest":
            _table(stream, (*MANIFEST, *BESIDE), [_row(one, folder) for one in agreed.answers])
        case "jsonl":
            names = (*MANIFEST, *BESIDE)
            for one in agreed.answers:
                row = dict(zip(names, _row(one, folder), strict=True))
                stream.write(json.dumps(row) + "\n")
        case "csv":
            _table(stream, COLUMNS, [_plain(one) for one in found])
        case _:
            _raven(stream, found, folder)
    return agreed


def copy_clips(answers: Answers, agreed: Settled, folder: Path) -> None:
    """Copy the clips of answers below `folder`."""
    for name in sorted({one.clip for one in agreed.answers}):
        with replacing(folder / name) as staging:
            shutil.copyfile(answers.clips / name, staging)


def _agree(answers: Sequence[Answer]) -> bool:
    """Return whether answers on one event can all be right."""
    meanings = {_meaning(one) for one in answers}
    if answers[0].detected not in meanings:
        meanings.discard("wrong")  # whoever names another says so, too
    return len(meanings) < 2


def _meaning(answer: Answer) -> str:
    return answer.detected if answer.claim == "right" else answer.claim


def _row(answer: Answer, folder: Path) -> list[object]:
    return [
        str(folder / answer.clip),
        round(answer.start_s, 6),
        round(answer.end_s, 6),
        answer.detected,
        answer.claim,
        guarded_name(answer.who),
        answer.event,
        *(getattr(answer, name) for name in BESIDE[1:]),
    ]


def _plain(answer: Answer) -> list[object]:
    cells = dict(zip(COLUMNS, (getattr(answer, name) for name in COLUMNS), strict=True))
    return list({**cells, "who": guarded_name(answer.who)}.values())


def _table(stream: TextIO, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)


def _raven(stream: TextIO, answers: Sequence[Answer], folder: Path) -> None:
    """Write one selection for each answer that has a clip; each clip begins at 0."""
    rows: list[tuple[str, ...]] = [RAVEN]
    for number, one in enumerate((one for one in answers if one.clip), 1):
        name = one.label or (one.detected if one.answer == "right" else one.answer)
        begin, end = f"{one.start_s:.6f}", f"{one.end_s:.6f}"
        cells = [str(number), "Spectrogram 1", "1", begin, end, "0.0", f"{HIGH_HZ:.1f}"]
        cells += [guarded_path(str(folder / one.clip)), begin, name, one.detected, one.answer]
        cells += [guarded_name(one.who), one.start_utc, one.answered_utc, one.bundle, one.config]
        rows.append(tuple(cells))
    for row in rows:
        stream.write("\t".join(map(printable, row)) + "\n")
