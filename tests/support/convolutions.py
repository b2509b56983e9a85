"""A small convolutional network as a bundle, and windows to measure it on.

In the windows are tones that it knows, tones that it does not know, and noise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edge.bundle import Bundle, Frontend, Golden, Manifest, write_bundle
from edge.bundle.heads import MaxLogit
from edge.bundle.windows import KNOWN, QUIET, UNKNOWN, Split, Windows, write
from edge.types import Array
from tests.support.bundles import LABELS, SPEC, tone

__all__ = ["convolutional_bundle", "write_windows_file"]

KNOWN_HZ, UNKNOWN_HZ = (300.0, 1000.0, 3000.0), (550.0, 1800.0)
WIDE, EMBEDDING = 8, 96
CARD = "# Small\n\nFor tests.\n\n## Recordings\n\nNone.\n"


def convolutional_bundle(path: Path, *, loudest: float = 1.0, deep: bool = True) -> Bundle:
    """Write a bundle of random convolutions and a linear classifier that fits the tones.

    There are two convolutions, without `deep` only the one over a single channel. `loudest` scales
    the results of the first, and the second scales them back.
    """
    weights = _weights(loudest, deep=deep)
    points = _run(_graph(weights, deep=deep), _features((*KNOWN_HZ, *UNKNOWN_HZ, 0.0), 0, 30))[0]
    wanted = np.repeat(20 * np.eye(6, len(LABELS)), 30, axis=0)
    # This is ridge regression.
    directions = np.linalg.solve(points.T @ points + 0.1 * np.eye(EMBEDDING), points.T @ wanted)
    model = _graph({**weights, "directions": directions.astype(np.float32)}, deep=deep)
    samples = tone(700.0, SPEC.window_s)
    embedding, logits = _run(model, Frontend(SPEC)(samples)[None])
    known = _run(model, _features(KNOWN_HZ, 7, 20))[1]
    threshold = float(np.quantile(-known.max(1), 0.8))
    manifest = Manifest(
        name="small",
        labels=LABELS,
        frontend=SPEC,
        activation="softmax",
        rule="max_logit",
        threshold=threshold,
        scale=1.0,
        training_data="0" * 64,
        code="0" * 64,
        metrics={},
    )
    golden = Golden(samples=samples, embedding=embedding[0], logits=logits[0], tolerance=1e-3)
    return write_bundle(path, manifest, model=model, rule=MaxLogit(), golden=golden, card=CARD)


def write_windows_file(path: Path, bundle: Bundle, **changed: Any) -> Path:
    """Write windows as `edge-train windows` does: 3 of each recording, the last one quiet.

    `changed` replaces arrays of the file by their names, or leaves one out with None.
    """
    windows = Windows(
        frontend=bundle.frontend.digest,
        training_data=bundle.manifest.training_data,
        labels=tuple(label.label for label in bundle.labels),
        calibration=_features((*KNOWN_HZ, *UNKNOWN_HZ), 1, 8),
        validation=_split(2),
        test=_split(3),
    )
    write(path, windows)
    if changed:
        with np.load(path) as written:
            arrays = {**written, **changed}
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def _split(seed: int, recordings: int = 6, windows: int = 3) -> Split:
    kinds = [(KNOWN, hz, k) for k, hz in enumerate(KNOWN_HZ)]
    kinds += [(UNKNOWN, hz, -1) for hz in UNKNOWN_HZ] + [("noise: hiss", 0.0, -1)]
    origin = np.repeat([kind for kind, _, _ in kinds], recordings * windows)
    quiet = (np.arange(len(origin)) % windows == windows - 1) & (origin != "noise: hiss")
    return Split(
        features=np.concatenate(
            [_features([hz], seed, recordings * windows) for _, hz, _ in kinds]
        ),
        recording=np.repeat(np.arange(len(kinds) * recordings), windows),
        species=np.where(quiet, -1, np.repeat([k for _, _, k in kinds], recordings * windows)),
        kind=np.where(quiet, QUIET, origin),
        origin=origin,
    )


def _features(frequencies: Any, seed: int, each: int) -> Array:
    """Return windows (n, 1, n_mels, frames) of tones, a little out of tune, in noise.

    0 Hz stands for noise alone.
    """
    rng = np.random.default_rng(seed)
    frontend = Frontend(SPEC)
    windows = []
    for hz in frequencies:
        for _ in range(each):
            sound = tone(hz * rng.uniform(0.97, 1.03), SPEC.window_s) * float(hz > 0)
            noise = rng.uniform(0.02, 0.05) * rng.standard_normal(SPEC.window_samples)
            windows.append(frontend((sound + noise).astype(np.float32)))
    return np.stack(windows)


def _weights(loudest: float, *, deep: bool) -> dict[str, Array]:
    rng = np.random.default_rng(5)
    first, second = (
        rng.standard_normal((WIDE, 1, 3, 3)),
        rng.standard_normal((2 * WIDE, WIDE, 3, 3)),
    )
    flat = 2 * WIDE * (SPEC.n_mels // 2) if deep else WIDE * (SPEC.n_mels // 2)
    plain = {
        "first": loudest * first / 30,
        "first_bias": loudest * rng.uniform(0, 1, WIDE),
        "second": second / (8 * loudest),
        "second_bias": rng.uniform(-1, 1, 2 * WIDE),
        "embed": rng.standard_normal((flat, EMBEDDING)) / 10,
        "directions": np.zeros((EMBEDDING, len(LABELS))),
    }
    return {name: value.astype(np.float32) for name, value in plain.items()}


def _graph(weights: dict[str, Array], *, deep: bool) -> bytes:
    """Return a graph whose nodes have no names.

    Conv -> Relu -> MaxPool -> Conv -> Relu -> mean over time -> embedding, L2 -> logits
    """
    nodes = [
        helper.make_node("Conv", ["features", "first", "first_bias"], ["c1"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"]),
        helper.make_node("MaxPool", ["r1"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["pooled", "second", "second_bias"], ["c2"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"]),
        helper.make_node("ReduceMean", ["r2" if deep else "pooled", "time"], ["mean"], keepdims=0),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("MatMul", ["flat", "embed"], ["raw"]),
        helper.make_node("ReduceL2", ["raw", "ones"], ["norm"], keepdims=1),
        helper.make_node("Div", ["raw", "norm"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "directions"], ["logits"]),
    ]
    if not deep:
        nodes = nodes[:3] + nodes[5:]
    axes: dict[str, NDArray[Any]] = {
        "time": np.array([3], np.int64),
        "ones": np.array([1], np.int64),
    }
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", *SPEC.shape])],
        [
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", EMBEDDING]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)]),
        ],
        initializer=[
            numpy_helper.from_array(value, name)
            for name, value in (axes | weights).items()
            if name in used
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _run(model: bytes, features: Array) -> tuple[Array, Array]:
    import onnxruntime

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    embedding, logits = session.run(["embedding", "logits"], {"features": features})
    return embedding, logits
