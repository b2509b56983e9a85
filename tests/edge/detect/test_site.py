"""Species expected at a site: what is not on the list, or out of its season, is unknown with the
label as nearest.
"""

from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from edge.bundle import Bundle
from edge.cli import main
from edge.clock import Clock
from edge.config.config import Config, load_config
from edge.detect.decision import Decision
from edge.detect.site import Site
from edge.detect.species_list import parse_species
from edge.detect.tracker import Tracker
from edge.errors import ConfigError, FaultyConfigError
from edge.recorder.plan import make_plan
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from tests.edge.detect.test_tracker import LABELS, WINDOW, prediction
from tests.support.daemons import write_config

DECISION = Decision(labels=LABELS)
EVERY = ("high_peeper", "low_hummer", "mid_whistler")


def clock(start: str, *, uncertainty_s: float = 0.0) -> Clock:
    time = datetime.fromisoformat(start).replace(tzinfo=timezone.utc)
    return Clock(
        start_utc=time,
        sample_rate_hz=100,
        source="system",
        synced=uncertainty_s < 60,
        uncertainty_s=uncertainty_s,
    )


def site(species: object, start: str = "2024-05-15", *, uncertainty_s: float = 0.0) -> Site:
    heard = clock(start, uncertainty_s=uncertainty_s)
    return Site(parse_species(species), clock_at=lambda sample: heard, decision=DECISION)


def replayed(bundle: Bundle, recording: str, *args: str) -> Result:
    return CliRunner().invoke(
        main, ["replay", "--bundle", str(bundle.path), "--hop-s", "0.5", *args, recording]
    )


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_what_is_not_listed_is_withheld_and_stays_nearest() -> None:
    p = prediction(0, "b", score=0.9)
    assert site(["ant", "bee"])(p) is p
    withheld = site(["ant"])(p)
    assert (withheld.label, withheld.nearest, withheld.score, withheld.top) == (
        None,
        "bee",
        p.score,
        p.top,
    )
    assert withheld.novelty == 0.9  # as novel to the site as familiar to the model, which said 0.1


@pytest.mark.parametrize("novelty", [0.0, 0.3, 0.5])
def test_withheld_is_above_one_half(novelty: float) -> None:
    p = dataclasses.replace(prediction(0, "b"), novelty=novelty)
    assert 0.5 < site(["ant"])(p).novelty <= 1


def test_rejected_and_gated_windows_are_left_alone() -> None:
    for what in "B.":
        p = prediction(0, what)
        assert site(["ant"])(p) is p


@pytest.mark.parametrize(
    ("start", "uncertainty_s", "heard"),
    [
        ("2024-05-01", 0.0, True),
        ("2024-04-30 23:59:59", 0.0, False),
        ("2024-06-30 23:59:50", 0.0, True),
        ("2024-07-01", 0.0, False),
        # Either month will do where the clock cannot tell them apart; an unset clock can tell
        # nothing.
        ("2024-07-01", 2.0, True),
        ("2024-04-20", 14 * 86_400.0, True),
        ("2024-04-01", 14 * 86_400.0, False),
        ("1970-01-02", 366 * 86_400.0, True),
        ("2024-12-31", 366 * 86_400.0, True),
    ],
)
def test_a_label_has_its_months(start: str, uncertainty_s: float, heard: bool) -> None:
    p = site({"bee": [6, 5], "ant": None}, start, uncertainty_s=uncertainty_s)(prediction(0, "b"))
    assert (p.label == "bee") is heard


def test_an_unset_clock_withholds_what_is_never_expected() -> None:
    assert (
        site({"ant": [5]}, "1970-01-01", uncertainty_s=366 * 86_400.0)(prediction(0, "b")).label
        is None
    )


def test_months_go_round_the_year() -> None:
    winter = {"bee": [12, 1]}
    assert site(winter, "2024-12-31 23:59:59", uncertainty_s=5)(prediction(0, "b")).label == "bee"
    assert (
        site({"bee": [1]}, "2024-12-31 23:59:59", uncertainty_s=5)(prediction(0, "b")).label
        == "bee"
    )
    assert (
        site({"bee": [2]}, "2024-12-31 23:59:59", uncertainty_s=5)(prediction(0, "b")).label is None
    )


def test_the_month_is_that_of_the_sample() -> None:
    midnight = clock("2024-04-30 23:59:00")  # 100 samples a second
    species = parse_species({"bee": [5]})
    seasonal = Site(species, clock_at=lambda sample: midnight, decision=DECISION)
    assert [seasonal(prediction(at, "b")).label for at in (5_999, 6_000)] == [None, "bee"]


def test_smoothing_gives_nothing_out_again() -> None:
    """The neighbours' familiarity must not make a withheld label known."""
    tracker = Tracker(decision=Decision(labels=LABELS), identity="test", site=site(["ant"]))
    story = "aaa" + "b" * 7 + "AA" + "b" * 7 + "aaa"
    found = [
        d for i, what in enumerate(story) for d in tracker.push(prediction(i * WINDOW // 5, what))
    ] + list(tracker.flush())
    ended = [d for d in found if d.state == "end"]
    assert {d.label for d in ended} == {"ant", None}
    assert {d.nearest for d in ended if d.label is None} == {"bee"}
    assert all(d.novelty > 0.5 for d in ended if d.label is None)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("low_hummer", "must be a list of labels"),
        (3, "must be a list of labels"),
        ([], "names no species"),
        ({}, "names no species"),
        ([1], "1 is not a label"),
        ([""], "'' is not a label"),
        ([None], "None is not a label"),
        (["a", "b", "a"], "names a twice"),
        ({"a": 5}, "a: 5 is not a list of months"),
        ({"a": []}, "a: [] is not a list of months"),
        ({"a": [0]}, "a: 0 is not a month"),
        ({"a": [5, 13]}, "a: 13 is not a month"),
        ({"a": [True]}, "a: True is not a month"),
        ({"a": [5.0]}, "a: 5.0 is not a month"),
        ({"a": [[5]]}, "a: [5] is not a month"),
        ({"a": ["May"]}, "a: 'May' is not a month"),
    ],
)
def test_a_list_that_cannot_be_is_one_line(tmp_path: Path, value: object, reason: str) -> None:
    file = tmp_path / "edge.yaml"
    file.write_text(yaml.safe_dump({"site": {"species": value}}))
    with pytest.raises(FaultyConfigError) as caught:
        load_config(file, environ={})
    (fault,) = caught.value.faults
    assert fault.key == "site.species"
    assert reason in fault.reason
    assert "\n" not in str(caught.value)


def test_the_list_is_part_of_the_configuration_and_its_order_is_not(tmp_path: Path) -> None:
    def digest(species: object) -> str:
        file = tmp_path / "edge.yaml"
        file.write_text(yaml.safe_dump({"site": {"species": species}}))
        return load_config(file, environ={}).digest

    assert digest(None) == Config().digest
    assert (
        digest(["a", "b"])
        == digest(["b", "a"])
        == digest({"a": None, "b": list(range(1, 13))})
        != digest(["a"])
    )
    assert digest({"a": [5], "b": None}) != digest(["a", "b"])


def test_labels_that_the_bundle_has_not_are_told_with_what_was_meant(
    tmp_path: Path, bundle: Bundle
) -> None:
    config = load_config(
        write_config(tmp_path, bundle.path, site={"species": ["low_humer", "high_peeper", "zzz"]})
    )
    with pytest.raises(
        ConfigError,
        match=r"^site.species: .*'low_humer' \(did you mean low_hummer\?\), 'zzz' \(`edge info`",
    ):
        make_plan(config)


def test_a_replay_withholds_by_list_and_month(
    bundle: Bundle, recording: str, tmp_path: Path
) -> None:
    file = tmp_path / "species.yaml"
    file.write_text("low_hummer:\nmid_whistler: [4]\nhigh_peeper: [5]\n")
    found = lines(
        replayed(
            bundle,
            recording,
            "--format",
            "jsonl",
            "--species",
            str(file),
            "--start",
            "2024-05-01T05:30:00Z",
        )
    )
    assert [
        (d["label"], d["nearest"]) for d in found if d["nearest"] in EVERY and d["score"] > 0.9
    ] == [
        ("low_hummer", "low_hummer"),
        ("high_peeper", "high_peeper"),
        (None, "mid_whistler"),
    ]
    (withheld,) = (d for d in found if d["label"] is None and d["nearest"] == "mid_whistler")
    assert 0.5 < withheld["novelty"] <= 1
    windows = lines(
        replayed(
            bundle,
            recording,
            "--format",
            "windows",
            "--species",
            str(file),
            "--start",
            "2024-05-01T05:30:00Z",
        )
    )
    assert {w["label"] for w in windows} == {"low_hummer", "high_peeper", None}
    assert all((w["label"] is None) == (w["novelty"] > 0.5) for w in windows)
    plain = lines(
        replayed(bundle, recording, "--format", "jsonl", "--start", "2024-05-01T05:30:00Z")
    )
    assert plain[0]["config"] != found[0]["config"]


def test_a_replay_is_the_same_for_any_block(bundle: Bundle, recording: str) -> None:
    species = parse_species({"low_hummer": [5], "high_peeper": None})

    def heard(block_s: float) -> object:
        return Replayer(
            ReplaySettings(bundle=bundle.path, hop_s=0.5, species=species, block_s=block_s)
        ).replay(recording)

    assert heard(0.013) == heard(0.7) == heard(60.0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "- low_humer\n",
            (
                "--species: the bundle has no label 'low_humer' (did you mean low_hummer?) (`edge "
                "info` lists its labels)"
            ),
        ),
        ("low_hummer: [13]\n", "low_hummer: 13 is not a month"),
        ("low_hummer\nhigh_peeper\n", "must be a list of labels"),
        ("", "must be a list of labels"),
        ("- [\n", "is not YAML"),
    ],
)
def test_a_bad_file_of_species_is_one_line(
    bundle: Bundle, recording: str, tmp_path: Path, content: str, message: str
) -> None:
    file = tmp_path / "species.yaml"
    file.write_text(content)
    result = replayed(bundle, recording, "--species", str(file))
    assert result.exit_code == 2
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_check_says_it(tmp_path: Path) -> None:
    from tests.edge.recorder.test_check import all_findings, findings

    fault = findings(tmp_path, {"site": {"species": ["low_humer"]}})["model"]
    assert fault is not None
    assert fault.startswith(
        "site.species: the bundle has no label 'low_humer' (did you mean low_hummer?)"
    )
    (model,) = (
        f
        for f in all_findings(tmp_path, {"site": {"species": ["low_hummer"]}})
        if f.subject == "model"
    )
    assert "1 of 3 species" in model.detail
