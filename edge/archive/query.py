"""The embedding that is searched for: that of a clip, or of a detection in the dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.archive.manifest import kept_in
from edge.archive.parquet import read_table
from edge.archive.reading import column_files, detections_of, heard_files, vectors_of
from edge.bundle.reading import load_bundles
from edge.detect.engines import load_models
from edge.errors import AudioError, ConfigError
from edge.sources.file import FileSource
from edge.types import Array, Window

__all__ = ["embedding_of_clip", "embedding_of_detection"]

PLACE = ("path", "start_sample")
SLACK_S = 0.02  # by which a clip may be shorter than a window, as copies and codecs cut


def embedding_of_detection(folder: Path, event_id: str) -> Array:
    """Return the embedding (D,) of the peak window of a detection; raises `ConfigError`."""
    import pyarrow.compute as pc

    files = heard_files(folder, ["path"])
    detections = detections_of(folder, files, ["id", "peak_sample"])
    own = detections.filter(pc.field("id") == event_id).to_pylist()
    if not own:
        reason = "is the id of no detection in the dataset"
        raise ConfigError(reason, key="--like", value=event_id)
    is_peak = (pc.field("path") == own[0]["path"]) & (
        pc.field("start_sample") == own[0]["peak_sample"]
    )
    for file in column_files(folder, "embeddings"):
        places = read_table(file, "embeddings", PLACE)
        if places is None or not len(places.filter(is_peak)):
            continue
        found = read_table(file, "embeddings", (*PLACE, "embedding", "embedding_scale"))
        vectors = None if found is None else vectors_of(found.filter(is_peak), "embedding")
        if vectors is not None and len(vectors.of):
            peak: Array = vectors.of[0]
            return peak
    raise ConfigError("has no embedding in the dataset", key="--like", value=event_id)


def embedding_of_clip(folder: Path, clip: str, *, bundle: Path, at_s: float | None) -> Array:
    """Return the embedding (D,) of a clip by the network of the dataset, from `at_s` on.

    Raises `ConfigError` for another network, and for a clip that is not a window long where it is
    not said which window is meant; `AudioError` for one that cannot be read.
    """
    (loaded,) = load_bundles([bundle])
    if loaded.trunk_digest != (kept := kept_in(folder).network):
        found, needed = loaded.trunk_digest[:12], str(kept)[:12]
        raise ConfigError(
            f"does not stand on the network of the dataset ({found}, not {needed})",
            key="--bundle",
            value=bundle,
            suggestion="give the bundle that the dataset was heard with",
        )
    spec = loaded.frontend
    samples = _samples(clip, spec.sample_rate_hz, spec.window_samples, at_s)
    window = Window(
        start_sample=0,
        end_sample=len(samples),
        samples=samples,
        sample_rate_hz=spec.sample_rate_hz,
    )
    prediction, answers = load_models([loaded]).ask(window)
    if not answers:
        what = "stuck at one value" if prediction.health.stuck else "silent"
        raise AudioError(f"{clip}: is {what} there: nothing can sound like it")
    embedding: Array = answers[0].embedding[0]
    return embedding


def _samples(clip: str, rate_hz: int, count: int, at_s: float | None) -> Array:
    """Return a window (count,) of a recording."""
    begin = round((at_s or 0.0) * rate_hz)
    slack = round(SLACK_S * rate_hz)
    pieces: list[Array] = []
    end = begin
    for block in FileSource(clip, sample_rate_hz=rate_hz).blocks():
        piece = block.samples[max(0, begin - block.start_sample) :]
        if len(piece) and block.start_sample > end and pieces:
            break  # a gap
        end = block.end_sample
        if len(piece):
            pieces.append(piece)
        if end - begin > count + slack:
            break
    samples = np.concatenate([np.empty(0, np.float32), *pieces])
    _refuse_another_length(clip, len(samples), count, slack, rate_hz, at_s)
    return np.pad(samples[:count], (0, max(0, count - len(samples))))


def _refuse_another_length(
    clip: str, found: int, count: int, slack: int, rate_hz: int, at_s: float | None
) -> None:
    window_s = f"{count / rate_hz:g} s"
    if found < count - slack:
        there = f"{max(found, 0) / rate_hz:.2f} s"
        if at_s is None:
            raise AudioError(f"{clip}: lasts {there}, and a window of the dataset {window_s}")
        raise AudioError(f"{clip}: has {there} from {at_s:g} s on, and a window lasts {window_s}")
    if at_s is None and found > count + slack:
        raise ConfigError(
            f"lasts longer than a window of the dataset, {window_s}",
            key="CLIP",
            value=clip,
            suggestion="say with --at from which second on it is meant",
        )
