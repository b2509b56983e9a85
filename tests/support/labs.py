"""A dataset of several sites as a lab has it, and the page over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from flask.testing import FlaskClient

from edge.archive.dataset import dataset_at
from edge.archive.fingerprint import fingerprint_of
from edge.archive.hear import maker
from edge.archive.hearing import hear as hear_one
from edge.archive.keeping import Keeps
from edge.archive.origin import write_origin
from edge.archive.rows import RowMaker
from edge.bundle import Bundle
from edge.page.access import Access
from edge.page.app import create_app
from edge.page.dataset.filling import fill
from edge.page.dataset.lab import DatasetPlaces, Lab
from edge.replay.formats.base import ReplayResult
from edge.replay.recordings import Recording
from edge.replay.replayer import Replayer
from edge.replay.settings import ReplaySettings
from tests.support.audio import add_chunk, soundscape, write_audio

__all__ = ["hear", "lab_of", "page_over", "places_of", "recorded", "season_of_sites"]


def recorded(path: Path, *, roll_s: int = 0, stamp: str | None = None) -> Path:
    """Write a recording of 19.3 s in which the tiny bundle hears several events; `stamp` is what
    its recorder says of the time, with its zone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, np.roll(soundscape(), roll_s * 8000))
    if stamp is not None:
        add_chunk(path, b"guan", f"GUANO|Version: 1.0\nTimestamp: {stamp}\n".encode())
    return path


def season_of_sites(folder: Path) -> Path:
    """Write recordings of a pond in Europe, of a bush in Australia, and of no date."""
    for i, (day, hour) in enumerate((("01", "23"), ("02", "04"), ("20", "04"))):
        stamp = f"2024-05-{day}T{hour}:00:00+02:00"
        recorded(folder / "pond" / f"a{i}.wav", roll_s=i, stamp=stamp)
    recorded(folder / "bush" / "b0.wav", roll_s=5, stamp="2024-05-02T08:00:00+10:00")
    recorded(folder / "shelf" / "tape one.wav", roll_s=7)
    return folder


def hear(
    bundle: Bundle,
    dataset: Path,
    folder: Path,
    *,
    pattern: str = "*.wav",
    keeps: Keeps | None = None,
    mix: bool = False,
) -> None:
    """Hear what a dataset lacks of a folder, as `edge archive hear` does, without its processes."""
    keeps = keeps or Keeps()
    replayer = Replayer(ReplaySettings(bundle=bundle.path, hop_s=0.5))
    rows = RowMaker(replayer.provenance)
    made_by = maker(replayer.provenance, replayer.settings)
    with dataset_at(dataset, made_by, keeps, mix=mix) as filled:
        write_origin(dataset, replayer.provenance)
        for path in sorted(map(str, folder.rglob(pattern))):
            known, fingerprint = filled.known.get(path), fingerprint_of(path)
            if known is None or known.fingerprint != fingerprint:
                hearing = hear_one(replayer, Recording(file=path, name=path), keeps)
                assert isinstance(hearing.outcome, ReplayResult), hearing.outcome
                filled.add(rows.heard(hearing.outcome, fingerprint, hearing.tables))


def places_of(dataset: Path) -> DatasetPlaces:
    """Places beside a dataset, not those of the person who runs the tests."""
    beside = dataset.with_name(f"{dataset.name}-page")
    return DatasetPlaces(dataset=dataset, cache=beside / "cache", state=beside / "state")


def lab_of(dataset: Path, *recordings: Path | str) -> Lab:
    """The dataset as the page has it, read once."""
    lab = Lab(places_of(dataset), list(map(str, recordings)))
    fill(dataset, lab.index.path)
    return lab


def page_over(dataset: Path, *recordings: Path | str) -> FlaskClient:
    """A client of the page over a dataset; the places in `recordings` may be opened."""
    return create_app(lab_of(dataset, *recordings), access=Access()).test_client()
