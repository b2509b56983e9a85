"""The recordings a system is trained and judged on, checked and split; what `edge-train prepare` leaves behind.

prepared/recordings.csv   one line per usable recording; paths relative to the corpus's root
prepared/corpus.json      the root, how the split was drawn, and the digest of what may be trained on
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
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
from edge.errors import UserError
from train.files import write_text

__all__ = ["ROLES", "Corpus", "Recording", "Role", "read_corpus", "recordist_key", "write_corpus"]

Role = Literal["known", "unknown", "noise", "background"]
ROLES: tuple[Role, ...] = ("known", "unknown", "noise", "background")
TABLE, DESCRIPTION = "recordings.csv", "corpus.json"


@dataclass(frozen=True, kw_only=True)
class Recording:
    """One file. `split` is test, dev or unused; `fold` counts the folds of dev from 0 (validation by default), else -1."""

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


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """All usable recordings, their paths under `root`. Positions in `recordings` are what `WindowOutputs.recording` holds."""

    root: Path
    recordings: tuple[Recording, ...]

    def of(
        self, *, split: str | None = None, role: Role | None = None, folds: Iterable[int] | None = None
    ) -> tuple[Recording, ...]:
        """The recordings of a split, a role and some folds; None stands for all of them."""
        wanted = None if folds is None else set(folds)
        return tuple(
            r
            for r in self.recordings
            if (split is None or r.split == split) and (role is None or r.role == role) and (wanted is None or r.fold in wanted)
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
        """sha256 of the sorted (sha256, role, label) of dev: two runs with this digest could see the same recordings."""
        seen = sorted([r.sha256, r.role, r.label] for r in self.of(split="dev"))
        return hashlib.sha256(json.dumps(seen).encode()).hexdigest()


def recordist_key(name: str) -> str:
    """One key for the spellings of one person: "(c) Dan Lane, some rights reserved" = "Daniel Lane" = "LANE Daniel"; "" for nobody.

    Words are cut to three letters and sorted. Two people under one key only make the split stricter; one person under two
    keys would be heard in training and in the test.
    """
    plain = unicodedata.normalize("NFKD", name.casefold())
    plain = re.sub(r"^\s*(\(c\)|©|copyright)\s*|,\s*(some|all|no) rights reserved.*$|\s*/\s*inaturalist.*$", "", plain)
    words = re.findall(r"\w+", "".join(c for c in plain if not unicodedata.combining(c)))
    return " ".join(words) if len(words) < 2 else " ".join(sorted(word[:3] if word.isalpha() else word for word in words))


COLUMNS = tuple(f.name for f in dataclasses.fields(Recording))


def write_corpus(prepared: Path, corpus: Corpus, *, drawn: dict[str, Any]) -> None:
    """Write both files into the folder `prepared`; `drawn` says how the split was made."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for r in corpus.recordings:
        row = {name: getattr(r, name) for name in COLUMNS}
        writer.writerow({**row, "path": r.path.relative_to(corpus.root).as_posix(), "seconds": f"{r.seconds:.3f}"})
    write_text(prepared / TABLE, table.getvalue())
    description = {"format_version": 1, "root": str(corpus.root), "digest": corpus.digest, **drawn}
    write_text(prepared / DESCRIPTION, json.dumps(description, indent=1, ensure_ascii=False) + "\n")


def read_corpus(prepared: Path | str, *, root: Path | str | None = None) -> Corpus:
    """Read what `prepare` wrote; `root` is where the audio lies now, if it was moved since."""
    prepared = Path(prepared)
    try:
        description = json.loads((prepared / DESCRIPTION).read_text(encoding="utf-8"))
        base = Path(root if root is not None else description["root"])
        with (prepared / TABLE).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        recordings = tuple(_recording(row, base) for row in rows)
    except FileNotFoundError as exc:
        missing = Path(exc.filename).name
        raise UserError(f"{prepared}: not a prepared corpus ({missing} is missing); run 'edge-train prepare'") from exc
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise UserError(f"{prepared}: cannot be read as a prepared corpus ({exc}); run 'edge-train prepare' again") from exc
    corpus = Corpus(root=base, recordings=recordings)
    if corpus.digest != description.get("digest"):
        raise UserError(f"{prepared / TABLE}: was edited after 'edge-train prepare' (its digest does not match); prepare it again")
    return corpus


def _recording(row: dict[str, Any], root: Path) -> Recording:
    if row["role"] not in ROLES:
        raise ValueError(f"role '{row['role']}' is none of {', '.join(ROLES)}")
    typed = {"path": root / row["path"], "seconds": float(row["seconds"]), "fold": int(row["fold"])}
    return Recording(**{**row, **typed})
