"""A classifier trained with BirdNET's own tool, as a bundle: its layers on BirdNET's trunk.

BirdNET-Analyzer writes them as `NAME.tflite` with `NAME_Labels.txt`: only the layers, which take
the embedding, in its first versions; later with all of BirdNET before them, in place of its own
labels or in addition to them. Here BirdNET is the one that is installed, and the file gives what
stands behind its embedding.
"""

from __future__ import annotations

from pathlib import Path

import onnx

from deploy.importing.birdnet import MODEL, REFERENCE, content_of, golden_of, manifest_of
from deploy.importing.birdnet_graph import Cut, cut_of
from deploy.importing.birdnet_labels import read_classes, slug
from deploy.importing.birdnet_trunk import embedding_of
from deploy.importing.dense import DenseLayers, dense_layers
from deploy.importing.layers import network_of
from deploy.importing.names import with_names
from deploy.importing.onnx_graph import needed
from deploy.importing.tflite_file import TfliteFile
from edge.bundle import Bundle, Label, Manifest, Stored, write_bundle
from edge.bundle.digest import sha256_of
from edge.bundle.heads import MaxLogit
from edge.errors import BundleError, SpecError, one_line

__all__ = ["import_classifier", "name_of"]

LONGEST_NAME = 40  # characters of the file's name
SHORT_DIGEST = 16


def import_classifier(
    source: Path, classifier: Path, out: Path, *, names: Path | None = None
) -> Bundle:
    """Make the bundle `out` of the layers in the file `classifier` on the BirdNET in `source`.

    `source` is a `.tflite` or a folder with one. The labels stand beside the classifier, `names` is
    a table of their names in other languages. Raises `BundleError`, which names the file.
    """
    model = source / MODEL if source.is_dir() else source
    content, own = content_of(model), content_of(classifier)
    birdnet, file = TfliteFile(model, content), TfliteFile(classifier, own)
    cut = cut_of(model, birdnet)
    try:
        layers = dense_layers(file, embedding_of(classifier, file, birdnet, cut))
    except SpecError as exc:
        raise BundleError(
            f"{classifier}: {exc}",
            suggestion="dense layers behind BirdNET's embedding are expected",
        ) from exc
    listed = classifier.with_name(f"{classifier.stem}_Labels.txt")
    labels = read_classes(listed, content_of(listed), count=layers.columns)
    labels = labels if names is None else with_names(labels, names)
    graph = _graph(birdnet, cut, layers)
    manifest = _manifest(classifier, cut, labels, own=sha256_of(own), trunk=sha256_of(content))
    return write_bundle(
        out,
        manifest,
        model=graph,
        rule=MaxLogit(),
        golden=golden_of(cut, graph),
        card=_card(manifest),
        stored=Stored(bands=cut.bands),
    )


def name_of(classifier: Path) -> str:
    """Return the name by which the bundle of a classifier is called, from that of its file."""
    return slug(classifier.stem)[:LONGEST_NAME] or "classifier"


def _graph(birdnet: TfliteFile, cut: Cut, layers: DenseLayers) -> bytes:
    """Return BirdNET's graph as far as its embedding, with the layers behind that."""
    content = network_of(
        birdnet,
        features=cut.features,
        size=cut.spec.shape,
        embedding=cut.embedding,
        logits=cut.logits,
    )
    model = onnx.ModelProto()
    model.ParseFromString(content)
    graph = model.graph
    nodes, names = needed(graph, ["embedding"])
    stored = [tensor for tensor in graph.initializer if tensor.name in names]
    del graph.node[:], graph.initializer[:]
    graph.node.extend([*nodes, *layers.nodes])
    graph.initializer.extend([*stored, *layers.stored])
    (logits,) = [output for output in graph.output if output.name == "logits"]
    logits.type.tensor_type.shape.dim[1].dim_value = layers.columns
    onnx.checker.check_model(model)
    whole: bytes = model.SerializeToString()
    return whole


def _manifest(
    classifier: Path, cut: Cut, labels: tuple[Label, ...], *, own: str, trunk: str
) -> Manifest:
    name = one_line(classifier.stem)[:LONGEST_NAME]
    source = f"{name}, sha256 {own}, on BirdNET V2.4, sha256 {trunk[:SHORT_DIGEST]}"
    return manifest_of(cut, labels, name=name, source=source)


def _card(manifest: Manifest) -> str:
    spec = manifest.frontend
    return f"""# {manifest.name}

A classifier that was trained with BirdNET's own tool, on the embedding of BirdNET V2.4. BirdNET's
weights are its makers'.

- Licence of what is derived from BirdNET: {manifest.licence}.
- Source: {manifest.source}
- Labels: {len(manifest.labels)}.
- Input: {spec.window_s:g} s at {spec.sample_rate_hz} Hz. A window carries every label from a score
  of 0.5.
- Unknown: a window in which no label reaches a logit of 0. This rule is not calibrated.

{REFERENCE}
"""
