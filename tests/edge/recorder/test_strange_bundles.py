"""A recorder that is offered a bad bundle: `edge check` says so, and a reload keeps the old one."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edge.bundle import Bundle, load_bundle
from edge.config.config import Config
from edge.errors import BundleError
from edge.recorder.check import check
from edge.recorder.daemon import Daemon
from edge.recorder.plan import RecorderPlan, make_plan
from tests.support.bundles import tiny_bundle, tone
from tests.support.daemons import RealTimeAudio, running, until, write_config
from tests.support.strangers import npz, resealed

GAUSSIANS = {"kind": np.array("gaussian_tail"), "mu": np.ones(3), "sigma": np.ones(3)}


def _graph(change: Callable[[onnx.ModelProto], object]) -> Callable[[Path], object]:
    def spoil(bundle: Path) -> object:
        model = onnx.load_model_from_string((bundle / "model.onnx").read_bytes())
        change(model)
        return resealed(bundle, files={"model.onnx": model.SerializeToString()})

    return spoil


def _rule(**arrays: Any) -> Callable[[Path], object]:
    def spoil(bundle: Path) -> object:
        resealed(bundle, files={"head.npz": npz({**GAUSSIANS, **arrays})})
        return resealed(bundle, lambda m: m.update(rule="gaussian_tail"))

    return spoil


def _array(model: onnx.ModelProto, name: str, value: Any) -> None:
    (tensor,) = (t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(onnx.numpy_helper.from_array(value, name))


def _narrow(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_value = 5


def _only_embedding(model: onnx.ModelProto) -> None:
    del model.graph.output[1:]


def _pipe(bundle: Path) -> None:
    (bundle / "head.npz").unlink()
    os.mkfifo(bundle / "head.npz")


# What each is, and a word of why it is refused.
SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "a rule of other dimensions": (_rule(means=np.ones((3, 7))), "array 'means' has shape"),
    "a rule of fewer labels": (_rule(means=np.ones((2, 12))), "array 'means' has shape"),
    "a rule of NaN": (_rule(means=np.full((3, 12), np.nan)), "array 'means' has values"),
    "a rule without sense": (_rule(means=np.ones((3, 12)), sigma=np.zeros(3)), "'sigma'"),
    "a label that leads elsewhere": (
        lambda b: resealed(b, lambda m: m["labels"][0].update(label="../x")),
        "only lower-case letters",
    ),
    "a file too many": (lambda b: (b / "more").touch(), "'more', which is no file"),
    "weights of NaN": (
        _graph(lambda m: _array(m, "weights", np.full((12, 3), np.nan, np.float32))),
        "logits differs by nan",
    ),
    "weights of another shape": (
        _graph(lambda m: _array(m, "weights", np.ones((7, 3), np.float32))),
        "ONNX Runtime",
    ),
    "another input": (_graph(_narrow), "ONNX Runtime"),
    "an output too few": (_graph(_only_embedding), "not embedding and logits"),
    "nothing": (shutil.rmtree, "not a bundle"),
    "a pipe": (_pipe, "is no file"),
}


@pytest.fixture
def spoiled(tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, str]:
    spoil, reason = SPOILED[request.param]
    path = tiny_bundle(tmp_path / "spoiled").path
    spoil(path)
    return path, reason


@pytest.mark.parametrize("spoiled", SPOILED, indirect=True)
def test_the_check_names_the_bundle_and_the_reason(
    tmp_path: Path, spoiled: tuple[Path, str]
) -> None:
    path, reason = spoiled
    config = write_config(tmp_path, path)
    (finding,) = [
        f for f in check(config, audio=RealTimeAudio(tone(300, 1))) if f.subject == "model"
    ]
    assert finding.fault is not None
    assert finding.fault.key == "model.bundle"
    assert reason in finding.text
    assert str(path) in finding.text


def test_a_rule_that_cannot_judge_is_told_by_the_reader_alone(tmp_path: Path) -> None:
    """As `edge info` reads a bundle: no engine runs."""
    path = tiny_bundle(tmp_path / "spoiled").path
    SPOILED["a rule of other dimensions"][0](path)
    with pytest.raises(BundleError, match=r"head\.npz: array 'means' has shape"):
        load_bundle(path)


def test_a_reload_to_any_bad_bundle_keeps_the_old_one(
    tmp_path: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    config = write_config(tmp_path, bundle.path)
    audio = RealTimeAudio(tone(300, 2))
    recorder = Daemon(config, audio=audio, deliveries=lambda *parts: [])
    with caplog.at_level(logging.INFO), running(recorder):
        until(lambda: audio.opened == 1)
        for i, (spoil, reason) in enumerate(SPOILED.values()):
            path = tiny_bundle(tmp_path / f"spoiled{i}").path
            spoil(path)
            write_config(tmp_path, path)
            caplog.clear()
            recorder.commands.put("reload")
            until(lambda: "the old configuration stays" in caplog.text)
            assert "reload refused" in caplog.text
            assert reason in caplog.text
        assert audio.opened == 1
        write_config(tmp_path, bundle.path)
        recorder.commands.put("reload")
        until(lambda: audio.opened == 2)


def test_a_reload_that_fails_by_an_error_of_ours_keeps_the_old_one(
    tmp_path: Path, bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    plans = 0

    def plan_of(config: Config) -> RecorderPlan:
        nonlocal plans
        plans += 1
        if plans == 2:
            raise RecursionError("a bundle that we had not thought of")
        return make_plan(config)

    audio = RealTimeAudio(tone(300, 2))
    config = write_config(tmp_path, bundle.path)
    recorder = Daemon(config, audio=audio, deliveries=lambda *parts: [], plan_of=plan_of)
    with caplog.at_level(logging.INFO), running(recorder):
        until(lambda: audio.opened == 1)
        recorder.commands.put("reload")
        until(lambda: "reload failed, the old configuration stays" in caplog.text)
        assert "that we had not thought of" in caplog.text
        assert audio.opened == 1
        recorder.commands.put("reload")
        until(lambda: audio.opened == 2)
