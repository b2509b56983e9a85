"""How long each page of a large dataset takes, and what the page's process takes of memory.

    python -m tests.support.bench_lab [--files 100000] [--detections 500000] [--sites 10]

The dataset is made up: a year of recordings of five minutes, with a chorus at dawn.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa

from edge.archive.keeping import Keeps
from edge.page.dataset.filling import fill
from edge.page.dataset.lab import dataset_places
from tests.support.bench_asking import _begin, _utc, _write
from tests.support.page_process import served_page
from tests.support.page_times import content_of, page_times

PARTS, FILE_S, SPECIES, RATE_HZ = 200, 300.0, 40, 22_050
PATHS = (
    *("/", "/?site=site_3", "/day/2024-07-01", "/day/2024-07-01?site=site_3"),
    *("/day/2024-07-01.csv", "/species", "/species?site=site_3", "/species/species_7?days=365"),
    *("/species/species_7?days=365&site=site_3", "/undated", "/health", "/answers", "/next"),
)


@click.command()
@click.option("--files", default=100_000)
@click.option("--detections", default=500_000)
@click.option("--sites", default=10)
def main(files: int, detections: int, sites: int) -> None:
    """Measure a made-up year of many sites."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dataset = folder / "dataset"
        dataset.mkdir()
        count = _season(dataset, files, detections, sites)
        os.environ |= {"XDG_CACHE_HOME": f"{folder}/cache", "XDG_STATE_HOME": f"{folder}/state"}
        index = dataset_places(dataset).index
        began_s, cpu_s = time.perf_counter(), time.process_time()
        fill(dataset, index)
        wall_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        click.echo(
            f"{files} files, {count} detections, {sites} sites: read in {wall_s:.0f} s "
            f"({cpu_s:.0f} s CPU), index {index.stat().st_size / 1e6:.0f} MB"
        )
        with served_page("--dataset", str(dataset), environ=dict(os.environ)) as page:
            for path in PATHS:
                click.echo(page_times(page, path)[0])
            found = json.loads(content_of(page, "/day/2024-07-01.jsonl").splitlines()[0])
            click.echo(page_times(page, f"/event/{found['id']}")[0])
            click.echo(f"most memory of the page's process: {page.most_mb:.0f} MB")


def _season(folder: Path, files: int, detections: int, sites: int) -> int:
    """Make the dataset; return how many detections it has."""
    keeps, rng, count = Keeps(), np.random.default_rng(0), 0
    _begin(folder, keeps)
    labels = [{"label": f"species_{k}", "common_name": f"Species {k}"} for k in range(SPECIES)]
    origin = {"labels": labels, "several": False, "bundles": [], "calibration": None}
    (folder / "bundle.json").write_text(json.dumps(origin))
    start_s = np.linspace(0, 365 * 86_400, files, endpoint=False)
    epoch_s = datetime(2024, 1, 1, tzinfo=timezone.utc).timestamp()
    expected = 0.1 + np.exp(-np.square((start_s / 3600 % 24 - 5) / 2))
    numbers = rng.poisson(expected * detections / files / expected.mean())
    shared = _shared()
    for part, own in enumerate(np.array_split(np.arange(files), PARTS), 1):
        names = np.array([f"site_{i % sites}" for i in own])
        paths = np.array([f"/season/site_{i % sites}/{i:06}.wav" for i in own])
        utc = ((epoch_s + start_s[own]) * 1e6).astype(np.int64)
        spans = {"duration_s": FILE_S, "audio_s": FILE_S, "judged_s": FILE_S, "missing_s": 0.0}
        times = {"start_utc": _utc(utc), "clock_utc": _utc(utc)}
        zeros = {f"unjudged_{why}_s": 0.0 for why in ("dead", "stuck", "short")}
        of = np.repeat(np.arange(len(own)), numbers[own])
        cells: dict[str, Any] = {"path": paths, "site": names, "status": "heard", "gap_s": 0.0}
        cells |= {"detections": numbers[own].astype(np.int32), "below_precision": 0}
        cells |= {"size_bytes": 10_000, "identity": "i", "channel": "1"}
        _write(
            folder, keeps, "files", part, len(own), {**shared, **spans, **zeros, **times, **cells}
        )
        _write(
            folder, keeps, "detections", part, len(of),
            _detections(rng, count, paths[of], names[of], utc[of], shared),
        )  # fmt: skip
        count += len(of)
    return count


def _shared() -> dict[str, Any]:
    digests = dict.fromkeys(("bundle", "trunk", "config", "code"), "ab" * 32)
    clock = {"clock_source": "guano", "clock_uncertainty_s": 1.0, "time_zone": "Europe/Vienna"}
    return {**digests, **clock, "variant": "fp32", "backend": "onnx", "hop_s": 1.0}


def _detections(
    rng: np.random.Generator,
    first: int,
    paths: Any,
    sites: Any,
    utc: Any,
    shared: dict[str, Any],
) -> dict[str, Any]:
    count = len(paths)
    kinds = rng.integers(SPECIES + 5, size=count)  # some are unknown
    labels = [None if k >= SPECIES else f"species_{k}" for k in kinds]
    start = rng.integers(0, round((FILE_S - 5) * RATE_HZ), size=count)
    top = [
        [{"label": f"species_{(k + i) % SPECIES}", "score": 0.9 / (1 + i)} for i in range(3)]
        for k in kinds
    ]
    scores = pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())]))
    zeros = dict.fromkeys(("rms_dbfs", "peak_dbfs", "clip_ratio", "dc"), 0.0)
    return {
        **shared, **zeros, "path": paths, "site": sites,
        "id": np.array([f"{first + i:032x}" for i in range(count)]),
        "label": pa.array(labels, pa.string()),
        "outcome": "label", "nearest": "species_1", "top": pa.array(top, scores),
        "score": rng.random(count), "novelty": rng.random(count),
        "start_utc": _utc(utc + (start * 1e6 / RATE_HZ).astype(np.int64)),
        "end_utc": _utc(utc + ((start + 5 * RATE_HZ) * 1e6 / RATE_HZ).astype(np.int64)),
        "start_sample": start, "end_sample": start + 5 * RATE_HZ, "peak_sample": start,
        "sample_rate_hz": RATE_HZ, "windows": 3, "dead": False, "stuck": False,
    }  # fmt: skip


if __name__ == "__main__":
    main()
