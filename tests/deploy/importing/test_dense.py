"""Layers of a classifier that was trained: ONNX Runtime gives for them what LiteRT gives."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from deploy.importing.birdnet_labels import read_classes
from deploy.importing.dense import DenseLayers, dense_layers
from deploy.importing.tflite_file import TfliteFile
from edge.errors import BundleError, SpecError, UserError
from edge.types import Array
from tests.support.damage import CHANGES, KEPT, Changes, damaged
from tests.support.tflite_files import DENSE, dense_classifier, run

EMBEDDINGS = np.abs(np.random.default_rng(1).standard_normal((20, 1024))).astype(np.float32)


def layers_of(content: bytes) -> DenseLayers:
    file = TfliteFile(Path("mine.tflite"), content)
    return dense_layers(file, lambda tensor: tensor == file.inputs[0])


def logits(content: bytes, embeddings: Array) -> Array:
    layers = layers_of(content)

    def described(name: str, columns: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", columns])

    graph = helper.make_graph(
        layers.nodes,
        "layers",
        [described("embedding", embeddings.shape[1])],
        [described("logits", layers.columns)],
        layers.stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (answer,) = session.run(["logits"], {"embedding": embeddings})
    return np.asarray(answer, np.float32)


def sigmoid(x: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-x)), np.float32)


def same(x: Array) -> Array:
    return x


@pytest.mark.parametrize("layers", DENSE)
@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize(("tail", "scores"), [("", same), ("LOGISTIC", sigmoid)])
def test_the_logits_are_litert_s(
    layers: str, folded: bool, tail: str, scores: Callable[[Array], Array]
) -> None:
    content = dense_classifier(DENSE[layers], folded=folded, tail=tail)
    found = logits(content, EMBEDDINGS)
    assert found.shape == (20, 3)
    np.testing.assert_allclose(scores(found), run(content, EMBEDDINGS), atol=1e-4)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (dense_classifier(DENSE["one"], tail="SOFTMAX"), "it has the operator SOFTMAX"),
        (
            dense_classifier([(np.full((3, 1024), np.nan, np.float32), np.zeros(3, np.float32))]),
            "weights that are NaN or infinite",
        ),
    ],
)
def test_what_is_no_dense_layer_is_refused(content: bytes, reason: str) -> None:
    with pytest.raises(SpecError, match=reason):
        layers_of(content)


def test_a_file_that_goes_round_and_round_is_refused() -> None:
    """Its layers are more than any classifier has."""
    rng = np.random.default_rng(0)
    square = rng.standard_normal((8, 8)).astype(np.float32)
    deep = [(square, np.zeros(8, np.float32))] * 40
    with pytest.raises(SpecError, match="more than 32 layers"):
        layers_of(dense_classifier(deep, takes=8))


DAMAGED = dense_classifier(DENSE["hidden"], tail="LOGISTIC", folded=True)


@settings(max_examples=300, deadline=None)
@given(changes=CHANGES, kept=KEPT, near=st.booleans())
def test_a_damaged_file_gives_layers_or_one_error(
    changes: Changes, kept: float, near: bool
) -> None:
    """Most of a file is weights; `near` its ends is what describes them."""
    described = [(min(place * 0.02, 1 - 1e-6), byte) for place, byte in changes]
    with suppress(UserError):
        layers_of(damaged(DAMAGED, described if near else changes, kept))


def test_names_of_folders_are_labels() -> None:
    text = (
        "Turdus merula_Eurasian Blackbird\n"
        "Corvus corone x cornix_Hybrid Crow\n"
        "my_owl_type_2\n"
        "Great tit\n"
        "Human vocal_Human vocal\n"
        "Engine\n"
        "Bufo bufo\n"
    )
    labels = read_classes(Path("mine_Labels.txt"), text.encode(), count=7)
    rows = [(label.label, label.common_name, label.scientific_name, label.kind) for label in labels]
    assert rows == [
        ("eurasian_blackbird", "Eurasian Blackbird", "Turdus merula", "animal"),
        ("hybrid_crow", "Hybrid Crow", "Corvus corone x cornix", "animal"),
        ("my_owl_type_2", "my_owl_type_2", "", "animal"),
        ("great_tit", "Great tit", "", "animal"),
        ("human_vocal", "Human vocal", "", "human"),
        ("engine", "Engine", "", "machine"),
        ("bufo_bufo", "Bufo bufo", "", "animal"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"one\ntwo\n", "has 2 labels, and the model has 3 outputs"),
        (b"one\ntwo\nOne\n", "line 3: one is there twice"),
        (b"one\n\ntwo\n", "line 2: the label '' has 0 characters"),
        (b"one\nunknown\ntwo\n", "line 2: the label 'unknown' is kept"),
        (b"\xff\n\n\n", "its text is not UTF-8"),
    ],
)
def test_what_is_no_list_of_classes_is_one_line(text: bytes, reason: str) -> None:
    with pytest.raises(BundleError, match=r"mine_Labels\.txt: ") as caught:
        read_classes(Path("mine_Labels.txt"), text, count=3)
    assert reason in str(caught.value)
