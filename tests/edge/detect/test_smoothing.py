"""The sliding average and the boost: causal, hardly moved by the hop, ended by whatever breaks the
hearing.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.bundle import Bundle
from edge.cli import main
from edge.config.config import Config, load_config
from edge.detect.decision import Decision
from edge.detect.smoothing import NoSmoothing, SlidingAverage, SmoothingConfig, smoothing_of
from edge.errors import ConfigError
from edge.recorder.daemon import Daemon
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.section import section_of_options
from edge.types import Prediction
from tests.edge.detect.test_tracker import LABELS, prediction
from tests.edge.recorder.test_daemon import rows, states
from tests.support.audio import noise, write_audio
from tests.support.bundles import choir_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config

RATE_HZ = 100  # of test_tracker's predictions, whose windows are 5 s
DECISION = Decision(labels=LABELS, thresholds=np.full(3, 0.5, np.float32))


def window(start_sample: int, *scores: float, novelty: float = 0.1) -> Prediction:
    p = prediction(start_sample, "a")
    return DECISION(
        p, scores=np.array(scores, np.float32), novelty=novelty, accepted=novelty <= 0.5
    )


def refined(windows: Iterable[Prediction], **spec: float) -> list[Prediction]:
    smoothing = SlidingAverage(
        decision=DECISION, config=SmoothingConfig(**spec), sample_rate_hz=RATE_HZ
    )
    return [q for p in windows for q in smoothing.push(p)] + list(smoothing.flush())


def ants(predictions: Iterable[Prediction]) -> list[float]:
    return [round(float(p.scores[0]), 4) for p in predictions]


def test_the_average_takes_a_half_and_a_quarter_of_each_neighbour() -> None:
    story = [
        window(250 * i, score, 0, 0, novelty=0.1 * i)
        for i, score in enumerate((0.0, 0.8, 0.4, 1.0))
    ]
    found = refined(story, slide_s=2.5)
    # At the ends, where there is one neighbour, the weights of what is there add up to 1.
    assert ants(found) == [0.2667, 0.5, 0.65, 0.8]
    assert [round(p.novelty, 4) for p in found[1:3]] == [0.1, 0.2]
    assert [[s.label for s in p.accepted] for p in found] == [[], ["ant"], ["ant"], ["ant"]]
    assert [p.start_sample for p in found] == [p.start_sample for p in story]


def test_between_two_windows_scores_lie_on_the_line() -> None:
    story = [window(100 * i, 0.1 * i, 0, 0) for i in range(8)]
    assert ants(refined(story, slide_s=2.5))[3:5] == [0.3, 0.4]


def test_an_answer_comes_so_much_later_and_not_more() -> None:
    smoothing = SlidingAverage(
        decision=DECISION, config=SmoothingConfig(slide_s=2.5), sample_rate_hz=RATE_HZ
    )
    behind = []
    for i in range(40):
        behind += [100 * i - q.start_sample for q in smoothing.push(window(100 * i, 0.5, 0, 0))]
    assert set(behind) == {300}  # the first whole hop after 2.5 s
    assert len(smoothing._run) < 8


@settings(max_examples=8)
@given(
    hops=st.tuples(st.sampled_from([10, 25, 50, 125, 250]), st.sampled_from([10, 25, 50, 125, 250]))
)
def test_the_hop_does_not_matter_where_scores_run_straight(hops: tuple[int, int]) -> None:
    def ramp(hop: int) -> dict[int, float]:
        story = [window(at, at / 4000, 1 - at / 4000, 0) for at in range(0, 4000, hop)]
        return {p.start_sample: float(p.scores[0]) for p in refined(story, slide_s=2.5)}

    one, other = ramp(hops[0]), ramp(hops[1])
    inner = [at for at in one.keys() & other.keys() if 250 <= at <= 3500]
    assert len(inner) > 10
    for at in inner:
        assert one[at] == pytest.approx(other[at], abs=1e-5)


def test_a_label_heard_well_is_boosted_for_a_while() -> None:
    story = [
        window(0, 0.6, 0.45, 0),
        window(500, 0.4, 0.45, 0),
        window(1000, 0.4, 0.45, 0),
        window(1500, 0.4, 0.45, 0),
    ]
    found = refined(story, boost=1.3, boost_s=10)
    assert ants(found) == [0.78, 0.52, 0.52, 0.4]
    assert [[s.label for s in p.accepted] for p in found] == [["ant"], ["ant"], ["ant"], []]
    assert all(p.scores[1] == np.float32(0.45) for p in found)


def test_exactly_one_half_has_not_passed_and_nothing_goes_over_1() -> None:
    assert ants(refined([window(0, 0.5, 0, 0), window(500, 0.4, 0, 0)], boost=1.3)) == [0.5, 0.4]
    assert ants(refined([window(0, 0.9, 0, 0)], boost=1.3)) == [1.0]


def test_the_average_decides_what_is_boosted() -> None:
    story = [window(250 * i, score, 0, 0) for i, score in enumerate((0.0, 0.9, 0.0, 0.45))]
    assert all(score < 0.5 for score in ants(refined(story, slide_s=2.5, boost=1.3)))


def test_boosting_looks_at_the_past_only() -> None:
    story = [window(100 * i, score, 0, 0) for i, score in enumerate((0.4, 0.45, 0.9, 0.45))]
    smoothing = SlidingAverage(
        decision=DECISION, config=SmoothingConfig(boost=1.3), sample_rate_hz=RATE_HZ
    )
    assert [len(list(smoothing.push(p))) for p in story] == [1, 1, 1, 1]
    assert ants(refined(story, boost=1.3))[:2] == [0.4, 0.45]


@pytest.mark.parametrize("broken", ["lost", "gated"])
def test_what_breaks_the_hearing_breaks_both(broken: str) -> None:
    before = [window(100 * i, 0.9, 0, 0) for i in range(5)]
    at = 1000 if broken == "lost" else 500
    gate = [] if broken == "lost" else [prediction(450, ".")]
    after = [window(at + 100 * i, 0.4, 0, 0) for i in range(5)]
    found = refined([*before, *gate, *after], slide_s=2.5, boost=1.3)
    assert ants([p for p in found if p.start_sample >= at]) == [0.4] * 5
    assert [p.start_sample for p in found] == [p.start_sample for p in [*before, *gate, *after]]
    alone = refined(before, slide_s=2.5, boost=1.3)
    assert found[:5] == alone


def test_windows_that_touch_are_unbroken() -> None:
    assert ants(refined([window(0, 0.9, 0, 0), window(500, 0.4, 0, 0)], boost=1.3)) == [1.0, 0.52]


def test_off_it_is_not_there() -> None:
    assert isinstance(
        smoothing_of(SmoothingConfig(), decision=DECISION, sample_rate_hz=RATE_HZ), NoSmoothing
    )
    p = window(0, 0.9, 0, 0)
    assert refined([p], slide_s=2.5, boost=1.0) == [p]
    assert next(iter(refined([p], slide_s=2.5))) is p


def test_a_single_label_bundle_is_decided_as_ever() -> None:
    one = Decision(labels=LABELS)
    smoothing = SlidingAverage(
        decision=one, config=SmoothingConfig(slide_s=2.5), sample_rate_hz=RATE_HZ
    )
    story = [prediction(250 * i, what) for i, what in enumerate("aaaBBBb")]
    found = [q for p in story for q in smoothing.push(p)] + list(smoothing.flush())
    assert [p.label for p in found[:2]] == ["ant", "ant"]
    assert [p.label for p in found[4:5]] == [None]
    assert all(p.others == () for p in found)


# The whole


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("bundle") / "choir")


@pytest.fixture
def fading(tmp_path: Path) -> str:
    """A hummer, then noise, then a hummer with so much noise that its score is a little short of
    the threshold.
    """
    faint = tone(300, 4, level=0.05) + noise(4, level=0.013)
    return write_audio(
        tmp_path / "20240501_053000.wav", np.concatenate([tone(300, 4), noise(4), faint, noise(2)])
    )


def replayed(bundle: Bundle, *args: str) -> Result:
    return CliRunner().invoke(
        main, ["replay", "--bundle", str(bundle.path), "--hop-s", "0.5", *args]
    )


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def hummers(found: list[dict[str, Any]]) -> list[int]:
    return [round(d["start_s"]) for d in found if d["label"] == "low_hummer"]


def test_a_replay_averages_and_boosts(many: Bundle, fading: str) -> None:
    plain = lines(replayed(many, "--format", "windows", fading))
    slid = lines(replayed(many, "--format", "windows", "--slide-s", "1", fading))
    assert [w["start_s"] for w in slid] == [w["start_s"] for w in plain]

    def scores(windows: list[dict[str, Any]], label: str) -> list[float]:
        return [next(s["score"] for s in w["top"] if s["label"] == label) for w in windows]

    a, b = (scores(windows, "low_hummer") for windows in (plain, slid))
    assert b[4] == pytest.approx(0.5 * a[4] + 0.25 * a[2] + 0.25 * a[6], abs=2e-6)
    boosted = lines(
        replayed(many, "--format", "jsonl", "--boost", "1.3", "--boost-s", "60", fading)
    )
    assert (
        len({d["config"] for d in boosted + lines(replayed(many, "--format", "jsonl", fading))})
        == 2
    )


@pytest.mark.parametrize(
    "refine",
    [
        SmoothingConfig(slide_s=2.5),
        SmoothingConfig(boost=1.3),
        SmoothingConfig(slide_s=0.7, boost=2.0, boost_s=3),
    ],
)
def test_any_block_gives_the_same(many: Bundle, fading: str, refine: SmoothingConfig) -> None:
    def heard(block_s: float) -> object:
        return Replayer(
            ReplaySettings(bundle=many.path, hop_s=0.5, smoothing=refine, block_s=block_s)
        ).replay(fading)

    assert heard(0.013) == heard(0.7) == heard(60.0)


def test_options_that_cannot_be_are_one_line(many: Bundle, fading: str) -> None:
    for option in (
        ("--slide-s", "-1"),
        ("--slide-s", "nan"),
        ("--boost", "0.5"),
        ("--boost-s", "nan"),
        ("--boost", "x"),
    ):
        result = replayed(many, *option, fading)
        assert result.exit_code == 2
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1
    with pytest.raises(ConfigError, match=r"--boost-s = inf: .*finite number"):
        section_of_options(SmoothingConfig, {"boost_s": float("inf")})


def test_it_is_part_of_the_configuration_where_it_is_on(tmp_path: Path) -> None:
    def config(**model: float) -> Config:
        file = tmp_path / "edge.yaml"
        file.write_text(yaml.safe_dump({"model": model}))
        return load_config(file, environ={})

    assert config(boost_s=60.0).digest == Config().digest
    assert (
        len(
            {
                config(**m).digest
                for m in ({}, {"slide_s": 2.5}, {"boost": 1.3}, {"boost": 1.3, "boost_s": 60.0})
            }
        )
        == 4
    )
    assert config(slide_s=2.5, boost=1.3).smoothing == SmoothingConfig(
        slide_s=2.5, boost=1.3, boost_s=600.0
    )


def test_run_and_replay_agree(tmp_path: Path, many: Bundle) -> None:
    """A daemon that heard a sound of its own stops; what it stored is what a replay of that sound
    finds, but for the start.
    """
    sound = np.concatenate([tone(300, 2), noise(2), tone(3000, 2) + tone(300, 2), noise(2)])
    audio = RealTimeAudio(sound)
    model = {"bundle": str(many.path), "hop_s": 0.5, "slide_s": 1.0, "boost": 1.3, "boost_s": 5.0}
    daemon = Daemon(
        write_config(tmp_path, many.path, model=model),
        audio=audio,
        deliveries=lambda *parts: [],
    )
    with running(daemon):
        until(lambda: ("high_peeper", "end") in states(tmp_path))
    query = (
        "SELECT json_extract(payload, '$.start_sample'), json_extract(payload, '$.score') "
        "FROM "
        "detections WHERE state = 'end' AND "
    )
    live = rows(tmp_path, query + "json_extract(payload, '$.label') = 'high_peeper'")[0]
    file = write_audio(tmp_path / "played.wav", np.concatenate([sound, sound]), subtype="FLOAT")
    spec = load_config(tmp_path / "edge.yaml")
    settings_of = ReplaySettings(
        bundle=many.path, hop_s=0.5, smoothing=spec.smoothing, tracker=spec.tracker
    )
    first = next(
        d for d in Replayer(settings_of).replay(file).detections if d.label == "high_peeper"
    )
    assert live == (first.start_sample, pytest.approx(first.score, abs=1e-4))
    assert dataclasses.replace(first, state="new").label == "high_peeper"
