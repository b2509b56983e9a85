"""A small simulated fleet: one head reaches all, although the broker and half of them go down."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.simulated_fleet import simulate

pytestmark = pytest.mark.broker


def test_one_head_reaches_all_recorders_and_none_twice(tmp_path: Path) -> None:
    figures = simulate(tmp_path, recorders=20, per_process=10, head_kb=390.0)
    assert 350 < figures.head_kb <= 400
    assert figures.running == figures.heard == 20
    assert figures.killed == 10
    assert figures.all_s < 300
    assert set(figures.taken.values()) == {1}
    assert len(figures.taken) == 20
    assert figures.answers == Counter({"taken": 20})
