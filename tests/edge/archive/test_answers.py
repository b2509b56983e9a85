"""A part of any length is read in batches, in which each window comes with those beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge.archive.answers import PartAnswers
from edge.archive.keeping import Keeps
from edge.archive.parquet import Row, table_of, write_table

RATE_HZ, WINDOW, DIMENSIONS, LABELS = 1_000, 5_000, 3, 2
WINDOWS = {"a.wav": 700, "b.wav": 1, "c.wav": 300, "d.wav": 2}
DEAD = {5, 6, 699, 702, 1002}  # rows


def halves(count: int, number: float) -> bytes:
    return np.full(count, number, "<f2").tobytes()


@pytest.fixture
def part(tmp_path: Path) -> PartAnswers:
    rows: list[Row] = []
    schema = Keeps(embeddings="float16").schema("embeddings")
    for path, count in WINDOWS.items():
        for i in range(count):
            k = len(rows)
            is_dead = k in DEAD
            rows.append(
                {
                    "path": path,
                    "site": "pond",
                    "start_sample": i * RATE_HZ,
                    "end_sample": i * RATE_HZ + WINDOW,
                    "sample_rate_hz": RATE_HZ,
                    **{"rms_dbfs": -9.0, "peak_dbfs": -1.0, "clip_ratio": 0.0, "dc": 0.0},
                    "dead": is_dead,
                    "stuck": False,
                    "sound_from": [k, k + 1] if k % 100 == 7 else [],
                    "embedding": None if is_dead else halves(DIMENSIONS, k / 2048),
                    "logits": None if is_dead else halves(LABELS, k),
                }
            )
    write_table(tmp_path / "part.parquet", [table_of(rows, schema)], schema)
    return PartAnswers(tmp_path / "part.parquet", DIMENSIONS, LABELS)


@pytest.mark.parametrize("most_bytes", [1, 500, 5_000, 10**9])
def test_each_window_is_next_once_and_has_its_neighbours(
    part: PartAnswers, most_bytes: int
) -> None:
    assert {span.path: span.count for span in part.spans} == WINDOWS
    following, seen = 0, []
    for batch in part.batches(most_bytes):
        windows, logits = batch.windows, batch.answer.logits
        assert batch.first == following
        following = batch.end
        assert len(windows.start) == len(logits)
        rows = np.arange(batch.start, batch.start + len(logits))
        expected = np.where(np.isin(rows, list(DEAD)), 0, rows)
        np.testing.assert_array_equal(logits[:, 0], expected.astype(np.float16))
        for row in range(batch.first, batch.end):
            i = row - batch.start
            seen.append(windows.breaks.get(i, []))
            if row > batch.first or i == 0:
                continue
            # The first one that is next: all that share audio with it are there, and one more.
            before = int((windows.recording[:i] == windows.recording[i]).sum())
            assert before >= min(WINDOW // RATE_HZ, int(windows.start[i]) // RATE_HZ)
        if batch.end > batch.first:
            last, is_last = batch.end - 1 - batch.start, batch.end == len(expected) + batch.start
            ends_here = any(span.end == batch.end for span in part.spans)
            assert ends_here or not is_last
            assert last >= 0
    assert following == sum(WINDOWS.values())
    assert seen == [[k, k + 1] if k % 100 == 7 else [] for k in range(following)]


def test_batches_are_as_large_as_they_may_be(part: PartAnswers) -> None:
    sizes = [len(batch.windows.start) for batch in part.batches(5_000)]
    assert len(sizes) > 3
    assert max(sizes) < 400
    assert [len(batch.windows.start) for batch in part.batches()] == [sum(WINDOWS.values())]


def test_what_is_gone_or_damaged_has_nothing(tmp_path: Path) -> None:
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1")
    for name in ("gone.parquet", "damaged.parquet"):
        part = PartAnswers(tmp_path / name, DIMENSIONS, LABELS)
        assert (part.spans, list(part.batches())) == ([], [])
