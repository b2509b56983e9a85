"""How long it takes to ask a dataset again: a year's activity, another head, a search among many.

    python -m tests.support.bench_asking year
    OMP_NUM_THREADS=1 python -m tests.support.bench_asking rescore RECORDINGS [--bundle BUNDLE]
    python -m tests.support.bench_asking season FOLDER --background FOLDER --songs FOLDER
    python -m tests.support.bench_asking search --windows 2000000

Datasets of a year and of embeddings are made up; recordings are real ones of yours. A season is
what a recorder hears: recordings of ten minutes, backgrounds one after the other, and a song of
yours in them every one to two minutes.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import soundfile
from pyarrow import parquet

from edge.archive.activity import activity_of
from edge.archive.activity_plot import draw_activity
from edge.archive.embeddings import embeddings_of
from edge.archive.hear import ArchiveJob
from edge.archive.hearing import hear
from edge.archive.index import open_index
from edge.archive.keeping import Keeps
from edge.archive.parquet import write_table
from edge.archive.parts import Parts
from edge.archive.reading import read_columns
from edge.archive.rescore import Rescoring
from edge.archive.schema import SCHEMA_VERSION
from edge.bundle.places import named_bundle
from edge.errors import AudioError
from edge.models import default_bundle_path
from edge.replay.recordings import Recording, find_recordings
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from edge.sources.file import FileSource
from edge.types import Array

FILES, FILE_S, SPECIES = 100_000, 300.0, 40
CLUSTERS, LATENT = 2000, 32  # of made-up embeddings
QUERIES, TOP = 200, 100
MADE_BY = {"bundle": "", "variant": "fp32", "hop_s": 1.0, "configuration": "", "time_zone": None}
SEASON_HZ, TEN_MINUTES_S, SONG_S = 48_000, 600.0, 8.0


@click.group()
def main() -> None:
    """Measure what it takes to ask a dataset again."""


@main.command()
@click.option("--parts", default=500)
def year(parts: int) -> None:
    """Draw the activity of a made-up year: 100,000 files with 500,000 detections."""
    with tempfile.TemporaryDirectory() as folder:
        count = _year(Path(folder), parts)
        began_s, cpu_s = time.perf_counter(), time.process_time()
        activity = activity_of(Path(folder))
        draw_activity(activity, path=f"{folder}/year.png", name=str)
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        click.echo(
            f"{FILES} files, {count} detections, {parts} parts: {wall_s:.2f} s ({cpu_s:.2f} s CPU)"
        )


@main.command()
@click.argument("recordings", nargs=-1, required=True)
@click.option("--bundle")
@click.option("--hop-s", default=1.0)
@click.option("--compared", default=12, help="Recordings that are heard for the comparison.")
@click.option("--together", default=30, help="Recordings in a part; a job of hours: one a minute.")
def rescore(
    recordings: tuple[str, ...], bundle: str | None, hop_s: float, compared: int, together: int
) -> None:
    """Compare the CPU seconds of hearing with those of judging again."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        raise click.UsageError("set OMP_NUM_THREADS=1, as edge does: threads that wait count, too")
    place = default_bundle_path() if bundle is None else named_bundle(bundle)
    replayer = Replayer(ReplaySettings(bundle=place, hop_s=hop_s, variant="fp32"))
    found = [one for one in find_recordings(recordings).recordings if isinstance(one, Recording)]
    hearing_s, audio_s = _heard(replayer, found[:compared])
    with tempfile.TemporaryDirectory() as folder:
        heard = Path(folder, "heard")
        ArchiveJob(replayer, heard, keeps=Keeps(embeddings="float16")).run(list(found))
        _put_together(heard, together)
        judging_s = []
        for i in range(5):
            began_s = time.process_time()
            done = Rescoring(heard, replayer).run(Path(folder, str(i)))
            judging_s.append(time.process_time() - began_s)
        detections = len(read_columns(heard, "detections", ["path"]))
    heard_us = 1e6 * hearing_s * done.audio_s / max(audio_s * done.windows, 1)
    judged_us = 1e6 * statistics.median(judging_s) / max(done.windows, 1)
    click.echo(
        f"{done.windows} windows, {detections} detections: heard in {heard_us:.0f} us each, judged "
        f"again in {judged_us:.1f} us: {heard_us / judged_us:.0f} times as fast"
    )


def _heard(replayer: Replayer, recordings: Sequence[Recording]) -> tuple[float, float]:
    """Return the CPU seconds of hearing recordings, and how long these are."""
    hear(replayer, recordings[0], Keeps())  # what is loaded once
    began_s, audio_s = time.process_time(), 0.0
    for one in recordings:
        outcome = hear(replayer, one, Keeps()).outcome
        audio_s += 0.0 if isinstance(outcome, AudioError) else outcome.effort.audio_s
    return time.process_time() - began_s, audio_s


def _put_together(dataset: Path, count: int) -> None:
    """Make one part of so many, as a job writes them once it has lasted for hours."""
    names = Parts(dataset).names()
    for table in ("embeddings", "detections", "files"):
        for i in range(0, len(names), count):
            files = [dataset / table / name for name in names[i : i + count]]
            tables = [parquet.ParquetFile(file).read() for file in files]
            for file in files:
                file.unlink()
            write_table(files[0], tables, tables[0].schema)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--background", multiple=True, required=True)
@click.option("--songs", multiple=True, required=True)
@click.option("--hours", default=2.0)
def season(folder: Path, background: tuple[str, ...], songs: tuple[str, ...], hours: float) -> None:
    """Write recordings as a recorder makes them, of backgrounds and of songs."""
    rng = np.random.default_rng(0)
    backgrounds, calls = _shuffled(background, rng), _shuffled(songs, rng)
    folder.mkdir(parents=True)
    began = datetime(2024, 5, 1, 3, tzinfo=timezone.utc)
    for number in range(round(hours * 3600 / TEN_MINUTES_S)):
        samples = _background(backgrounds, TEN_MINUTES_S)
        at_s = rng.uniform(0, 60)
        while at_s < TEN_MINUTES_S - SONG_S:
            _add_song(samples, next(calls), round(at_s * SEASON_HZ), gain=rng.uniform(0.1, 0.5))
            at_s += rng.uniform(60, 120)
        start = began + timedelta(seconds=number * TEN_MINUTES_S)
        name = f"{start:%Y%m%d_%H%M%S}.wav"
        soundfile.write(folder / name, np.clip(samples, -1, 1), SEASON_HZ, subtype="PCM_16")


def _shuffled(folders: Sequence[str], rng: np.random.Generator) -> Iterator[Array]:
    """Yield the sound of recordings in random order, over and over."""
    found = [one for one in find_recordings(folders).recordings if isinstance(one, Recording)]
    while True:
        for i in rng.permutation(len(found)):
            blocks = FileSource(found[i].file, sample_rate_hz=SEASON_HZ).blocks()
            yield np.concatenate([block.samples for block in blocks])


def _background(sounds: Iterator[Array], seconds: float) -> Array:
    parts, wanted = list[Array](), round(seconds * SEASON_HZ)
    while sum(map(len, parts)) < wanted:
        parts.append(next(sounds))
    return np.concatenate(parts)[:wanted]


def _add_song(samples: Array, song: Array, start: int, *, gain: float) -> None:
    """Add the first seconds of a song, the loudest sample of which is `gain`."""
    song = song[: round(SONG_S * SEASON_HZ)]
    samples[start : start + len(song)] += song * np.float32(gain / max(np.abs(song).max(), 1e-9))


@main.command()
@click.option("--windows", default=2_000_000)
@click.option("--dimensions", default=256)
def search(windows: int, dimensions: int) -> None:
    """Build an index of made-up embeddings, and compare what it finds with all there is."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _embeddings(folder, windows, dimensions)
        queries = _made_up(QUERIES, dimensions, seed=-1)
        began_s = time.perf_counter()
        index = open_index(folder, dimensions, say=click.echo)
        click.echo(f"opened after {time.perf_counter() - began_s:.0f} s")
        exact = _exact(folder, queries)
        recalls, took_ms = [], []
        for query, known in zip(queries, exact, strict=True):
            began_s = time.perf_counter()
            found = {(path, start) for _, path, (start, _) in index.nearest(query, TOP)}
            took_ms.append(1000 * (time.perf_counter() - began_s))
            recalls.append(len(found & known) / TOP)
        size = sum(file.stat().st_size for file in (folder / "index").iterdir())
        click.echo(
            f"{windows} x {dimensions}: recall {np.mean(recalls):.4f} (least {min(recalls):.2f}), "
            f"median {np.median(took_ms):.1f} ms, 95 % within {np.quantile(took_ms, 0.95):.1f} ms, "
            f"{size / 1e6:.0f} MB"
        )


def _made_up(count: int, dimensions: int, *, seed: int) -> Array:
    """Return unit vectors in clusters of a space of fewer dimensions, with a little noise."""
    world, rng = np.random.default_rng(7), np.random.default_rng(seed + 100)
    basis = world.standard_normal((LATENT, dimensions)) / np.sqrt(dimensions)
    centres = world.standard_normal((CLUSTERS, LATENT))
    latent = centres[rng.integers(CLUSTERS, size=count)]
    latent = latent + 0.7 * rng.standard_normal((count, LATENT))
    noise = 0.3 * np.sqrt(LATENT) / dimensions * rng.standard_normal((count, dimensions))
    vectors = latent @ basis + noise
    result: Array = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return result


def _exact(folder: Path, queries: Array) -> list[set[tuple[str, int]]]:
    best: list[list[tuple[float, str, int]]] = [[] for _ in queries]
    for some in embeddings_of(folder, queries.shape[1]):
        similarities = queries @ some.vectors.T
        places = np.argpartition(-similarities, TOP - 1, axis=1)[:, :TOP]
        for k, found in enumerate(places):
            best[k] += [
                (
                    float(similarities[k, i]),
                    some.paths[some.recordings[i]],
                    int(some.spans[i, 0]),
                )
                for i in found
            ]
            best[k] = sorted(best[k], reverse=True)[:TOP]
    return [{(path, start) for _, path, start in some} for some in best]


def _embeddings(folder: Path, windows: int, dimensions: int) -> None:
    keeps, each, rate_hz = Keeps(embeddings="float16", network="0" * 64), 100_000, 22_050
    _begin(folder, keeps)
    for part, first in enumerate(range(0, windows, each), 1):
        count = min(each, windows - first)
        vectors = _made_up(count, dimensions, seed=part).astype(np.float16)
        places = np.arange(count)
        paths = np.array([f"/pond/{part:04}_{i:06}.wav" for i in range(-(-count // 20))])
        cells = {
            "path": paths[places // 20],
            "start_sample": (places % 20) * rate_hz,
            "end_sample": (places % 20 + 5) * rate_hz,
            "sample_rate_hz": rate_hz,
            "embedding": pa.array([vector.tobytes() for vector in vectors], pa.binary()),
        }
        _write(folder, keeps, "embeddings", part, count, cells)
        _write(folder, keeps, "files", part, len(paths), {**_file(paths), "embeddings": 20})


def _year(folder: Path, parts: int) -> int:
    """Make a year of five minutes each, with a chorus at dawn; return how many detections."""
    keeps, rng, count = Keeps(), np.random.default_rng(0), 0
    _begin(folder, keeps)
    start_s = np.linspace(0, 365 * 86_400, FILES, endpoint=False)
    epoch_s = datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp()
    hour = start_s / 3600 % 24
    expected = 0.1 + np.exp(-np.square((hour - 5) / 2))
    numbers = rng.poisson(expected * 5 / expected.mean())
    for part, own in enumerate(np.array_split(np.arange(FILES), parts), 1):
        paths = np.array([f"/pond/{i:06}.wav" for i in own])
        utc = ((epoch_s + start_s[own]) * 1e6).astype(np.int64)
        zone = {"time_zone": "Europe/Vienna"}
        spans = {"duration_s": FILE_S, "judged_s": FILE_S}
        _write(
            folder, keeps, "files", part, len(own),
            {**_file(paths), **zone, **spans, "start_utc": _utc(utc)},
        )  # fmt: skip
        of = np.repeat(np.arange(len(own)), numbers[own])
        labels = np.array([f"species_{k}" for k in range(SPECIES)])[
            rng.integers(SPECIES, size=len(of))
        ]
        cells = {"path": paths[of], "label": labels, "outcome": "label", **zone}
        _write(folder, keeps, "detections", part, len(of), {**cells, "start_utc": _utc(utc[of])})
        count += len(of)
    return count


def _file(paths: Iterable[str]) -> dict[str, Any]:
    return {"path": np.array(list(paths)), "site": "pond", "status": "heard"}


def _utc(microseconds: np.ndarray[Any, Any]) -> pa.Array[Any]:
    return pa.array(microseconds, pa.timestamp("us", tz="UTC"))


def _begin(folder: Path, keeps: Keeps) -> None:
    Parts(folder, keeps).make()
    content = {"schema_version": SCHEMA_VERSION, "made_by": MADE_BY, "keeps": keeps.as_mapping()}
    (folder / "dataset.json").write_text(json.dumps(content))


def _write(
    folder: Path, keeps: Keeps, table: str, part: int, count: int, cells: Mapping[str, Any]
) -> None:
    """Write a part of `count` rows with these cells; one value is that of all rows."""
    schema, columns = keeps.schema(table), []
    for field in schema:
        cell = cells.get(field.name)
        if isinstance(cell, np.ndarray):
            columns.append(pa.array(cell).cast(field.type))
        elif isinstance(cell, pa.Array):
            columns.append(cell.cast(field.type))
        else:
            columns.append(pa.repeat(pa.scalar(cell, field.type), count))
    made = pa.Table.from_arrays(columns, schema=schema)
    write_table(folder / table / f"part-{part:07}.parquet", [made], schema)


if __name__ == "__main__":
    main()
