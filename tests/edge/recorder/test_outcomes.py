"""What windows are is in the ledger and the metrics; nothing makes neither event nor clip."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from edge.recorder.daemon import Daemon
from edge.store.outcomes import OUTCOMES
from tests.edge.detect.test_outcomes import ENGINE, RULE
from tests.edge.recorder.test_daemon import rows
from tests.support.bundles import choir_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config

BRIEF = {"cooldown_s": 0.2, "longest_s": 4.0, "update_s": 2.0}
WINDOWS = "windows_label, windows_unknown, windows_other, windows_nothing"


def test_a_recorder_counts_all_four_and_keeps_no_sound_of_nothing(tmp_path: Path) -> None:
    bundle = choir_bundle(
        tmp_path / "choir", labels=ENGINE, animal=RULE, label_thresholds={"high_peeper": 1.0}
    )
    config = write_config(tmp_path, bundle.path, tracker=BRIEF)
    noise = (0.1 * np.random.default_rng(0).standard_normal(20_000)).astype(np.float32)
    sound = np.concatenate([noise, tone(300, 1.5), tone(1000, 1.5), noise, tone(3000, 1.5)])
    recorder = Daemon(config, audio=RealTimeAudio(sound), deliveries=lambda *parts: [])
    with running(recorder):
        until(lambda: hasattr(recorder, "_running"))
        until(lambda: recorder._running.current.effort.total_s("heard") > 9.5)
    found = [json.loads(str(text)) for (text,) in rows(tmp_path, "SELECT payload FROM detections")]
    # The engine is counted, but a recorder keeps animals where it is told no other.
    assert {(p["label"], p["outcome"]) for p in found} == {
        ("mid_whistler", "label"),
        (None, "unknown"),
    }
    assert all(p["animal"] >= 0.5 for p in found if p["label"] is None)
    clips = {file.parent.name for file in (tmp_path / "clips").glob("*/*")}
    assert clips == {"mid_whistler", "unknown"}
    counted = rows(tmp_path, f"SELECT {WINDOWS} FROM effort")
    totals = [sum(column) for column in zip(*counted, strict=True)]
    assert all(total > 0 for total in totals)
    shown = [
        recorder._metrics.registry.get_sample_value(
            "edge_judged_windows_total", {"outcome": outcome}
        )
        for outcome in OUTCOMES
    ]
    assert shown == totals
