"""The recordings a system is trained and judged on, checked and split.

What `edge-train prepare` leaves behind:

prepared/recordings.csv    one line per usable recording; paths relative to the corpus's root
prepared/annotations.csv   what people marked in them, if anything (`train.corpus.annotations`)
prepared/corpus.json       the root, how the split was drawn, and the digest of what may be
                           trained on
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from edge.bundle import Label
from edge.bundle.digest import canonical_digest
from edge.bundle.strictjson import NotJsonError, read_json
from edge.errors import UserError
from edge.files import write_whole
from train.corpus.annotations import Stretch, annotations_table, read_annotations, row_id

__all__ = [
    "ROLES",
    "Corpus",
    "Recording",
    "Role",
    "listed",
    "read_corpus",
    "recordist_key",
    "write_corpus",
]

Role = Literal["known", "unknown", "noise", "background"]
ROLES: tuple[Role, ...] = ("known", "unknown", "noise", "background")
TABLE = "recordings.csv"
ANNOTATIONS = "annotations.csv"
DESCRIPTION = "corpus.json"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One file.

    `split` is test, dev or unused; `fold` counts the folds of dev from 0 (validation by default),
    else -1. `secondary_labels` are what else its author heard in the background, `stretches` what a
    person marked in it. `song_type` is which of its species' songs or calls it has, where that is
    said.
    """

    path: Path
    role: Role
    label: str
    common_name: str = ""
    scientific_name: str = ""
    recording: str = ""
    recordist: str = ""
    seconds: float = 0.0
    licence: str = ""
    source: str = ""
    sha256: str = ""
    split: str = ""
    fold: int = -1
    secondary_labels: tuple[str, ...] = ()
    song_type: str = ""
    stretches: tuple[Stretch, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """All usable recordings, their paths under `root`.

    Positions in `recordings` are what `WindowOutputs.recording` holds.
    """

    root: Path
    recordings: tuple[Recording, ...]

    def of(
        self,
        *,
        split: str | None = None,
        role: Role | None = None,
        folds: Iterable[int] | None = None,
    ) -> tuple[Recording, ...]:
        """Return the recordings of a split, a role and some folds; None stands for all of them."""
        wanted = None if folds is None else set(folds)
        return tuple(
            r
            for r in self.recordings
            if (split is None or r.split == split)
            and (role is None or r.role == role)
            and (wanted is None or r.fold in wanted)
        )

    @cached_property
    def labels(self) -> tuple[Label, ...]:
        """The known species in alphabetical order of their label: the order of the logits."""
        first = {r.label: r for r in reversed(self.of(role="known"))}
        return tuple(
            Label(label=name, common_name=r.common_name or name, scientific_name=r.scientific_name)
            for name, r in sorted(first.items())
        )

    @property
    def folds(self) -> int:
        """How many folds dev has."""
        return 1 + max((r.fold for r in self.recordings), default=-1)

    @cached_property
    def digest(self) -> str:
        """sha256 of what may be trained on.

        It covers the sorted (sha256, role, label) of dev, with secondary labels and annotations
        where there are any. Two runs with this digest could see the same recordings and hear the
        same of them.
        """
        seen = sorted([r.sha256, r.role, r.label, *_remarks(r)] for r in self.of(split="dev"))
        return canonical_digest(seen)


def _remarks(recording: Recording) -> list[Any]:
    """Return what people said of a recording beside its label.

    The list is empty where they said nothing, so that an old corpus keeps its digest.
    """
    stretches = [[s.kind, s.start_s, s.end_s] for s in recording.stretches]
    if not (recording.secondary_labels or stretches):
        return []
    return [list(recording.secondary_labels), stretches]


def recordist_key(name: str) -> str:
    """Return one key for the spellings of one person, "" for no name.

    "(c) Dan Lane, some rights reserved" = "Daniel Lane" = "LANE Daniel". Words are cut to three
    letters and sorted. Two people under one key only make the split stricter; one person under two
    keys would be heard in training and in the test.
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = re.sub(
        r"^\s*(\(c\)|©|copyright)\s*|,\s*(some|all|no) rights reserved.*$|\s*/\s*inaturalist.*$",
        "",
        plain,
    )
    words = re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c)))
    if len(words) < 2:
        return " ".join(words)
    return " ".join(sorted(word[:3] if word.isalpha() else word for word in words))


COLUMNS = tuple(f.name for f in dataclasses.fields(Recording) if f.name != "stretches")


def write_corpus(prepared: Path, corpus: Corpus, *, drawn: dict[str, Any]) -> None:
    """Write the files into the folder `prepared`; `drawn` says how the split was made."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for r in corpus.recordings:
        row = {name: getattr(r, name) for name in COLUMNS}
        row |= {"path": listed(r.path, corpus.root), "seconds": f"{r.seconds:.3f}"}
        writer.writerow({**row, "secondary_labels": ";".join(r.secondary_labels)})
    write_whole(prepared / TABLE, table.getvalue())
    marked = [(row_id(r.label, r.path), r.stretches) for r in corpus.recordings if r.stretches]
    if marked:
        write_whole(prepared / ANNOTATIONS, annotations_table(marked))
    else:
        (prepared / ANNOTATIONS).unlink(missing_ok=True)  # of a preparation before this one
    description = {"format_version": 1, "root": str(corpus.root), "digest": corpus.digest, **drawn}
    write_whole(
        prepared / DESCRIPTION, json.dumps(description, indent=1, ensure_ascii=False) + "\n"
    )


def listed(path: Path, root: Path) -> str:
    """Return a path below the root, or all of one that is elsewhere, as synthesised noise is."""
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def read_corpus(prepared: Path | str) -> Corpus:
    """Read what `prepare` wrote; raises `UserError`, also when it was edited since."""
    prepared = Path(prepared)
    try:
        description = read_json(prepared / DESCRIPTION)
        root = Path(description["root"])
        with (prepared / TABLE).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        plain = tuple(_recording(row, root) for row in rows)
        recordings = _annotated(prepared / ANNOTATIONS, plain)
    except FileNotFoundError as exc:
        missing = Path(exc.filename).name
        raise UserError(
            f"{prepared}: not a prepared corpus ({missing} is missing); run 'edge-train prepare'"
        ) from exc
    except (OSError, NotJsonError, ValueError, KeyError, TypeError) as exc:
        raise UserError(
            f"{prepared}: cannot be read as a prepared corpus ({exc}); run 'edge-train prepare' "
            "again"
        ) from exc
    corpus = Corpus(root=root, recordings=recordings)
    if corpus.digest != description.get("digest"):
        files = f"{TABLE} or {ANNOTATIONS}" if any(r.stretches for r in recordings) else TABLE
        raise UserError(
            f"{prepared}: {files} was edited after 'edge-train prepare' (the digest does not "
            "match); prepare it again"
        )
    return corpus


def _recording(row: dict[str, Any], root: Path) -> Recording:
    if row["role"] not in ROLES:
        raise ValueError(f"role '{row['role']}' is none of {', '.join(ROLES)}")
    typed = {"path": root / row["path"], "seconds": float(row["seconds"]), "fold": int(row["fold"])}
    # A corpus from before there were any has none.
    secondary = tuple(filter(None, (row.get("secondary_labels") or "").split(";")))
    return Recording(**{**row, **typed, "secondary_labels": secondary})


def _annotated(table: Path, recordings: tuple[Recording, ...]) -> tuple[Recording, ...]:
    if not table.exists():
        return recordings
    marked = read_annotations(table, [(r.label, r.path) for r in recordings])
    return tuple(
        dataclasses.replace(r, stretches=marked[r.path].within(r.seconds))
        if r.path in marked
        else r
        for r in recordings
    )
