"""`edge-train prepare`: list, check, split, and say what was found.

prepared/recordings.csv    with annotations.csv and corpus.json the corpus (`train.corpus.corpus`)
prepared/quarantine.csv    what cannot be used, and why
prepared/summary.md        for people
prepared/noise/            sounds to reject, made where the collection has no noise
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track

from edge.errors import UserError
from edge.files import write_whole
from edge.terminal import printable
from train.corpus.annotations import Marked, read_annotations
from train.corpus.corpus import Corpus, Recording, listed, write_corpus
from train.corpus.further import split_all
from train.corpus.quality import Checked, check_files
from train.corpus.readers import Layout, Listing, read_listing
from train.corpus.song_types import keep_unseen
from train.corpus.splits import SplitPlan
from train.corpus.summary import summarise
from train.corpus.synthesised import with_noise

__all__ = ["QUARANTINE", "Prepared", "Rejected", "prepare", "usable_recordings"]


QUARANTINE = "quarantine.csv"
AS_USUAL = SplitPlan()


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A recording in quarantine."""

    recording: Recording
    reason: str

    @property
    def name(self) -> str:
        """The name of its file, as it can be shown and written, whatever bytes it has."""
        return printable(self.recording.path.name)


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The corpus that was written, what was left out, and the summary for people (Markdown)."""

    corpus: Corpus
    quarantine: tuple[Rejected, ...]
    summary: str


def prepare(
    source: Path | str | Sequence[Path],
    prepared: Path | str,
    *,
    layout: Layout = "auto",
    plan: SplitPlan = AS_USUAL,
    workers: int = 2,
    annotations: Path | None = None,
    keep_types: bool = False,
) -> Prepared:
    """Read the collection `source`, check every file, split it by the `plan`, and write the corpus.

    The corpus is in the folder `prepared`. `annotations` is a table of what a person marked in some
    of the recordings (`train.corpus.annotations`). Of several collections the first is split, and
    the others train and validate beside it (`train.corpus.further`). With `keep_types` the test has
    types of song that are not in training (`train.corpus.song_types`). Raises `UserError`.
    """
    prepared = Path(prepared).resolve()
    first, *more = [source] if isinstance(source, str | Path) else source
    listing = read_listing(first, layout=layout)
    _refuse_contradictions(listing)
    marked = _read_marked(annotations, listing)
    usable, quarantine = usable_recordings(listing, workers=workers)
    usable = _annotate(usable, marked)
    _refuse_hopeless(first, usable, quarantine)
    usable = with_noise(usable, prepared / "noise")
    further, also = _further(more, workers=workers)
    recordings, _ = split_all(usable, further, plan=plan)
    if keep_types:
        recordings = keep_unseen(recordings, by=plan.by)
    also += _kept_out([r for _, own in further for r in own], recordings)
    quarantine = (*quarantine, *also)
    corpus = Corpus(root=listing.root, recordings=recordings)
    summary = summarise(corpus, Counter(rejected.reason.split(" (")[0] for rejected in quarantine))
    _write_quarantine(prepared / QUARANTINE, quarantine, listing.root)
    drawn = {"layout": listing.layout, **dataclasses.asdict(plan)}
    write_corpus(prepared, corpus, drawn={**drawn, **({"keep_types": True} if keep_types else {})})
    write_whole(prepared / "summary.md", summary)
    return Prepared(corpus=corpus, quarantine=quarantine, summary=summary)


def _further(
    sources: Sequence[Path | str], *, workers: int
) -> tuple[list[tuple[Path, list[Recording]]], list[Rejected]]:
    """Return what can be used of further collections, and what cannot."""
    found: list[tuple[Path, list[Recording]]] = []
    rejected: list[Rejected] = []
    for source in sources:
        usable, quarantine = usable_recordings(read_listing(source), workers=workers)
        found.append((Path(source), usable))
        rejected += quarantine
    return found, rejected


def _kept_out(further: Sequence[Recording], placed: Sequence[Recording]) -> list[Rejected]:
    """Return the further recordings that are in no part of the corpus."""
    there = {r.path for r in placed}
    reason = "is in the first collection, or by people or of species of its test"
    return [Rejected(recording=r, reason=reason) for r in further if r.path not in there]


def usable_recordings(
    listing: Listing, *, workers: int
) -> tuple[list[Recording], tuple[Rejected, ...]]:
    """Read every file of a listing; return what can be used, and what cannot, with the reason."""
    return _sort_out(listing.recordings, _check(listing.recordings, workers=workers))


def _read_marked(annotations: Path | None, listing: Listing) -> dict[Path, Marked]:
    if annotations is None:
        return {}
    return read_annotations(annotations, [(r.label, r.path) for r in listing.recordings])


def _annotate(recordings: Sequence[Recording], marked: Mapping[Path, Marked]) -> list[Recording]:
    """Return the recordings with what was marked in them; only now is their length known."""
    return [
        dataclasses.replace(r, stretches=marked[r.path].within(r.seconds))
        if r.path in marked
        else r
        for r in recordings
    ]


def _refuse_contradictions(listing: Listing) -> None:
    known = {r.label for r in listing.recordings if r.role == "known"}
    both = sorted(known & {r.label for r in listing.recordings if r.role == "unknown"})
    if both:
        raise UserError(
            f"{listing.root}: '{both[0]}' is listed both as a known and as an unknown species"
        )


def _check(recordings: Sequence[Recording], *, workers: int) -> list[Checked]:
    console = Console(stderr=True)
    checks = check_files([r.path for r in recordings], workers=workers)
    bar = track(
        checks,
        "checking recordings",
        total=len(recordings),
        console=console,
        disable=not console.is_terminal,
    )
    return list(bar)


def _sort_out(
    recordings: Sequence[Recording], checked: Sequence[Checked]
) -> tuple[list[Recording], tuple[Rejected, ...]]:
    """Return usable recordings, with measured length and sha256, and the rejected ones.

    The second of two equal files is a duplicate.
    """
    usable: dict[str, Recording] = {}
    quarantine = []
    for recording, result in zip(recordings, checked, strict=True):
        first = usable.get(result.sha256)
        reason = result.fault or (
            f"duplicate (same content as {first.path.name}, {first.role} {first.label})"
            if first
            else ""
        )
        if reason:
            quarantine.append(Rejected(recording=recording, reason=reason))
        else:
            usable[result.sha256] = dataclasses.replace(
                recording, sha256=result.sha256, seconds=round(result.seconds, 3)
            )
    return list(usable.values()), tuple(quarantine)


def _refuse_hopeless(
    source: Path | str, usable: Sequence[Recording], quarantine: Sequence[Rejected]
) -> None:
    known = {r.label for r in usable if r.role == "known"}
    if len(known) >= 2:
        return
    what = f"only one known species ('{known.pop()}')" if known else "no known species"
    why = ""
    if quarantine:
        why = f"; {len(quarantine)} files cannot be used, the first: {quarantine[0].reason}"
    raise UserError(f"{source}: has usable recordings of {what}, at least two are needed{why}")


def _write_quarantine(path: Path, quarantine: Sequence[Rejected], root: Path) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["path", "role", "label", "reason"])
    for q in quarantine:
        shown = printable(listed(q.recording.path, root))
        writer.writerow([shown, q.recording.role, q.recording.label, q.reason])
    write_whole(path, table.getvalue())
