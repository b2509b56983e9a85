"""Which kinds of sounds a recorder keeps: animals and what is unknown, if it is told no other."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edge.recorder.daemon import Daemon
from tests.edge.recorder.test_daemon import rows
from tests.support.bundles import LABELS, tiny_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config

BRIEF = {"cooldown_s": 0.2, "longest_s": 4.0, "update_s": 2.0}


@pytest.mark.parametrize(
    ("kinds", "kept"),
    [
        (None, {("mid_whistler", "animal")}),
        (["machine"], {("low_hummer", "machine")}),
        (["animal", "machine"], {("low_hummer", "machine"), ("mid_whistler", "animal")}),
        ([], set()),
    ],
)
def test_only_kinds_that_are_wanted_are_kept_and_each_says_its_kind(
    tmp_path: Path, kinds: list[str] | None, kept: set[tuple[str, str]]
) -> None:
    engine = dataclasses.replace(LABELS[0], kind="machine")
    bundle = tiny_bundle(tmp_path / "tiny", labels=(engine, *LABELS[1:]))
    events = {"unknown": False, **({} if kinds is None else {"kinds": kinds})}
    config = write_config(tmp_path, bundle.path, tracker=BRIEF, events=events)
    sound = np.concatenate([tone(300, 1.5), tone(1000, 1.5)])
    recorder = Daemon(config, audio=RealTimeAudio(sound), deliveries=lambda *parts: [])
    with running(recorder):
        until(lambda: hasattr(recorder, "_running"))
        until(lambda: recorder._running.current.effort.total_s("heard") > 3.5)
    found = [json.loads(str(text)) for (text,) in rows(tmp_path, "SELECT payload FROM detections")]
    assert {(payload["label"], payload["kind"]) for payload in found} == kept
    clips = {file.parent.name for file in (tmp_path / "clips").glob("*/*")}
    assert clips <= {label for label, _ in kept}
