"""Which engine is taken: the best that gives the right answers, and never one that does not."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from edge.bundle import load_bundle
from edge.detect.engines import candidates, load_model
from edge.errors import BundleError
from edge.provenance import provenance_of
from edge.types import Array, Window
from tests.support.bundles import SPEC, tiny_bundle, tone


def window(samples: Array) -> Window:
    return Window(
        start_sample=0, end_sample=len(samples), samples=samples, sample_rate_hz=SPEC.sample_rate_hz
    )


def test_a_bundle_without_variants_runs_in_fp32(tmp_path: Path) -> None:
    model = load_model(tiny_bundle(tmp_path / "tiny"))
    assert (model.engine.backend, model.network.name, model.engine.passed_over) == (
        "onnxruntime-cpu",
        "fp32",
        0,
    )


def test_a_variant_made_for_this_engine_is_taken_and_named(tmp_path: Path) -> None:
    model = load_model(tiny_bundle(tmp_path / "tiny", variant_errors={"int8-cpu": 0.0}))
    assert (model.network.name, model.engine.passed_over) == ("int8-cpu", 0)
    provenance = provenance_of(model, hop_s=1.0)
    assert (provenance.variant, provenance.backend) == ("int8-cpu", "onnxruntime-cpu")
    plain = provenance_of(load_model(tiny_bundle(tmp_path / "plain")), hop_s=1.0)
    assert provenance.config == plain.config
    assert provenance.identity.startswith(provenance.bundle)
    # its events are not those of fp32
    assert provenance.identity != f"{provenance.bundle}|{provenance.config}"
    assert plain.identity == f"{plain.bundle}|{plain.config}"


def test_a_variant_that_answers_wrongly_here_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", variant_errors={"int8-cpu": 0.5, "half": 0.2})
    with caplog.at_level(logging.WARNING):
        model = load_model(bundle)
    assert (model.network.name, model.engine.passed_over) == ("fp32", 2)
    assert [record.message.split(" is passed over")[0] for record in caplog.records] == [
        "onnxruntime-cpu/half",
        "onnxruntime-cpu/int8-cpu",
    ]
    assert "golden window" in caplog.text
    assert model.predict(window(tone(3000, 1))).label == "high_peeper"


def test_when_nothing_answers_rightly_the_reason_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx: on the golden window"):
        load_model(
            tiny_bundle(tmp_path / "tiny", golden_error=0.5, variant_errors={"int8-cpu": 0.5})
        )


def test_a_variant_for_another_engine_is_not_tried(tmp_path: Path) -> None:
    bundle = tiny_bundle(tmp_path / "tiny", variant_errors={"int8": 0.0, "int8-cpu": 0.0})
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    assert manifest["format_version"] == 2
    assert [engine.name for engine in candidates(bundle)] == [
        "onnxruntime-cpu/int8-cpu",
        "onnxruntime-cpu/fp32",
    ]


def test_a_variant_has_a_threshold_of_its_own(tmp_path: Path) -> None:
    bundle = load_bundle(tiny_bundle(tmp_path / "tiny", variant_errors={"int8-cpu": 0.0}).path)
    head = bundle.networks["int8-cpu"].head
    assert (head.threshold, head.scale) == (-6.0, 1.0)
    np.testing.assert_array_equal(bundle.networks["int8-cpu"].golden.samples, bundle.golden.samples)
