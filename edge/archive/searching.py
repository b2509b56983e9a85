"""The search as a person asks for it: for what, among what, and as what it is written."""

from __future__ import annotations

from pathlib import Path

from edge.archive.hit_clips import write_clips
from edge.archive.hit_formats import hit_lines, write_hits_csv, write_hits_raven
from edge.archive.hits import Hit, apart, hits_of
from edge.archive.manifest import check_version, kept_in
from edge.archive.nearest import nearest
from edge.archive.query import embedding_of_clip, embedding_of_detection
from edge.archive.reading import refuse_without_embeddings
from edge.bundle.places import named_bundle
from edge.errors import ConfigError
from edge.models import default_bundle_path
from edge.replay.output import text_output
from edge.terminal import aside, warn
from edge.types import Array

__all__ = ["search"]

FOLDERS = ("clips", "examples")
MOST_EXAMPLES = 50  # that `edge-train adapt --add` takes


def search(
    *,
    dataset: Path,
    clip: str | None,
    like: str | None,
    at_s: float | None,
    top: int,
    bundle: str | None,
    form: str,
    out: str | None,
) -> int:
    """Write what was found, and return how many windows could not be; raises `ConfigError`."""
    check_version(dataset, key="DATASET")
    refuse_without_embeddings(dataset, kept_in(dataset).embeddings, key="DATASET")
    _refuse_what_does_not_go_together(clip, like, at_s, form, out)
    vector = _wanted(dataset, clip, like, at_s, bundle)
    hits = hits_of(dataset, nearest(dataset, vector, top, say=aside))
    if form not in FOLDERS:
        _write_text(hits, form, out)
        return 0
    assert out is not None
    if form == "examples":
        hits = apart(hits, MOST_EXAMPLES)
    failed = write_clips(Path(out), hits, complain=warn)
    aside(f"{len(hits) - failed} clips in {out}")
    if form == "examples":
        then = f"edge-train adapt --to HEAD --add LABEL {out}/*.wav"
        aside(f"listen to them, remove what is wrong, then: {then}")
    return failed


def _refuse_what_does_not_go_together(
    clip: str | None, like: str | None, at_s: float | None, form: str, out: str | None
) -> None:
    if (clip is None) == (like is None):
        raise ConfigError("give a clip to search for, or a detection with --like", key="CLIP")
    if like is not None and at_s is not None:
        raise ConfigError("is for a clip: a detection has its own window", key="--at")
    if form in FOLDERS and out is None:
        raise ConfigError(f"is needed for --format {form}", key="--out")


def _wanted(
    dataset: Path, clip: str | None, like: str | None, at_s: float | None, bundle: str | None
) -> Array:
    if like is not None:
        return embedding_of_detection(dataset, like)
    assert clip is not None
    place = default_bundle_path() if bundle is None else named_bundle(bundle)
    return embedding_of_clip(dataset, clip, bundle=place, at_s=at_s)


def _write_text(hits: list[Hit], form: str, out: str | None) -> None:
    with text_output(out) as stream:
        match form:
            case "csv":
                write_hits_csv(stream, hits)
            case "raven":
                write_hits_raven(stream, hits)
            case _:
                stream.writelines(f"{line}\n" for line in hit_lines(hits))
