"""Any classifier that takes a waveform, as an ONNX file, as a bundle: Perch v2 for instance.

Its network stays as it is, but for its ends: it takes the features of a bundle, which here are the
samples, and gives embedding and logits under these names. What only other outputs need is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from deploy.importing.label_table import read_table
from deploy.importing.names import with_names
from deploy.importing.onnx_file import content_of, read_model
from deploy.importing.onnx_graph import Waveform, part_of
from deploy.importing.onnx_network import SAME, answers_of, network_of
from deploy.importing.onnx_parts import Head, candidates, find_head, fixed_batch, waveform_of
from deploy.importing.onnx_run import Answers
from deploy.importing.sounds import trill
from edge.bundle import (
    Bundle,
    ChannelSpec,
    Frontend,
    FrontendSpec,
    Golden,
    Label,
    Manifest,
    write_bundle,
)
from edge.bundle.digest import sha256_of
from edge.bundle.heads import Activation, MaxLogit
from edge.bundle.labels import LONGEST_NAME, check_text
from edge.bundle.spec import NoLevel
from edge.errors import UserError, blamed_on, one_line, shown

__all__ = ["Imported", "WaveformImport", "import_waveform"]

Array = NDArray[np.float32]
LEAST_TOLERANCE = 1e-4
LONGEST_STEM = 80  # characters of the file's name


@dataclass(frozen=True, kw_only=True)
class WaveformImport:
    """What is imported: a classifier, its `labels` as a table, and how long it listens.

    `input`, `embedding` and `logits` name parts of its graph that are not found otherwise. Without
    an `activation` it is that of the graph, or else `sigmoid`. `names` is a table of names in other
    languages.
    """

    file: Path
    labels: Path
    rate_hz: int
    window_s: float
    input: str | None = None
    embedding: str | None = None
    logits: str | None = None
    activation: Activation | None = None
    licence: str = ""
    source: str = ""
    names: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The bundle, and what a person should know of how it was made."""

    bundle: Bundle
    notes: tuple[str, ...]


def import_waveform(asked: WaveformImport, out: Path) -> Imported:
    """Make the bundle `out`; raises `BundleError` and `UserError`, which name file or option."""
    with blamed_on("--rate-hz and --window-s", "", ""):
        spec = _spec(asked)
    labels = read_table(asked.labels)
    labels = labels if asked.names is None else with_names(labels, asked.names)
    content = content_of(asked.file)
    model = read_model(asked.file, content)
    waveform = waveform_of(
        asked.file,
        model.graph,
        name=asked.input,
        samples=spec.window_samples,
        window=f"{spec.window_s:g} s at {spec.sample_rate_hz} Hz are {spec.window_samples}",
    )
    features = Frontend(spec)(trill(spec))[np.newaxis]
    windows = np.repeat(features, fixed_batch(model.graph, waveform) or 1, axis=0)
    head = _head(asked, model, waveform, windows, labels=len(labels))
    activation = _activation(asked, head)
    part = part_of(model, waveform, list(dict.fromkeys([head.embedding, head.logits])))
    graph, answers = network_of(asked.file, part, head, windows, logarithms=activation == "softmax")
    manifest = _manifest(asked, spec, labels, activation, sha256_of(content))
    bundle = write_bundle(
        out,
        manifest,
        model=graph,
        rule=MaxLogit(),
        golden=Golden(
            samples=trill(spec),
            embedding=answers["embedding"][0],
            logits=answers["logits"][0],
            tolerance=_tolerance(answers),
        ),
        card=_card(manifest),
    )
    return Imported(bundle=bundle, notes=tuple(_notes(asked, head, bundle)))


def _spec(asked: WaveformImport) -> FrontendSpec:
    return FrontendSpec(
        sample_rate_hz=asked.rate_hz,
        window_s=asked.window_s,
        n_mels=1,
        fmax_hz=asked.rate_hz / 2,
        channels=(ChannelSpec(component="waveform", level=NoLevel()),),
    )


def _head(
    asked: WaveformImport,
    model: onnx.ModelProto,
    waveform: Waveform,
    windows: Array,
    *,
    labels: int,
) -> Head:
    """Return which tensors are embedding and logits, seen in what the graph gives."""
    tensors = candidates(asked.file, model.graph, waveform, (asked.embedding, asked.logits))
    return find_head(
        asked.file,
        model.graph,
        answers_of(asked.file, part_of(model, waveform, tensors), windows),
        labels=labels,
        embedding=asked.embedding,
        logits=asked.logits,
    )


def _activation(asked: WaveformImport, head: Head) -> Activation:
    found: Activation = "softmax" if head.activation == "softmax" else "sigmoid"
    if asked.activation and head.activation and asked.activation != found:
        raise UserError(
            f"{asked.file}: makes its scores with {found}, not with {asked.activation}",
            key="--activation",
            value=asked.activation,
        )
    return asked.activation or found


def _manifest(
    asked: WaveformImport,
    spec: FrontendSpec,
    labels: tuple[Label, ...],
    activation: Activation,
    sha256: str,
) -> Manifest:
    for option, text in (("--licence", asked.licence), ("--source", asked.source)):
        with blamed_on(option, "", ""):
            check_text(text, LONGEST_NAME - len(sha256) - 20)
    return Manifest(
        name=one_line(asked.file.stem)[:LONGEST_STEM] or "classifier",
        labels=labels,
        frontend=spec,
        activation=activation,
        rule=MaxLogit.kind,
        threshold=math.log(2) if activation == "softmax" else 0.0,  # a score of 0.5
        scale=1.0,
        training_data="not known",
        code="not known",
        metrics={},
        licence=asked.licence,
        source=f"{asked.source or one_line(asked.file.name)[:LONGEST_STEM]}; sha256 {sha256}",
    )


def _tolerance(answers: Answers) -> float:
    """Return how far another machine may be from the logits of the golden window."""
    return max(LEAST_TOLERANCE, SAME * float(np.abs(answers["logits"]).max()))


def _notes(asked: WaveformImport, head: Head, bundle: Bundle) -> Iterator[str]:
    activation = bundle.manifest.activation
    yield f"the logits are {shown(head.logits)}, their scores made with {activation}"
    count = len(bundle.golden.embedding)
    if head.is_output:
        yield f"the embedding is {shown(head.embedding)}, {count} numbers brought to length 1"
    elif head.embedding == head.logits:
        yield "it has no embedding: the logits stand for one; --embedding names another"
    else:
        yield (
            f"it has no output for the embedding: it is {shown(head.embedding)}, the {count} "
            "numbers that the last layer takes; --embedding names another"
        )
    if not asked.licence:
        yield "its licence is not known here; --licence writes it into the bundle"


def _card(manifest: Manifest) -> str:
    spec = manifest.frontend
    return f"""# {manifest.name}

Another's classifier of waveforms, made into a bundle.

- Licence: {manifest.licence or "not known here"}.
- Source: {manifest.source}
- Labels: {len(manifest.labels)}.
- Input: the samples of {spec.window_s:g} s at {spec.sample_rate_hz} Hz, as they are.
- Unknown: a window in which no label has a score of 0.5. This rule is not calibrated
  on sounds, neither on those that the model knows nor on others.
"""
