"""Classifiers of waveforms as others export them, small: each knows three tones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from deploy.importing.waveform import WaveformImport, import_waveform
from edge.bundle import Bundle
from edge.types import Array

__all__ = ["PERCH", "TONES_HZ", "Classifier", "waveform_bundle", "write_labels"]

TONES_HZ = (300.0, 1000.0, 3000.0)
FEW = 100  # labels that have a column of weights each; more are made of three numbers
STEP_HZ = 100  # between the bins of its spectrogram
NAMES = (
    ("Low Hummer", "Bombus gravis"),
    ("Mid Whistler", "Sibilus medius"),
    ("High Peeper", "Hyla alta"),
)


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """A graph: the waveform to power in bins, its shares of the whole, embedding, logits.

    `outputs` are those it has, in their order, of `spectrogram`, `spatial_embedding`, `embedding`,
    `label` (the logits), `scores` and `lengths` (whole numbers). With a `fixed` batch it takes only
    so many windows. The `tail` makes scores of the logits, `rank` is that of the input.
    """

    rate_hz: int = 8_000
    window_s: float = 1.0
    labels: int = 3
    dimensions: int = 64
    outputs: tuple[str, ...] = ("embedding", "label")
    tail: str = "Sigmoid"
    rank: int = 2
    fixed: int | None = None
    input: str = "inputs"
    input_type: int = TensorProto.FLOAT
    opset: int = 17
    wrong: float = 1.0  # times the logits
    domain: str = ""  # of the operator that gives the embedding

    @property
    def samples(self) -> int:
        """Samples of a window."""
        return round(self.rate_hz * self.window_s)

    @property
    def matrices(self) -> dict[str, NDArray[np.float32]]:
        """What is stored in it."""
        frame = self.rate_hz // STEP_HZ
        bins = min(128, frame // 2, self.dimensions)
        turns = np.outer(np.arange(frame), np.arange(bins)) / frame
        waves = np.concatenate([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)], axis=1)
        chosen = np.zeros((bins, 3))
        chosen[[round(hz / STEP_HZ) for hz in TONES_HZ], range(3)] = 20
        rng = np.random.default_rng(0)
        mixed = np.linalg.qr(rng.standard_normal((self.dimensions, bins)))[0].T
        narrow, wide = mixed.T @ chosen, np.eye(3, self.labels) * self.wrong
        head = {"weights": narrow @ wide}
        if self.labels > FEW:
            head = {"narrow": narrow, "wide": wide}
        return {
            name: np.asarray(value, np.float32)
            for name, value in {
                "waves": waves,
                "pairs": np.concatenate([np.eye(bins)] * 2),
                "mixed": mixed,
                **head,
                "bias": np.full(self.labels, -10.0),
                "least": 1e-9,
            }.items()
        }

    def logits(self, samples: Array) -> Array:
        """Return the logits (labels,) of a window, computed plainly."""
        m = self.matrices
        frames = samples.reshape(-1, len(m["waves"]))
        power = (np.square(frames @ m["waves"]) @ m["pairs"]).mean(0)
        logits: Array = power / (power.sum() + 1e-9) @ m["mixed"]
        for name in ("weights", "narrow", "wide"):
            logits = logits @ m[name] if name in m else logits
        return logits + m["bias"]

    def model(self) -> onnx.ModelProto:
        """Return the graph."""
        frame = self.rate_hz // STEP_HZ
        batch = self.fixed or -1
        shapes = {
            "framed": [batch, self.samples // frame, frame],
            "square": [batch, 1, 1, self.dimensions],
            "places": [1, 16, 4, 1],
            "times": [1],
        }
        node = helper.make_node
        nodes = [
            node("Reshape", [self.input, "framed"], ["frames"]),
            node("MatMul", ["frames", "waves"], ["transform"]),
            node("Mul", ["transform", "transform"], ["squares"]),
            node("MatMul", ["squares", "pairs"], ["spectrogram"]),
            node("ReduceMean", ["spectrogram"], ["mean"], axes=[1], keepdims=0),
            node("ReduceSum", ["mean", "times"], ["sum"], keepdims=1),
            node("Add", ["sum", "least"], ["total"]),
            node("Div", ["mean", "total"], ["shares"]),
            node("MatMul", ["shares", "mixed"], ["mixture"]),
            node("Identity", ["mixture"], ["embedding"], domain=self.domain),
            node("Reshape", ["embedding", "square"], ["one_place"]),
            node("Tile", ["one_place", "places"], ["spatial_embedding"]),
        ]
        if self.labels > FEW:
            nodes.append(node("MatMul", ["embedding", "narrow"], ["three"]))
            nodes.append(node("MatMul", ["three", "wide"], ["products"]))
        else:
            nodes.append(node("MatMul", ["embedding", "weights"], ["products"]))
        nodes += [
            node("Add", ["products", "bias"], ["label"]),
            node(self.tail, ["label"], ["scores"]),
            node("Cast", ["label"], ["lengths"], to=TensorProto.INT64),
        ]
        return self._model(nodes, shapes)

    def _model(self, nodes: list[onnx.NodeProto], shapes: dict[str, list[int]]) -> onnx.ModelProto:
        batch = self.fixed or "batch"
        size = {2: [], 3: [1], 4: [1, 1]}[self.rank]
        described = helper.make_tensor_value_info
        graph = helper.make_graph(
            nodes,
            "classifier",
            [described(self.input, self.input_type, [batch, *size, self.samples])],
            [helper.make_empty_tensor_value_info(name) for name in self.outputs],
            [
                *(numpy_helper.from_array(v, n) for n, v in self.matrices.items()),
                *(numpy_helper.from_array(np.array(v, np.int64), n) for n, v in shapes.items()),
            ],
        )
        for output in graph.output:
            kind = TensorProto.INT64 if output.name == "lengths" else TensorProto.FLOAT
            output.type.tensor_type.elem_type = kind
        sets = [helper.make_opsetid("", self.opset)]
        if self.domain:
            sets.append(helper.make_opsetid(self.domain, 1))
        return helper.make_model(graph, opset_imports=sets, ir_version=8)

    def write(self, path: Path) -> Path:
        """Write the graph to a file."""
        path.write_bytes(self.model().SerializeToString())
        return path


# What Perch v2 takes and gives.
PERCH = Classifier(
    rate_hz=32_000,
    window_s=5.0,
    labels=14_795,
    dimensions=1_536,
    outputs=("embedding", "spatial_embedding", "label", "spectrogram"),
)


def write_labels(path: Path, *, count: int = 3) -> Path:
    """Write the table of labels: the three tones, and species that are never heard."""
    rows = [f"{common},{scientific}" for common, scientific in NAMES[:count]]
    rows += [f"Silent Moth {i},Tacitus numerus{i}" for i in range(count - len(rows))]
    path.write_text("\n".join(["common_name,scientific_name", *rows]) + "\n", encoding="utf-8")
    return path


def waveform_bundle(folder: Path, classifier: Classifier = Classifier()) -> Bundle:
    """Return the bundle of a classifier, in a new folder."""
    folder.mkdir(parents=True)
    asked = WaveformImport(
        file=classifier.write(folder / "three_tones.onnx"),
        labels=write_labels(folder / "labels.csv", count=classifier.labels),
        rate_hz=classifier.rate_hz,
        window_s=classifier.window_s,
        licence="only for tests",
    )
    return import_waveform(asked, folder / "bundle").bundle
