"""Windows that were found as a table, as CSV, and as selections for Raven."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import TextIO

from edge.archive.hits import Hit
from edge.replay.formats.guarded import guarded_path
from edge.terminal import printable

__all__ = ["hit_lines", "write_hits_csv", "write_hits_raven"]

CSV_COLUMNS = (
    "rank",
    "similarity",
    # As tables of corrections have them.
    *("path", "start_s", "end_s", "label"),
    *("start_utc", "start_local"),
)
RAVEN_COLUMNS = (
    *("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"),
    *("Low Freq (Hz)", "High Freq (Hz)", "Begin Path", "File Offset (s)"),
    *("Rank", "Similarity", "Detected"),
)


def hit_lines(hits: Sequence[Hit]) -> Iterator[str]:
    """Yield lines for people: how near, what was detected there, when, and where."""
    labels = [printable(hit.label) for hit in hits]
    width = max([len("detected"), *map(len, labels)])
    yield f"{'':>4}  near   {'detected':{width}}  {'from (s)':>9}  recording"
    for hit, label in zip(hits, labels, strict=True):
        when = hit.local or hit.utc.partition(".")[0] or "no date"
        yield (
            f"{hit.rank:>4}  {hit.similarity:.3f}  {label:{width}}  {hit.start_s:9.2f}  "
            f"{printable(hit.recording.file)}  {when}"
        )


def write_hits_csv(stream: TextIO, hits: Sequence[Hit]) -> None:
    """Write a row for each."""
    rows = csv.writer(stream, lineterminator="\n")
    rows.writerow(CSV_COLUMNS)
    for hit in hits:
        span = (f"{hit.start_s:.3f}", f"{hit.end_s:.3f}")
        path = guarded_path(hit.recording.file)
        similarity = f"{hit.similarity:.4f}"
        rows.writerow([hit.rank, similarity, path, *span, hit.label, hit.utc, hit.local])


def write_hits_raven(stream: TextIO, hits: Sequence[Hit]) -> None:
    """Write a selection for each; recordings follow each other in the order of their best.

    What was detected is no label of a selection: that is what the person who listens gives it.
    """
    begins_s: dict[str, float] = {}
    end_s = 0.0
    stream.write("\t".join(RAVEN_COLUMNS) + "\n")
    for hit in hits:
        recording = hit.recording
        if recording.path not in begins_s:
            begins_s[recording.path] = end_s
            end_s += recording.duration_s
        begin_s = begins_s[recording.path]
        cells = (
            str(hit.rank),
            "Spectrogram 1",
            "1" if recording.channel == "mix" else str(recording.channel),
            f"{begin_s + hit.start_s:.6f}",
            f"{begin_s + hit.end_s:.6f}",
            "0.0",
            f"{recording.clock.sample_rate_hz / 2:.1f}",
            guarded_path(recording.file),
            f"{hit.start_s:.6f}",
            str(hit.rank),
            f"{hit.similarity:.4f}",
            hit.label,
        )
        stream.write("\t".join(map(printable, cells)) + "\n")
