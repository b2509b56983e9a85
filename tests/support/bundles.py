"""Small bundles with a real ONNX graph, untrained, whose answers can be computed by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.backends.onnx import OnnxBackend
from edge.bundle import (
    Bundle,
    ChannelSpec,
    Frontend,
    FrontendSpec,
    Golden,
    Label,
    ListMargin,
    Manifest,
    NewVariant,
    Stored,
    Variant,
    write_bundle,
)
from edge.bundle.animal import AnimalRule
from edge.bundle.heads import Activation, MaxLogit
from edge.bundle.occurrence import Occurrence
from edge.bundle.probability import ScoreCalibration
from edge.bundle.spec import MaxLevel
from edge.types import Array

__all__ = ["LABELS", "SPEC", "TONES_HZ", "banded_bundle", "choir_bundle", "tiny_bundle", "tone"]

LABELS = (
    Label(label="low_hummer", common_name="Low Hummer", scientific_name="Bombus gravis"),
    Label(label="mid_whistler", common_name="Mid Whistler", scientific_name="Sibilus medius"),
    Label(label="high_peeper", common_name="High Peeper"),
)
SPEC = FrontendSpec(
    sample_rate_hz=8000,
    window_s=1.0,
    n_fft=256,
    hop_length=128,
    n_mels=12,
    fmax_hz=4000.0,
    channels=(ChannelSpec(component="mel", level=MaxLevel()),),
)
TONES_HZ = {"low_hummer": 300.0, "mid_whistler": 1000.0, "high_peeper": 3000.0}


def tone(
    hz: float, seconds: float, rate_hz: int = SPEC.sample_rate_hz, *, level: float = 0.3
) -> Array:
    """A sine (n,) float32."""
    result: Array = (
        level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)
    ).astype(np.float32)
    return result


def tiny_bundle(
    path: Path,
    *,
    spec: FrontendSpec = SPEC,
    golden_error: float = 0.0,
    variant_errors: Mapping[str, float] | None = None,
    labels: Sequence[Label] = LABELS,
    order: Sequence[int] = (0, 1, 2),
    calibration: ScoreCalibration | None = None,
) -> Bundle:
    """Write a bundle that knows three tones and rejects whatever fills the spectrum evenly.

    `golden_error` spoils its golden window.

    `variant_errors` names its variants, which are the same network, and says how each golden window
    is spoiled. They are for ONNX Runtime, but for `int8`. `order` is that of the labels in its
    outputs.
    """
    frontend = Frontend(spec)
    tones = [list(TONES_HZ.values())[i] for i in order]
    templates = np.stack(
        [_profile(frontend, tone(hz, spec.window_s, spec.sample_rate_hz)) for hz in tones]
    )
    model = _graph(spec, "embedding", 10 * templates.T, np.zeros(len(templates)))
    samples = tone(700.0, spec.window_s, spec.sample_rate_hz)
    embedding, logits = _run(model, frontend(samples)[None], ("embedding", "logits"))
    golden = Golden(
        samples=samples,
        embedding=embedding[0] + np.float32(golden_error),
        logits=logits[0],
        tolerance=1e-4,
    )
    manifest = Manifest(
        name="tiny",
        labels=tuple(labels[i] for i in order),
        frontend=spec,
        activation="softmax",
        rule="max_logit",
        threshold=-6.0,
        scale=1.0,
        training_data="0" * 64,
        code="0" * 64,
        metrics={"macro_f1": 1.0},
    )
    variants = {
        name: NewVariant(
            variant=_variant("tensorrt" if name == "int8" else "onnx"),
            model=model,
            embedding=embedding[0] + np.float32(error),
            logits=logits[0],
            tolerance=1e-4,
        )
        for name, error in (variant_errors or {}).items()
    }
    return write_bundle(
        path,
        manifest,
        model=model,
        rule=MaxLogit(),
        golden=golden,
        card="# Tiny\n",
        variants=variants,
        stored=Stored(calibration=calibration),
    )


def choir_bundle(
    path: Path,
    *,
    label_thresholds: Mapping[str, float] | None = None,
    frame_threshold: float | None = None,
    attention: bool = False,
    time_attention: bool = False,
    golden_errors: Mapping[str, float] | None = None,
    list_margin: ListMargin | None = None,
    activation: Activation = "sigmoid",
    labels: Sequence[Label] = LABELS,
    animal: AnimalRule | None = None,
) -> Bundle:
    """Write a bundle that hears each of the three tones by itself; noise is none of them.

    So a window may carry several labels, but for other activations. With a `frame_threshold` it
    says so of every frame of its features, too; its `attention` is where its features are loud, its
    `time_attention` when. Of its golden window, `golden_errors` spoils outputs by name, and leaves
    out those that are NaN.
    """
    frontend = Frontend(SPEC)
    weights = np.zeros((SPEC.n_mels, len(TONES_HZ)))
    for i, hz in enumerate(TONES_HZ.values()):
        weights[_profile(frontend, tone(hz, 1.0)).argmax(), i] = 20
    weights[7:10] = -20 / 3  # bands that belong to none of the tones
    model = _graph(
        SPEC,
        "flat",
        weights,
        np.full(len(TONES_HZ), -10.0),
        frames=frame_threshold is not None,
        attention=attention,
        time_attention=time_attention,
    )
    samples = tone(300.0, 1.0) + tone(3000.0, 1.0)
    manifest = Manifest(
        name="choir",
        labels=tuple(labels),
        animal=animal,
        frontend=SPEC,
        activation=activation,
        rule="max_logit",
        threshold=2.0,
        scale=1.0,
        training_data="0" * 64,
        code="0" * 64,
        metrics={},
        label_thresholds=dict(label_thresholds or {}),
        frame_threshold=frame_threshold,
        attention=attention,
        time_attention=time_attention,
        list_margin=list_margin,
    )
    errors = golden_errors or {}
    names = [
        name
        for name in ("embedding", "logits", *manifest.extra_outputs)
        if not np.isnan(errors.get(name, 0))
    ]
    answers = {
        name: answer[0] + np.float32(errors.get(name, 0))
        for name, answer in zip(names, _run(model, frontend(samples)[None], names), strict=True)
    }
    extra_outputs = {name: answers[name] for name in names[2:]}
    golden = Golden(
        samples=samples,
        embedding=answers["embedding"],
        logits=answers["logits"],
        tolerance=1e-4,
        extra_outputs=extra_outputs,
    )
    return write_bundle(
        path, manifest, model=model, rule=MaxLogit(), golden=golden, card="# Choir\n"
    )


def banded_bundle(
    path: Path,
    spec: FrontendSpec,
    bands: Mapping[str, Array],
    *,
    written: Mapping[str, Array] | None = None,
    occurrence: Occurrence | None = None,
) -> Bundle:
    """Write a bundle of several labels whose frontend needs stored `bands`.

    `written` are in it instead; `occurrence` is what it knows of places.
    """
    matrix: NDArray[Any] = np.random.default_rng(0).standard_normal((spec.n_mels, len(LABELS)))
    if not bands:
        tones = [tone(hz, spec.window_s, spec.sample_rate_hz) for hz in TONES_HZ.values()]
        matrix = 10 * np.stack([_profile(Frontend(spec), samples) for samples in tones]).T
    bias = np.full(len(LABELS), 0.0 if bands else -8.0)
    model = _graph(spec, "embedding", matrix, bias)
    samples = tone(700.0, spec.window_s, spec.sample_rate_hz)
    features = Frontend(spec, bands)(samples)[None]
    embedding, logits = _run(model, features, ("embedding", "logits"))
    golden = Golden(samples=samples, embedding=embedding[0], logits=logits[0], tolerance=1e-3)
    manifest = Manifest(
        name="banded",
        labels=LABELS,
        frontend=spec,
        activation="sigmoid",
        rule="max_logit",
        threshold=0.0,
        scale=1.0,
        training_data="0" * 64,
        code="0" * 64,
        metrics={},
        occurrence=occurrence is not None,
        licence="only for tests",
        source="made for tests",
    )
    return write_bundle(
        path,
        manifest,
        model=model,
        rule=MaxLogit(),
        golden=golden,
        card="# Banded\n",
        stored=Stored(bands=bands if written is None else written, occurrence=occurrence),
    )


def _variant(backend: str) -> Variant:
    return Variant(precision="int8", runs_on=(backend,), threshold=-6.0, scale=1.0, metrics={})


def _profile(frontend: Frontend, samples: Array) -> Array:
    """Mean over time of the first channel, normalised: (n_mels,)."""
    mean = frontend(samples)[0].mean(axis=1)
    profile: Array = mean / np.linalg.norm(mean)
    return profile


def _graph(
    spec: FrontendSpec,
    source: str,
    matrix: NDArray[Any],
    bias: NDArray[Any],
    *,
    frames: bool = False,
    attention: bool = False,
    time_attention: bool = False,
) -> bytes:
    """Return a graph: mean over time, `flat`, then L2-normalised, `embedding`, and a linear layer.

    The layer, matrix (n_mels, K) and bias (K,), takes `source`, one of the two. With `frames` it
    also takes each frame of the features; `attention` is the features' share of their sum,
    `time_attention` the largest of each frame.
    """
    channels, mels, count = spec.shape
    first = numpy_helper.from_array(np.array([0], np.int64), "first")
    weights = numpy_helper.from_array(matrix.astype(np.float32), "weights")
    offset = numpy_helper.from_array(bias.astype(np.float32), "bias")
    floor = numpy_helper.from_array(np.array([1e-12], np.float32), "floor")
    axes = numpy_helper.from_array(np.array([3], np.int64), "time")
    nodes = [
        helper.make_node("ReduceMean", ["features", "time"], ["mean"], keepdims=0),
        helper.make_node("Gather", ["mean", "first"], ["channel"], axis=1),
        helper.make_node("Flatten", ["channel"], ["flat"]),
        helper.make_node("ReduceL2", ["flat", "ones"], ["norm"], keepdims=1),
        helper.make_node("Max", ["norm", "floor"], ["safe"]),
        helper.make_node("Div", ["flat", "safe"], ["embedding"]),
        helper.make_node("MatMul", [source, "weights"], ["products"]),
        helper.make_node("Add", ["products", "bias"], ["logits"]),
    ]
    if frames or attention:
        nodes += [
            helper.make_node("Gather", ["features", "first"], ["picture"], axis=1),
            helper.make_node("Squeeze", ["picture", "ones"], ["mels"]),
        ]
    if attention:
        nodes += [
            helper.make_node("ReduceSum", ["mels", "both"], ["total"], keepdims=1),
            helper.make_node("Div", ["mels", "total"], ["attention"]),
        ]
    if time_attention:
        nodes.append(
            helper.make_node("ReduceMax", ["mels", "ones"], ["time_attention"], keepdims=0)
        )
    if frames:
        nodes += [
            helper.make_node("Transpose", ["mels"], ["moments"], perm=[0, 2, 1]),
            helper.make_node("MatMul", ["moments", "weights"], ["parts"]),
            helper.make_node("Add", ["parts", "bias"], ["frames"]),
        ]
    ones, both = (
        numpy_helper.from_array(np.array(a, np.int64), name)
        for name, a in (("ones", [1]), ("both", [1, 2]))
    )
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(
                "features", TensorProto.FLOAT, ["batch", channels, mels, count]
            )
        ],
        [
            *(
                [
                    helper.make_tensor_value_info(
                        "frames", TensorProto.FLOAT, ["batch", count, len(bias)]
                    )
                ]
                if frames
                else []
            ),
            *(
                [
                    helper.make_tensor_value_info(
                        "attention", TensorProto.FLOAT, ["batch", mels, count]
                    )
                ]
                if attention
                else []
            ),
            *(
                [
                    helper.make_tensor_value_info(
                        "time_attention", TensorProto.FLOAT, ["batch", count]
                    )
                ]
                if time_attention
                else []
            ),
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", mels]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(bias)]),
        ],
        initializer=[first, weights, offset, floor, axes, ones, *([both] if attention else [])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    serialized: bytes = model.SerializeToString()
    return serialized


def _run(model: bytes, features: Array, names: Sequence[str]) -> tuple[Array, ...]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(model)
        return OnnxBackend(file).infer_named(features, names)
