"""A recorder withholds what its configuration calls private, and says so everywhere."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from edge.bundle import Bundle
from edge.cli import main
from edge.recorder.daemon import Daemon
from edge.store.effort import Fate
from edge.types import Array
from tests.edge.recorder.test_check import all_findings
from tests.edge.recorder.test_daemon import rows
from tests.support.bundles import LABELS, tiny_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.lives import silence

BRIEF = {"cooldown_s": 0.2, "longest_s": 8.0, "update_s": 2.0}
FATES: tuple[Fate, ...] = ("heard", "lost", "gated", "dropped", "private")
# A whistle alone, then one to which somebody hums.
SOUND = np.concatenate(
    [silence(1.0), tone(1000, 1.5), silence(3.0), tone(1000, 1.5), tone(300, 1.5), silence(2.0)]
)


@pytest.fixture
def people(tmp_path: Path) -> Bundle:
    """A bundle whose low hum is that of people, and whose peeper is a dog."""
    dog = dataclasses.replace(LABELS[2], label="dog", common_name="Dog")
    return tiny_bundle(
        tmp_path / "people", labels=(dataclasses.replace(LABELS[0], kind="human"), LABELS[1], dog)
    )


def live(folder: Path, bundle: Bundle, sound: Array = SOUND, **sections: Any) -> Daemon:
    """Return a recorder that has heard all of `sound`, and been stopped."""
    given = {
        "tracker": BRIEF,
        "events": {"unknown": False, "kinds": ["animal", "human"]},
        "clips": {"folder": str(folder / "clips"), "reserve_mb": 1.0, "padding_s": 0.4},
        **sections,
    }
    daemon = Daemon(
        write_config(folder, bundle.path, **given),
        audio=RealTimeAudio(sound),
        deliveries=lambda *parts: [],
    )
    with running(daemon):
        until(lambda: hasattr(daemon, "_running"))
        length_s = len(sound) / 8000
        effort = daemon._running.current.effort
        until(lambda: sum(map(effort.total_s, FATES)) > length_s, 60)
    return daemon


def ends(folder: Path) -> list[dict[str, Any]]:
    query = "SELECT payload FROM detections WHERE state = 'end' ORDER BY number"
    return [json.loads(str(text)) for (text,) in rows(folder, query)]


def clips(folder: Path) -> set[str]:
    return {f"{file.parent.name}/{file.name}" for file in (folder / "clips").glob("*/*")}


def counted(daemon: Daemon, name: str, outcome: str) -> float | None:
    return daemon._metrics.registry.get_sample_value(name, {"outcome": outcome})


def test_a_clip_with_people_is_withheld_and_event_ledger_and_metrics_say_so(
    tmp_path: Path, people: Bundle
) -> None:
    daemon = live(tmp_path, people)
    alone, with_people, hum, *_ = ends(tmp_path)
    assert [e["label"] for e in (alone, with_people, hum)] == [
        "mid_whistler",
        "mid_whistler",
        "low_hummer",
    ]
    assert "clip_withheld" not in alone
    assert alone["clip"] in clips(tmp_path)
    withheld = [e for e in ends(tmp_path) if "clip_withheld" in e]
    assert withheld[:2] == [with_people, hum]
    for event in withheld:
        assert event["clip"] is None
        assert event["clip_withheld"]["reason"] == "privacy"
        assert event["clip_withheld"]["label"] == "low_hummer"
        assert event["clip_withheld"]["score"] > 0.5
    assert clips(tmp_path) == {e["clip"] for e in ends(tmp_path) if e["clip"]}
    ((count, private_s),) = rows(tmp_path, "SELECT sum(clips_withheld), sum(private_s) FROM effort")
    assert (count, private_s) == (len(withheld), 0.0)
    assert counted(daemon, "edge_clips_total", "withheld") == len(withheld)
    assert counted(daemon, "edge_clips_total", "refused") == 0


def test_what_is_to_be_kept_is_kept(tmp_path: Path, people: Bundle) -> None:
    live(tmp_path, people, privacy={"speech": "keep"})
    assert len(clips(tmp_path)) == len(ends(tmp_path)) >= 3


def test_windows_with_people_give_nothing_and_the_ledger_still_adds_up(
    tmp_path: Path, people: Bundle
) -> None:
    daemon = live(tmp_path, people, privacy={"speech": "drop_window"})
    assert {e["label"] for e in ends(tmp_path)} == {"mid_whistler"}
    states = rows(tmp_path, "SELECT DISTINCT json_extract(payload, '$.label') FROM detections")
    assert states == [("mid_whistler",)]
    columns = " + ".join(f"{fate}_s" for fate in FATES)
    query = f"SELECT {columns}, (end_sample - start_sample) / 8000.0, private_s FROM effort"
    found = [tuple(map(float, row)) for row in rows(tmp_path, query)]  # type: ignore[arg-type]
    known = [row for row in found if row[0]]
    assert known
    for total_s, elapsed_s, _ in known:
        assert total_s == pytest.approx(elapsed_s, abs=1e-6)
    assert 1.0 < sum(private_s for *_, private_s in known) < 4.0
    assert (counted(daemon, "edge_windows_total", "private") or 0) >= 3


def test_barking_is_withheld_where_that_is_wanted(tmp_path: Path, people: Bundle) -> None:
    sound = np.concatenate([silence(1.0), tone(3000, 1.5), silence(1.5)])
    live(tmp_path, people, sound, privacy={"dog": "drop_clip"})
    (bark, *_) = ends(tmp_path)
    assert (bark["label"], bark["clip_withheld"]["label"]) == ("dog", "dog")
    assert clips(tmp_path) == set()


@pytest.mark.parametrize("speech", [None, "drop_clip", "drop_window", "keep"])
def test_a_model_without_such_labels_warns_where_it_was_asked(
    tmp_path: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture, speech: str | None
) -> None:
    chosen = {} if speech is None else {"privacy": {"speech": speech}}
    asked = speech not in (None, "keep")
    found = [f for f in all_findings(tmp_path, chosen) if f.subject == "privacy"]
    assert [(f.fault, f.warns) for f in found] == ([(None, True)] if asked else [])
    config = str(tmp_path / "edge.yaml")
    shown = CliRunner().invoke(main, ["check", "--config", config]).output
    assert (f"warn   privacy: privacy.speech = {speech} withholds nothing" in shown) is asked
    printed = CliRunner().invoke(main, ["check", "--config", config, "--json"]).output
    assert ('"warns": true' in printed) is asked
    with caplog.at_level(logging.WARNING):
        live(tmp_path, bundle, tone(1000, 2.0), **chosen)
    told = [text for text in caplog.messages if "withholds nothing" in text]
    assert len(told) == asked
    assert all(e["clip"] for e in ends(tmp_path))


def test_what_is_withheld_is_told_at_the_start_and_by_a_check(
    tmp_path: Path, people: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    change = {"model": {"bundle": str(people.path)}, "privacy": {"threshold": 0.2}}
    (found,) = (f for f in all_findings(tmp_path, change) if f.subject == "privacy")
    assert found.detail == "no clip with low_hummer, from a score of 0.2"
    assert not found.warns
    with caplog.at_level(logging.INFO):
        live(tmp_path, people, silence(1.0), privacy={"threshold": 0.2})
    assert f"privacy: {found.detail}" in caplog.messages


def test_an_unknown_label_is_a_fault_with_its_key(tmp_path: Path) -> None:
    found = all_findings(tmp_path, {"privacy": {"labels": ["low_humer"]}})
    (fault,) = [f.fault for f in found if f.fault is not None]
    assert fault.key == "privacy.labels"
    assert "did you mean low_hummer?" in fault.reason
