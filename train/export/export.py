"""Turns a finished run and its calibration into a bundle: ONNX, golden window, head, card.

Refused where torch and ONNX disagree.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from edge.bundle import (
    Bundle,
    Frontend,
    FrontendSpec,
    Golden,
    Label,
    Manifest,
    Stored,
    write_bundle,
)
from edge.bundle.heads import SCORE_THRESHOLD, Head
from edge.bundle.probability import ScoreCalibration
from edge.errors import UserError
from train.corpus.corpus import Corpus
from train.export.streaming import local_frames_of, streaming_proto
from train.export.version import code_version
from train.judging.calibration import Calibration
from train.learning.run import TrainedRun

__all__ = [
    "OPSET",
    "export_bundle",
    "extra_outputs_of",
    "golden_samples",
    "to_onnx",
    "verify_onnx",
]

OPSET = 18  # the newest that TensorRT 10.3's parser is known to take
TOLERANCE = 1e-4
Array = NDArray[np.float32]


def export_bundle(
    run: TrainedRun,
    calibration: Calibration,
    corpus: Corpus,
    *,
    path: Path,
    name: str,
    card: str,
    metrics: dict[str, Any],
    scores: ScoreCalibration | None = None,
) -> Bundle:
    """Write the bundle at `path`; raises `UserError` when torch and ONNX disagree."""
    spec, head = run.recipe.heard, calibration.head
    features = Frontend(spec)(samples := golden_samples(spec))[None]
    model = to_onnx(run.network, spec)
    answers = verify_onnx(model, run.network, np.concatenate([features, np.zeros_like(features)]))
    extra_outputs = extra_outputs_of(run.network, head)
    manifest = Manifest(
        name=name,
        labels=tuple(_labels(run, corpus)),
        frontend=spec,
        activation=head.activation,
        rule=head.rule.kind,
        threshold=head.threshold,
        scale=head.scale,
        training_data=corpus.digest,
        code=code_version(),
        metrics=metrics,
        animal=calibration.animal,
        label_thresholds=dict(zip(run.labels, head.label_thresholds, strict=False)),
        frame_threshold=_frame_threshold(head) if "frames" in extra_outputs else None,
        attention="attention" in extra_outputs,
        time_attention="time_attention" in extra_outputs,
        local=local_frames_of(run.network),
        licence=getattr(run.recipe.objective, "licence", ""),
        weight=getattr(run.recipe, "weight", 1.0),
    )
    parts: dict[str, Any] = {"model": model, "rule": head.rule, "card": card}
    parts["golden"] = _golden(samples, answers, extra_outputs)
    return write_bundle(path, manifest, **parts, stored=Stored(calibration=scores))


def _labels(run: TrainedRun, corpus: Corpus) -> Iterator[Label]:
    """Yield the labels of a run, with their names."""
    known = {label.label: label for label in corpus.labels}
    yield from (known[label] for label in run.labels)


def _frame_threshold(head: Head) -> float:
    """Return the score from which on a frame carries a label.

    A window's logit is a soft maximum of those of its frames, which the largest is never below: by
    the least threshold of the labels, a window that carries one has a frame that does.
    """
    return min(head.label_thresholds, default=SCORE_THRESHOLD)


def _golden(samples: Array, answers: dict[str, Array], extra_outputs: tuple[str, ...]) -> Golden:
    """Return the golden window, the first of those that were answered."""
    return Golden(
        samples=samples,
        embedding=answers["embedding"][0],
        logits=answers["logits"][0],
        tolerance=10 * TOLERANCE * _size(answers["embedding"][0]),
        extra_outputs={name: answers[name][0] for name in extra_outputs},
    )


def to_onnx(network: nn.Module, spec: FrontendSpec) -> bytes:
    """Return the network as ONNX, for any batch size.

    Its input is `features` (batch, C, F, T), its outputs are `embedding`, `logits`, and those that
    only some networks have.
    """
    if local_frames_of(network) is not None:
        proto = streaming_proto(network, spec, opset=OPSET)
        return bytes(_without_traces(proto).SerializeToString())
    network = _answering(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        program = torch.onnx.export(
            network.eval(),
            (torch.zeros(2, *spec.shape),),
            input_names=["features"],
            output_names=["embedding", "logits", *_extra_outputs(network)],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return bytes(_without_traces(program.model_proto).SerializeToString())


class _Answering(nn.Module):
    """A network whose one pass gives all that it has, to be exported."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network
        self.extra_outputs = _extra_outputs(network)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        answers: tuple[torch.Tensor, ...] = self.network.with_extra_outputs(x)
        return answers


def _answering(network: nn.Module) -> nn.Module:
    """Return the network as it is exported."""
    return _Answering(network) if _extra_outputs(network) else network


def _extra_outputs(network: nn.Module) -> tuple[str, ...]:
    """Return the names of the outputs beside embedding and logits that it has.

    `with_extra_outputs` gives them in this order.
    """
    names: tuple[str, ...] = getattr(network, "extra_outputs", ())
    return names


def extra_outputs_of(network: nn.Module, head: Head) -> tuple[str, ...]:
    """Return the names of the extra outputs that mean something with this head.

    Frames are scores of labels beside that of none of them, which a softmax of the labels alone
    does not leave room for.
    """
    return tuple(
        name for name in _extra_outputs(network) if name != "frames" or head.activation != "softmax"
    )


def _without_traces(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove what the exporter notes on every node: files and lines of this machine."""
    graph = model.graph
    values = (*graph.initializer, *graph.value_info, *graph.input, *graph.output)
    for part in (model, graph, *graph.node, *values):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    return model


def verify_onnx(model: bytes, network: nn.Module, features: Array) -> dict[str, Array]:
    """Run both networks on features (B, C, F, T), and return what ONNX Runtime says, by name.

    Raises `UserError` when torch differs by more than 1e-4, or that share of larger outputs.
    """
    names = ("embedding", "logits", *_extra_outputs(network))
    whole = _answering(network)
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when the library is loaded
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # warnings about the graph concern its exporter
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    outputs = [np.asarray(o) for o in session.run(list(names), {"features": features})]
    with torch.no_grad():
        expected = [o.numpy() for o in whole.eval()(torch.from_numpy(features))]
    for what, ours, theirs in zip(names, outputs, expected, strict=True):
        worst = float(np.abs(ours - theirs).max())
        if not worst <= TOLERANCE * _size(theirs):
            raise UserError(
                f"export refused: ONNX Runtime and torch differ in {what} by {worst:.2g}, more "
                f"than {TOLERANCE:g}"
            )
    return dict(zip(names, outputs, strict=True))


def _size(output: Array) -> float:
    """Return how large the numbers of an output are, 1 at least: of unit embeddings it is 1."""
    return max(1.0, float(np.abs(output).max()))


def golden_samples(spec: FrontendSpec) -> Array:
    """Return one window that exercises the whole frontend: whistle, clicks, trill, noise.

    It is made here, so that no recording travels.
    """
    rng = np.random.default_rng(20190328)
    t = np.arange(spec.window_samples) / spec.sample_rate_hz
    whistle = 0.3 * np.sin(2 * np.pi * (2500 * t + 60 * t**2)) * (np.sin(2 * np.pi * 0.7 * t) > 0.3)
    tone = 0.2 * np.sin(2 * np.pi * 1700 * t)
    trill = tone * (np.sin(2 * np.pi * 34 * t) > 0) * (t > 0.6 * spec.window_s)
    clicking = np.arange(len(t)) % (spec.sample_rate_hz // 3) < 40
    clicks = np.where(clicking, rng.uniform(-0.5, 0.5, len(t)), 0)
    return (whistle + trill + clicks + 0.003 * rng.standard_normal(len(t))).astype(np.float32)
