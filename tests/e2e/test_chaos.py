"""A minute of every trouble at once: `make chaos` is the longer one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.chaos import chaos

pytestmark = [pytest.mark.audio, pytest.mark.broker, pytest.mark.mount]


def test_nothing_is_lost_doubled_or_left_open_by_a_minute_of_chaos(tmp_path: Path) -> None:
    outcome = chaos(tmp_path, minutes=1.0, seed=5)
    assert outcome.faults == []
    assert len(outcome.troubles) == 9, outcome.troubles  # each kind
    assert outcome.audit.events >= 10
    assert outcome.audit.waiting == 0
    assert max(outcome.memory_mb) < 200
