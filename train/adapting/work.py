"""What a head was made of, kept beside it so that it can be taught more: the folder HEAD.work.

recordings.csv, corpus.json    the recordings with their split (`train.corpus.corpus`)
stretches.csv                  when they have their labels, where somebody said so
study.json                     how the head was made, and what was done to it since

The sound itself stays where it is; what the trunk said of it is in the cache.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from edge.bundle.strictjson import NotJsonError, read_json
from edge.errors import UserError
from edge.files import replacing_folder, write_whole
from train.adapting.adapt import Adapted
from train.adapting.marks import Marks
from train.adapting.study import Means, Study
from train.corpus.corpus import read_corpus, write_corpus

__all__ = ["Work", "read_work", "work_folder", "write_work"]

STRETCHES, DESCRIPTION = "stretches.csv", "study.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Work:
    """A study with what else is needed to go on: the trunk's digest, and how its head was made."""

    study: Study
    trunk: str
    hop_s: float
    acceptance: float
    kind: str
    cache: Path
    changes: tuple[str, ...]


def work_folder(head: Path) -> Path:
    """Return where the work of a head is kept."""
    return head.with_name(f"{head.name}.work")


def write_work(head: Path, adapted: Adapted, means: Means, *, trunk: str) -> None:
    """Replace the work folder of a head, whole; raises OSError."""
    description = {
        "format": FORMAT,
        "trunk": trunk,
        "hop_s": means.hop_s,
        "acceptance": means.acceptance,
        "kind": adapted.kind,
        "cache": str(means.cache.resolve()),
        "notes": list(adapted.study.notes),
        "changes": list(adapted.changes),
    }
    with replacing_folder(work_folder(head)) as staging:
        write_corpus(staging, adapted.study.corpus, drawn={})
        adapted.study.marks.write(staging / STRETCHES)
        text = json.dumps(description, indent=1, ensure_ascii=False)
        write_whole(staging / DESCRIPTION, text + "\n")


def read_work(head: Path) -> Work:
    """Return what `write_work` left; raises `UserError` where it is missing or damaged."""
    folder = work_folder(head)
    if not (folder / DESCRIPTION).is_file():
        raise UserError(
            f"{head}: cannot be taught more without {folder}, which is not there",
            suggestion="'edge-train adapt --data' writes it beside a head",
        )
    corpus = read_corpus(folder)
    marks = Marks.read(folder / STRETCHES)
    try:
        values = read_json(folder / DESCRIPTION)
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']}, this program reads {FORMAT}")
        return Work(
            study=Study(corpus=corpus, marks=marks, notes=tuple(map(str, values["notes"]))),
            trunk=str(values["trunk"]),
            hop_s=float(values["hop_s"]),
            acceptance=float(values["acceptance"]),
            kind=str(values["kind"]),
            cache=Path(values["cache"]),
            changes=tuple(map(str, values["changes"])),
        )
    except (OSError, NotJsonError, ValueError, KeyError, TypeError) as exc:
        raise UserError(f"{folder / DESCRIPTION}: cannot be read ({exc})") from exc
