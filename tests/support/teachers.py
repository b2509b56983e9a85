"""A bundle that can be a teacher: bands of the real part, and layers as BirdNET has them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import Bundle, Frontend, FrontendSpec, Golden, Label, Manifest, write_bundle
from edge.bundle.heads import MaxLogit
from edge.bundle.spec import ChannelSpec, PowerLawLevel
from edge.bundle.writing import Stored

__all__ = ["body", "teacher_bundle", "teacher_spec"]

Array = NDArray[np.float32]
WIDTH = 6


def teacher_spec(rate_hz: int, *, window_s: float = 1.0, bands: int = 16) -> FrontendSpec:
    """Return a frontend of two channels of the real part, scaled by the window's extremes."""
    level = PowerLawLevel(exponent=0.2)
    return FrontendSpec(
        sample_rate_hz=rate_hz,
        window_s=window_s,
        n_fft=256,
        hop_length=128,
        n_mels=bands,
        fmin_hz=0.0,
        fmax_hz=rate_hz / 2,
        channels=tuple(
            ChannelSpec(component="real", level=level, bands=name, descending=True)
            for name in ("low", "high")
        ),
        centred=False,
        scaling="min_max",
    )


def body(labels: int, *, seed: int = 0) -> bytes:
    """Return a graph of every kind of layer that a teacher may have: features (B, 2, F, T) to
    embedding (B, 6) and logits (B, labels).
    """
    rng = np.random.default_rng(seed)

    def weights(name: str, *shape: int) -> onnx.TensorProto:
        return numpy_helper.from_array(rng.normal(0, 0.4, shape).astype(np.float32), name)

    def numbers(name: str, *values: int) -> onnx.TensorProto:
        return numpy_helper.from_array(np.array(values, np.int64), name)

    nodes = [
        helper.make_node("Conv", ["features", "w1", "b1"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node(
            "AveragePool", ["r1"], ["a1"], kernel_shape=[1, 2], strides=[1, 2], pads=[0, 0, 0, 0]
        ),
        helper.make_node(
            "MaxPool", ["r1"], ["m1"], kernel_shape=[1, 2], strides=[1, 2], pads=[0, 0, 0, 0]
        ),
        helper.make_node("Concat", ["a1", "m1"], ["both"], axis=1),
        helper.make_node("Pad", ["both", "pads"], ["padded"]),
        helper.make_node("Conv", ["padded", "w2"], ["c2"], group=4, strides=[2, 2]),
        helper.make_node("ReduceMean", ["c2", "places"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "places"], ["open"]),
        helper.make_node("Sigmoid", ["open"], ["gate"]),
        helper.make_node("Mul", ["c2", "gate"], ["gated"]),
        helper.make_node("Add", ["gated", "c2"], ["sum"]),
        helper.make_node("ReduceMean", ["sum", "places"], ["pooled"], keepdims=0),
        helper.make_node("Identity", ["pooled"], ["embedding"]),
        helper.make_node("Gemm", ["embedding", "w3", "b3"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "teacher",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 2, "f", "t"])],
        [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 2 * WIDTH]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", labels]),
        ],
        [
            weights("w1", WIDTH, 2, 3, 3),
            weights("b1", WIDTH),
            weights("w2", 2 * WIDTH, 2 * WIDTH // 4, 3, 3),
            weights("w3", labels, 2 * WIDTH),
            weights("b3", labels),
            numbers("pads", 0, 0, 1, 1, 0, 0, 1, 1),
            numbers("places", 2, 3),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def teacher_bundle(path: Path, labels: Sequence[str], *, rate_hz: int) -> Bundle:
    """Write a teacher of these labels, which has learnt nothing."""
    spec, rng = teacher_spec(rate_hz), np.random.default_rng(3)
    bands = {
        name: np.abs(rng.normal(0, 0.1, shape)).astype(np.float32)
        for name, shape in spec.stored_bands.items()
    }
    model = body(len(labels))
    samples = (0.1 * rng.standard_normal(spec.window_samples)).astype(np.float32)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    features = Frontend(spec, bands)(samples)[None]
    embedding, logits = session.run(["embedding", "logits"], {"features": features})
    golden = Golden(samples=samples, embedding=embedding[0], logits=logits[0], tolerance=1e-3)
    manifest = Manifest(
        name="teacher",
        labels=tuple(Label(label=label, common_name=label.title()) for label in labels),
        frontend=spec,
        activation="sigmoid",
        rule="max_logit",
        threshold=0.0,
        scale=1.0,
        training_data="0" * 64,
        code="0" * 64,
        metrics={},
    )
    return write_bundle(
        path,
        manifest,
        model=model,
        rule=MaxLogit(),
        golden=golden,
        card="# Teacher\n",
        stored=Stored(bands=bands),
    )
