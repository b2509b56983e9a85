"""Networks that hear in frames: an event begins and ends with its own label's frames, inside its
windows.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, load_bundle, write_bundle
from edge.cli import main
from edge.detect.engines import load_model
from edge.detect.model import EngineChoice, Model
from edge.detect.tracker import TrackerConfig
from edge.errors import BackendError, BundleError
from edge.recorder.daemon import Daemon
from edge.types import Array, Detection, Frames
from tests.edge.detect.test_pipeline import played, run
from tests.edge.recorder.test_daemon import rows, states
from tests.support.audio import noise, write_audio
from tests.support.bundles import choir_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config

RATE_HZ = 8000
FRAME_S = 0.05  # a frame of the features, and what it sees beyond


def calls() -> Array:
    """A hummer from 2.3 to 4.1 s, a peeper from 3.2 to 5.85 s, in faint noise; 8 s."""
    samples = noise(8, level=1e-4)
    samples[round(2.3 * RATE_HZ) : round(4.1 * RATE_HZ)] += tone(300, 1.8)
    samples[round(3.2 * RATE_HZ) : round(5.85 * RATE_HZ)] += tone(3000, 2.65)
    return samples


CALLS = calls()
WHOLE_WINDOWS = TrackerConfig(narrow=False)
TRUE = {"low_hummer": (2.3, 4.1), "high_peeper": (3.2, 5.85)}


@pytest.fixture(scope="module")
def framed(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("bundle") / "framed", frame_threshold=0.5)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return choir_bundle(tmp_path_factory.mktemp("bundle") / "plain")


@pytest.fixture(scope="module")
def model(framed: Bundle) -> Model:
    return load_model(framed)


def spans(detections: list[Detection]) -> dict[str, tuple[float, float]]:
    return {
        d.label: (d.start_s, d.end_s)
        for d in detections
        if d.state == "end" and d.label is not None
    }


def test_a_span_is_from_the_first_to_the_last_part_of_those_that_follow_each_other() -> None:
    active = np.zeros((8, 2), np.bool_)
    active[[0, 1, 4, 7], 0] = True
    frames = Frames(active=active, window_samples=1001)
    assert list(frames.spans(0)) == [(0, 250), (500, 625), (875, 1001)]
    assert not list(frames.spans(1))


def test_events_are_as_tight_as_the_frames(model: Model, plain: Bundle) -> None:
    found = spans(run(played(CALLS, (1000,)), model)[0])
    assert found.keys() == TRUE.keys()
    for label, span in TRUE.items():
        assert found[label] == pytest.approx(span, abs=FRAME_S)
    loose = spans(run(played(CALLS, (1000,)), load_model(plain), WHOLE_WINDOWS)[0])
    for label, (start, end) in found.items():
        assert loose[label][0] <= start < end <= loose[label][1]
        assert loose[label][1] - loose[label][0] > end - start + 0.2


def test_frames_change_times_and_nothing_else(model: Model, plain: Bundle) -> None:
    one = run(played(CALLS, (1000,)), model)[0]
    other = run(played(CALLS, (1000,)), load_model(plain), WHOLE_WINDOWS)[0]

    def without_times(found: list[Detection]) -> list[Detection]:
        whole = [dataclasses.replace(d, start_sample=0, end_sample=0) for d in found]
        return [
            dataclasses.replace(d, start_uncertainty_s=None, end_uncertainty_s=None) for d in whole
        ]

    assert without_times(one) == without_times(other)
    for d in one:
        assert 0 <= d.start_sample < d.end_sample <= len(CALLS)


@settings(max_examples=8)
@given(sizes=st.lists(st.integers(50, 40_000), min_size=1, max_size=4).map(tuple))
def test_any_partition_gives_the_same(model: Model, sizes: tuple[int, ...]) -> None:
    assert run(played(CALLS, sizes), model)[0] == run(played(CALLS, (len(CALLS),)), model)[0]


def test_frames_of_one_label_a_window_are_as_tight(tmp_path: Path) -> None:
    """A softmax against none of the labels tells where all of them are absent."""
    bundle = choir_bundle(tmp_path / "one", frame_threshold=0.5, activation="softmax_other")
    assert bundle.manifest.format_version == 5
    calls = noise(14, level=1e-4)
    for start_s, end_s in ((2.3, 4.1), (8.15, 11.2)):
        calls[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] += tone(300, end_s - start_s)
    found = run(played(calls, (1000,)), load_model(load_bundle(bundle.path)))[0]
    times = [s for d in found if d.state == "end" and d.label for s in (d.start_s, d.end_s)]
    assert times == pytest.approx([2.3, 4.1, 8.15, 11.2], abs=FRAME_S)


def test_frames_in_which_a_label_is_always_present_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with the activation sigmoid or softmax_other"):
        choir_bundle(tmp_path / "bad", frame_threshold=0.5, activation="softmax")


def test_a_replay_has_the_tight_times(framed: Bundle, tmp_path: Path) -> None:
    file = write_audio(tmp_path / "calls.wav", CALLS)
    result = CliRunner().invoke(
        main, ["replay", "--bundle", str(framed.path), "--hop-s", "0.5", "--format", "jsonl", file]
    )
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    times = {d["label"]: (d["start_s"], d["end_s"]) for d in found if d["label"]}
    for label, span in TRUE.items():
        assert times[label] == pytest.approx(span, abs=FRAME_S)


def test_a_recording_shorter_than_a_window_keeps_within_itself(model: Model) -> None:
    (end,) = (d for d in run(played(tone(300, 0.4), (1000,)), model)[0] if d.state == "end")
    assert (end.label, end.start_sample) == ("low_hummer", 0)
    assert 0 < end.end_sample <= round(0.4 * RATE_HZ)


def test_it_is_told_in_the_manifest_and_old_bundles_know_nothing_of_it(
    framed: Bundle, plain: Bundle
) -> None:
    assert load_bundle(framed.path).manifest.frame_threshold == 0.5
    assert framed.manifest.format_version == 3
    assert "frame_threshold" not in plain.manifest.as_mapping()
    assert plain.manifest.format_version == 1


@pytest.mark.parametrize("threshold", [0.0, 1.5, float("nan")])
def test_a_threshold_that_cannot_be_is_told(tmp_path: Path, threshold: float) -> None:
    with pytest.raises(ValueError, match=r"frame_threshold: .* is not above 0 and at most 1"):
        choir_bundle(tmp_path / "bad", frame_threshold=threshold)


@pytest.mark.parametrize("name", ["frames", "attention"])
def test_the_self_test_holds_every_output_against_the_golden_window(
    tmp_path: Path, name: str
) -> None:
    off = choir_bundle(
        tmp_path / "off", frame_threshold=0.5, attention=True, golden_errors={name: 0.1}
    )
    assert off.golden.expected.keys() == {"embedding", "logits", "frames", "attention"}
    with pytest.raises(
        BundleError, match=rf"on the golden window {name} differs by 0\.1, more than its tolerance"
    ):
        load_model(off)


def test_a_bundle_from_before_the_frames_were_golden_is_taken(tmp_path: Path) -> None:
    old = choir_bundle(tmp_path / "old", frame_threshold=0.5, golden_errors={"frames": np.nan})
    assert old.golden.extra_outputs == {}
    assert old.manifest.format_version == 3
    assert spans(run(played(CALLS, (1000,)), load_model(old))[0]).keys() == TRUE.keys()


def test_attention_in_time_is_told_in_the_manifest_beside_the_other(tmp_path: Path) -> None:
    timing = choir_bundle(tmp_path / "timing", attention=True, time_attention=True)
    assert timing.manifest.format_version == 5
    assert timing.manifest.extra_outputs == ("attention", "time_attention")
    assert timing.golden.extra_outputs["time_attention"].ndim == 1
    with pytest.raises(ValueError, match="time_attention: has no meaning without attention"):
        dataclasses.replace(timing.manifest, attention=False)
    with pytest.raises(BundleError, match=r"golden\.npz: array 'time_attention' is missing"):
        choir_bundle(
            tmp_path / "lacking",
            attention=True,
            time_attention=True,
            golden_errors={"time_attention": np.nan},
        )


def test_attention_is_told_in_the_manifest_and_has_to_be_golden(tmp_path: Path) -> None:
    seeing = choir_bundle(tmp_path / "seeing", attention=True)
    assert (seeing.manifest.format_version, seeing.manifest.extra_outputs) == (4, ("attention",))
    assert "attention" not in choir_bundle(tmp_path / "plain").manifest.as_mapping()
    with pytest.raises(BundleError, match=r"golden\.npz: array 'attention' is missing"):
        choir_bundle(tmp_path / "lacking", attention=True, golden_errors={"attention": np.nan})


def test_golden_outputs_that_cannot_be_are_told(tmp_path: Path) -> None:
    seeing = choir_bundle(tmp_path / "seeing", attention=True)
    golden = dataclasses.replace(
        seeing.golden, extra_outputs={"attention": np.zeros(3, np.float32)}
    )
    model, rule = seeing.model_path.read_bytes(), seeing.head.rule
    with pytest.raises(
        BundleError, match=r"golden\.npz: attention has shape \(3,\), which cannot be"
    ):
        write_bundle(
            tmp_path / "odd", seeing.manifest, model=model, rule=rule, golden=golden, card="# Odd\n"
        )
    with pytest.raises(ValueError, match="attention: 'yes' is neither true nor false"):
        dataclasses.replace(seeing.manifest, attention="yes")  # type: ignore[arg-type]


class WithoutFrames:
    """An engine that knows two outputs."""

    def __init__(self, inner: OnnxBackend) -> None:
        self._inner = inner

    def infer(self, features: Array) -> tuple[Array, Array]:
        return self._inner.infer(features)


def test_an_engine_that_cannot_is_passed_over(framed: Bundle) -> None:
    with pytest.raises(BackendError, match="odd cannot run a network with the output frames"):
        Model(
            framed,
            WithoutFrames(OnnxBackend(framed.model_path)),
            engine=EngineChoice(backend="odd", variant="fp32"),
        )


def test_a_graph_without_the_output_is_told(plain: Bundle, framed: Bundle) -> None:
    with pytest.raises(BackendError, match="frames"):
        Model(framed, OnnxBackend(plain.model_path))


def test_a_running_daemon_stores_tight_times(tmp_path: Path, framed: Bundle) -> None:
    call = np.concatenate([noise(2.3, level=1e-4), tone(300, 1.2), noise(2.5, level=1e-4)])
    daemon = Daemon(
        write_config(tmp_path, framed.path),
        audio=RealTimeAudio(call),
        deliveries=lambda *parts: [],
    )
    with running(daemon):
        until(lambda: ("low_hummer", "end") in states(tmp_path))
    query = (
        "SELECT json_extract(payload, '$.end_s') - json_extract(payload, '$.start_s') FROM "
        "detections WHERE state = 'end'"
    )
    lengths = [
        row[0]
        for row in rows(tmp_path, query + " AND json_extract(payload, '$.label') = 'low_hummer'")
    ]
    assert lengths[0] == pytest.approx(1.2, abs=2 * FRAME_S)
