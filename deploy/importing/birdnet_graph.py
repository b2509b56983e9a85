"""The parts of BirdNET V2.4, found in its graph by their names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.importing.tflite_file import TfliteFile
from edge.bundle import ChannelSpec, FrontendSpec
from edge.bundle.spec import PowerLawLevel
from edge.errors import BundleError

__all__ = ["Cut", "cut_of"]

RATE_HZ, WINDOW_S = 48_000, 3.0
# Lowest and highest frequency of the two channels together, for pictures and for people.
BAND_HZ = (0.0, 15_000.0)
CHANNELS = ("MEL_SPEC1", "MEL_SPEC2")

Array = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where the graph is cut, by tensor, and what stands before the cut."""

    features: int
    embedding: int
    logits: int
    spec: FrontendSpec
    bands: dict[str, Array]
    outputs: int


def cut_of(path: Path, file: TfliteFile) -> Cut:
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
    return Cut(
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
