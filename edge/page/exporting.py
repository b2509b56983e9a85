"""Answers as files: a table of corrections for `edge-train adapt`, plain CSV, and Raven's.

The table has only what teaches: no unsure answers, none without a clip, and none of the events of
which people say different things.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal, TextIO, get_args

from edge.files import replacing
from edge.page.answers import COLUMNS, Answer, Answers
from edge.replay.formats.guarded import guarded_name, guarded_path
from edge.terminal import printable

__all__ = ["EXPORTS", "Export", "Settled", "copy_clips", "differing", "export"]

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
    """How many answers teach something, about how many events people differ, and how many answers
    are left out for want of a clip. `clips` are those that teach.
    """

    answers: int
    differing: int
    without_clip: int
    clips: Sequence[str]


def differing(answers: Answers) -> set[str]:
    """Return the events of which people say what cannot all be right."""
    by_event = groupby(answers.all("event"), key=lambda answer: answer.event)
    claims = ((event, [one for one in own if one.claim]) for event, own in by_event)
    return {event for event, own in claims if own and not _agree(own)}


def export(answers: Answers, stream: TextIO, form: str, *, clips: Path | None = None) -> Settled:
    """Write all answers in a form of `EXPORTS`; `clips` is the folder that their paths begin with.

    Returns what teaches.
    """
    folder = answers.clips.resolve() if clips is None else clips
    teaching = _Teaching(answers)
    match form:
        case "manifest":
            _table(stream, (*MANIFEST, *BESIDE), (_row(one, folder) for one in teaching))
        case "jsonl":
            names = (*MANIFEST, *BESIDE)
            for one in teaching:
                row = dict(zip(names, _row(one, folder), strict=True))
                stream.write(json.dumps(row) + "\n")
        case "csv":
            _table(stream, COLUMNS, map(_plain, answers.all()))
        case _:
            _raven(stream, answers.all(), folder)
    return teaching.settled()


class _Teaching:
    """The answers that teach something, of which there may be many: read as often as is asked."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._differing = differing(answers)
        self._without_clip = 0

    def __iter__(self) -> Iterator[Answer]:
        self._without_clip = 0
        for one in self._answers.all():
            if one.claim and one.event not in self._differing:
                if one.clip and one.end_s > one.start_s:
                    yield one
                else:
                    self._without_clip += 1

    def settled(self) -> Settled:
        """Return how many there are."""
        clips = [one.clip for one in self]
        return Settled(
            answers=len(clips),
            differing=len(self._differing),
            without_clip=self._without_clip,
            clips=sorted(set(clips)),
        )


def copy_clips(answers: Answers, agreed: Settled, folder: Path) -> None:
    """Copy the clips of answers below `folder`."""
    for name in agreed.clips:
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


def _raven(stream: TextIO, answers: Iterable[Answer], folder: Path) -> None:
    """Write one selection for each answer that has a clip; each clip begins at 0."""
    stream.write("\t".join(RAVEN) + "\n")
    for number, one in enumerate((one for one in answers if one.clip), 1):
        name = one.label or (one.detected if one.answer == "right" else one.answer)
        begin, end = f"{one.start_s:.6f}", f"{one.end_s:.6f}"
        cells = [str(number), "Spectrogram 1", "1", begin, end, "0.0", f"{HIGH_HZ:.1f}"]
        cells += [guarded_path(str(folder / one.clip)), begin, name, one.detected, one.answer]
        cells += [guarded_name(one.who), one.start_utc, one.answered_utc, one.bundle, one.config]
        stream.write("\t".join(map(printable, cells)) + "\n")
