"""How far a job has come, said once a minute where nobody sees a bar."""

from __future__ import annotations

from collections import Counter

import pytest

from edge.archive.hear import Summary
from edge.archive.progress import archive_progress


def test_without_a_terminal_it_says_so_once_a_minute(capsys: pytest.CaptureFixture[str]) -> None:
    now_s = 0.0
    summary = Summary()
    with archive_progress(100, summary, now_s=lambda: now_s) as report:
        for minute in range(3):
            for part in range(10):
                now_s = 60.0 * minute + 6.0 * part
                summary.fates = Counter({"heard": 10 * minute + part})
                summary.audio_s = 3600.0 * (10 * minute + part)
                report.advance(summary.done)
    first, second = capsys.readouterr().err.splitlines()
    assert first == (
        "10/100 files, 10.0 h of audio, 600 x, about 9 min left: 10 heard, 10.00 h heard"
    )
    assert second.startswith("20/100 files, 20.0 h of audio, 600 x, about 8 min left: ")
