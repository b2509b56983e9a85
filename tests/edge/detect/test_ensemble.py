"""Several bundles that judge together: the power average of their scores, and one line where they
do not go together.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from edge.backends.onnx import OnnxBackend
from edge.bundle import FP32, Bundle, Label, load_bundle, write_bundle
from edge.cli import main
from edge.config.config import load_config
from edge.detect.engines import load_model, load_models
from edge.detect.ensemble import Ensemble
from edge.detect.model import Model
from edge.errors import BundleError, FaultyConfigError, SpecError
from edge.recorder.daemon import Daemon
from edge.recorder.plan import make_plan
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.types import Array, Window
from tests.edge.detect.test_pipeline import SOUNDS, played, run
from tests.edge.recorder.test_check import findings
from tests.edge.recorder.test_daemon import rows, states
from tests.support.audio import noise
from tests.support.bundles import LABELS, SPEC, choir_bundle, tiny_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config

FINE = dataclasses.replace(SPEC, hop_length=64)


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Another frontend, so other scores; the same window."""
    return tiny_bundle(
        tmp_path_factory.mktemp("bundle") / "fine", spec=dataclasses.replace(FINE, n_mels=16)
    )


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return tiny_bundle(tmp_path_factory.mktemp("bundle") / "shuffled", order=(2, 0, 1))


def window(samples: Array) -> Window:
    return Window(start_sample=0, end_sample=8000, samples=samples, sample_rate_hz=8000)


def test_scores_are_the_power_average_and_novelty_the_mean(bundle: Bundle, other: Bundle) -> None:
    a, b = load_model(bundle), load_model(other)
    both = load_models([bundle, other])
    for samples in (tone(300, 1), tone(700, 1), noise(1), tone(1000, 1) + tone(3000, 1)):
        p, q, r = (m.predict(window(samples)) for m in (a, b, both))
        np.testing.assert_allclose(r.scores, np.sqrt((p.scores**2 + q.scores**2) / 2), rtol=1e-6)
        assert not np.array_equal(p.scores, q.scores)
        assert r.novelty == pytest.approx((p.novelty + q.novelty) / 2)
        assert (r.label is None) == (r.novelty > 0.5)
        np.testing.assert_array_equal(r.embedding, p.embedding)


def test_a_bundle_with_itself_says_what_it_says_alone(bundle: Bundle) -> None:
    alone, _ = run(played(SOUNDS, (1000,)), load_model(bundle))
    twice, _ = run(played(SOUNDS, (777,)), load_models([bundle, bundle]))
    assert [(d.label, d.start_sample, d.end_sample, d.state) for d in twice] == [
        (d.label, d.start_sample, d.end_sample, d.state) for d in alone
    ]
    np.testing.assert_allclose([d.score for d in twice], [d.score for d in alone], rtol=1e-6)


def test_labels_may_stand_in_another_order(bundle: Bundle, shuffled: Bundle) -> None:
    assert [label.label for label in shuffled.labels] == [
        "high_peeper",
        "low_hummer",
        "mid_whistler",
    ]
    together = load_models([bundle, shuffled]).predict(window(tone(700, 1)))
    np.testing.assert_allclose(
        together.scores, load_model(bundle).predict(window(tone(700, 1))).scores, rtol=1e-5
    )


class Counting(Model):
    """Counts how often it made features."""

    made = 0

    def features(self, window: Window) -> tuple[Array, float]:
        self.made += 1
        return super().features(window)


def test_equal_frontends_are_computed_once(bundle: Bundle, other: Bundle) -> None:
    members = [Counting(b, OnnxBackend(b.model_path)) for b in (bundle, bundle, other)]
    before = [m.made for m in members]
    p = Ensemble(members).predict(window(tone(300, 1)))
    assert [m.made - n for m, n in zip(members, before, strict=True)] == [1, 0, 1]
    assert p.frontend_s > 0
    assert p.network_s > 0


def test_a_dead_microphone_is_not_shown_to_anyone(bundle: Bundle, other: Bundle) -> None:
    p = load_models([bundle, other]).predict(window(np.zeros(8000, np.float32)))
    assert p.health.gated
    assert p.label is p.nearest is None


def test_several_labels_are_averaged_too(tmp_path: Path) -> None:
    low = choir_bundle(tmp_path / "low", label_thresholds={"low_hummer": 0.2})
    high = choir_bundle(tmp_path / "high", label_thresholds={"low_hummer": 0.6})
    both = load_models([low, high])
    assert both.decision.thresholds is not None
    np.testing.assert_allclose(both.decision.thresholds, [0.4, 0.5, 0.5])
    p = both.predict(window(tone(300, 1) + tone(3000, 1)))
    assert sorted(s.label for s in p.accepted) == ["high_peeper", "low_hummer"]


def weighing(bundle: Bundle, weight: float, folder: Path) -> Bundle:
    """The same bundle with another weight."""
    golden, model = bundle.golden, bundle.model_path.read_bytes()
    manifest = dataclasses.replace(bundle.manifest, weight=weight)
    return write_bundle(
        folder,
        manifest,
        model=model,
        rule=bundle.networks[FP32].head.rule,
        golden=golden,
        card="# Card\n",
    )


def test_each_counts_by_the_weight_of_its_bundle(
    bundle: Bundle, other: Bundle, tmp_path: Path
) -> None:
    seven, three = weighing(bundle, 0.7, tmp_path / "7"), weighing(other, 0.3, tmp_path / "3")
    assert "weight" not in bundle.manifest.as_mapping()
    assert (seven.manifest.weight, seven.manifest.format_version) == (0.7, 5)
    assert load_bundle(seven.path).digest == seven.digest != bundle.digest
    p, q, r = (
        load_models(of).predict(window(tone(300, 1))) for of in ([seven], [three], [seven, three])
    )
    np.testing.assert_allclose(r.scores, np.sqrt(0.7 * p.scores**2 + 0.3 * q.scores**2), rtol=1e-6)
    assert r.novelty == pytest.approx(0.7 * p.novelty + 0.3 * q.novelty)
    np.testing.assert_allclose(p.scores, load_model(bundle).predict(window(tone(300, 1))).scores)
    told = CliRunner().invoke(main, ["info", "--bundle", str(seven.path)])
    assert "counts 0.7 where several bundles judge together" in told.output
    with pytest.raises(SpecError, match="weight: 0 is not above 0"):
        dataclasses.replace(bundle.manifest, weight=0)


def replayed(recording: str, *bundles: Bundle, form: str = "jsonl") -> Result:
    options = [word for bundle in bundles for word in ("--bundle", str(bundle.path))]
    return CliRunner().invoke(
        main, ["replay", *options, "--hop-s", "0.5", "--format", form, recording]
    )


def lines(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_replay_by_two_bundles_has_a_digest_of_its_own(
    bundle: Bundle, other: Bundle, recording: str
) -> None:
    found = [
        lines(replayed(recording, *bundles))
        for bundles in ((bundle,), (other,), (bundle, other), (other, bundle))
    ]
    assert [d["label"] for d in found[2]] == ["low_hummer", None, "high_peeper", "mid_whistler"]
    assert len({d["bundle"] for part in found for d in part}) == 4
    assert {(d["variant"], d["backend"]) for d in found[2]} == {("fp32", "onnxruntime-cpu")}


def test_any_block_gives_the_same(bundle: Bundle, other: Bundle, recording: str) -> None:
    def heard(block_s: float) -> object:
        chosen = ReplaySettings(
            bundle=bundle.path, more_bundles=(other.path,), hop_s=0.5, block_s=block_s
        )
        return Replayer(chosen).replay(recording)

    assert heard(0.013) == heard(60.0)


def test_members_that_do_not_go_together_are_one_line(
    bundle: Bundle, tmp_path: Path, recording: str
) -> None:
    strangers = (*LABELS[:2], Label(label="odd_croaker", common_name="Odd Croaker"))
    cases = {
        "it lacks high_peeper and": tiny_bundle(tmp_path / "strange", labels=strangers),
        "takes 0.5 s at 8000 Hz, but": tiny_bundle(
            tmp_path / "short", spec=dataclasses.replace(SPEC, window_s=0.5)
        ),
        "gives several labels a window, but": choir_bundle(tmp_path / "choir"),
    }
    for message, strange in cases.items():
        result = replayed(recording, bundle, strange)
        assert result.exit_code == 1
        assert result.stdout == ""
        assert message in result.stderr
        assert result.stderr.count("\n") == 1
        with pytest.raises(BundleError, match=message):
            load_models([bundle, load_bundle(strange.path)])


def test_the_configuration_names_them(tmp_path: Path, bundle: Bundle, other: Bundle) -> None:
    config = load_config(
        write_config(tmp_path, bundle.path, model={"bundles": [str(bundle.path), str(other.path)]})
    )
    plan = make_plan(config)
    assert isinstance(plan.model, Ensemble)
    assert plan.provenance.bundle == plan.model.digest not in (bundle.digest, other.digest)
    for bundles in ([], "x", [1], [""]):
        with pytest.raises(FaultyConfigError, match=r"model\.bundles"):
            load_config(write_config(tmp_path, bundle.path, model={"bundles": bundles}))
    with pytest.raises(FaultyConfigError, match="exclude each other"):
        load_config(write_config(tmp_path, bundle.path, model={"bundle": "a", "bundles": ["b"]}))


def test_check_says_which_do_not_go_together(tmp_path: Path, bundle: Bundle) -> None:
    choir = choir_bundle(tmp_path / "choir")
    fault = findings(
        tmp_path, {"model": {"bundle": None, "bundles": [str(bundle.path), str(choir.path)]}}
    )["model"]
    assert fault is not None
    assert fault.startswith(
        f"model.bundles = {bundle.path}, {choir.path}: {choir.path}: gives several labels a window"
    )


def test_a_running_daemon_hears_with_both(tmp_path: Path, bundle: Bundle, other: Bundle) -> None:
    model = {"bundles": [str(bundle.path), str(other.path)], "hop_s": 0.5}
    config = write_config(tmp_path, bundle.path, model=model)
    with running(
        Daemon(
            config,
            audio=RealTimeAudio(tone(300, 2)),
            deliveries=lambda *parts: [],
        )
    ):
        until(lambda: ("low_hummer", "new") in states(tmp_path))
    digests = rows(tmp_path, "SELECT DISTINCT json_extract(payload, '$.bundle') FROM detections")
    assert digests == [(make_plan(load_config(config)).model.digest,)]
