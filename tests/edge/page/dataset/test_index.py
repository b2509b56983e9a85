"""The index has what the dataset has: all of it, once, whatever is written meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pyarrow import parquet

from edge.archive.keeping import Keeps
from edge.archive.schema import PRECISIONS, SCHEMA_VERSION, Precision, arrow_schema
from edge.bundle import Bundle
from edge.errors import ConfigError, UserError
from edge.page.dataset.filling import fill
from edge.page.dataset.index import DatasetIndex
from edge.page.dataset.lab import dataset_places
from edge.page.dates import is_date
from edge.store.events import Question, StoredEvent, select
from tests.support.archives import rows
from tests.support.labs import hear, recorded

ROOT = Path(__file__).resolve().parents[4]
DTYPES = {"float32": "<f4", "float16": "<f2", "int8": "|i1"}


def events(index: Path, site: int | None = None) -> list[StoredEvent]:
    with DatasetIndex(index).reading(site) as db:
        return list(select(db, Question()))


def ids(index: Path) -> list[str]:
    return sorted(one.id for one in events(index))


def in_dataset(dataset: Path) -> list[str]:
    return sorted(row["id"] for row in rows(dataset, "detections"))


def test_every_detection_is_an_event_of_its_site(dataset: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.db"
    assert fill(dataset, index) == len(list((dataset / "files").glob("part-*")))
    assert ids(index) == in_dataset(dataset)
    heard = Counter(row["site"] for row in rows(dataset, "detections"))
    sites = DatasetIndex(index).sites()
    assert {site.name: len(events(index, site.number)) for site in sites} == heard
    assert [(site.name, site.time_zone, site.dated) for site in sites] == [
        ("bush", "UTC+10:00", True),
        ("pond", "UTC+02:00", True),
        ("shelf", None, False),
    ]
    for event in events(index):
        (row,) = (row for row in rows(dataset, "detections") if row["id"] == event.id)
        assert (event.label, event.text("bundle")) == (row["label"], row["bundle"])
        assert event.payload["source"] == row["path"]
        assert is_date(event.start) == (row["clock_source"] != "mtime")
        if is_date(event.start):
            assert event.start == row["start_utc"]


def test_what_was_heard_adds_up_to_the_effort(dataset: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.db"
    fill(dataset, index)
    with DatasetIndex(index).reading() as db:
        query = "SELECT sum(heard_s), sum(gated_s), sum(heard_s + gated_s + dropped_s) FROM effort"
        found = db.execute(query).fetchone()
    dated = [row for row in rows(dataset, "files") if row["clock_source"] != "mtime"]
    expected = [
        sum(row["judged_s"] for row in dated),
        sum(row["unjudged_dead_s"] + row["unjudged_stuck_s"] for row in dated),
        sum(row["audio_s"] for row in dated),
    ]
    assert list(found) == pytest.approx(expected, abs=1e-6)


def test_it_follows_a_dataset_that_grows_and_hears_again(bundle: Bundle, tmp_path: Path) -> None:
    season, dataset, index = (tmp_path / name for name in ("season", "dataset", "index.db"))
    first = recorded(season / "20240501_050000.wav")
    hear(bundle, dataset, season)
    assert fill(dataset, index) == 1
    assert fill(dataset, index) == 0
    before = ids(index)
    recorded(season / "20240501_060000.wav", roll_s=3)
    hear(bundle, dataset, season)
    assert fill(dataset, index) == 1
    assert set(before) < set(ids(index)) == set(in_dataset(dataset))
    recorded(first, roll_s=6)  # another recording at the same place
    hear(bundle, dataset, season)
    assert fill(dataset, index) == 2  # the part that it was in is gone, and there is a new one
    assert ids(index) == in_dataset(dataset)
    assert not set(before) & set(ids(index))
    assert {name for (name,) in counted(index, "SELECT part FROM recordings")} == {
        file.name for file in (dataset / "files").glob("part-*")
    }


def counted(index: Path, query: str) -> list[tuple[Any, ...]]:
    with DatasetIndex(index).reading() as db:
        return [tuple(row) for row in db.execute(query)]


def test_a_recording_that_two_parts_have_counts_once(dataset: Path, tmp_path: Path) -> None:
    """As a reader sees it that has read the old part before a job replaces it by the new one."""
    both, index = tmp_path / "both", tmp_path / "index.db"
    shutil.copytree(dataset, both)
    for table in ("files", "detections"):
        shutil.copy(both / table / "part-0000001.parquet", both / table / "part-0000009.parquet")
    fill(both, index)
    assert ids(index) == in_dataset(dataset)
    for table in ("files", "detections"):
        (both / table / "part-0000001.parquet").unlink()
    fill(both, index)
    assert ids(index) == in_dataset(dataset)


def test_a_part_that_is_half_written_waits(dataset: Path, tmp_path: Path) -> None:
    half, index = tmp_path / "half", tmp_path / "index.db"
    shutil.copytree(dataset, half)
    name = sorted(file.name for file in (half / "files").glob("part-*"))[0]
    (half / "detections" / name).rename(tmp_path / "away.parquet")
    silent = {row["path"] for row in rows(half, "files") if not row["detections"]}
    fill(half, index)
    assert {row["path"] for row in rows(half, "detections")} | silent == {
        path for (path,) in counted(index, "SELECT path FROM recordings")
    }
    (tmp_path / "away.parquet").rename(half / "detections" / name)
    fill(half, index)
    assert ids(index) == in_dataset(dataset)


def test_copies_of_a_recording_are_events_of_their_own(bundle: Bundle, tmp_path: Path) -> None:
    one = recorded(tmp_path / "season" / "card1" / "20240501_050000.wav")
    (tmp_path / "season" / "card2").mkdir()
    shutil.copy2(one, tmp_path / "season" / "card2" / one.name)
    hear(bundle, tmp_path / "dataset", tmp_path / "season")
    fill(tmp_path / "dataset", tmp_path / "index.db")
    found = events(tmp_path / "index.db")
    heard = in_dataset(tmp_path / "dataset")
    assert len(set(heard)) == len(heard) / 2  # they sound the same
    assert len({event.id for event in found}) == len(found) == len(heard)
    assert Counter(event.text("site") for event in found) == {
        "card1": len(heard) / 2,
        "card2": len(heard) / 2,
    }


@pytest.mark.parametrize(
    ("column", "cell", "kind"),
    [
        ("top", None, None),
        ("score", float("nan"), None),
        ("label", 7, pa.int64()),
        ("id", [1], pa.list_(pa.int64())),
        ("start_sample", "x", pa.string()),
    ],
)
def test_rows_that_make_no_sense_cost_their_recording_only(
    dataset: Path, tmp_path: Path, column: str, cell: object, kind: pa.DataType | None
) -> None:
    strange, index = tmp_path / "strange", tmp_path / "index.db"
    shutil.copytree(dataset, strange)
    (path,) = {row["path"] for row in rows(dataset, "files") if row["site"] == "bush"}
    for table in ("files", "detections"):
        whole = parquet.read_table(strange / table, schema=arrow_schema(table))
        for part in (strange / table).glob("part-*"):
            part.unlink()
        own = whole.filter(pc.field("path") == path)
        if table == "detections":
            at, kind = own.schema.get_field_index(column), kind or own.schema.field(column).type
            own = own.set_column(at, column, pa.array([cell] * len(own), kind))
        rest = whole.filter(pc.field("path") != path)
        for number, some in enumerate((rest, own), 1):
            parquet.write_table(some, strange / table / f"part-{number:07}.parquet")
    fill(strange, index)
    found = dict(counted(index, "SELECT path, reason FROM recordings WHERE status = 'failed'"))
    assert set(found) == {path}
    assert found[path].startswith("its rows in the dataset make no sense")
    expected = [row["id"] for row in rows(dataset, "detections") if row["path"] != path]
    assert ids(index) == sorted(expected)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_unknown_events_have_the_embedding_of_their_peak(
    bundle: Bundle, tmp_path: Path, precision: Precision
) -> None:
    season, dataset, index = (tmp_path / name for name in ("season", "dataset", "index.db"))
    for i in range(2):
        recorded(season / f"20240501_05000{i}.wav", roll_s=i)
    hear(bundle, dataset, season, keeps=Keeps(embeddings=precision, network="0" * 64))
    fill(dataset, index)
    with DatasetIndex(index).reading() as db:
        found = {
            id: np.frombuffer(v, "<f4") for id, v in db.execute("SELECT id, vector FROM embeddings")
        }
    windows = {(row["path"], row["start_sample"]): row for row in rows(dataset, "embeddings")}
    unknown = [row for row in rows(dataset, "detections") if row["label"] is None]
    assert found.keys() == {row["id"] for row in unknown} != set()
    for row in unknown:
        window = windows[row["path"], row["peak_sample"]]
        numbers = np.frombuffer(window["embedding"], DTYPES[precision]).astype(np.float32)
        expected = numbers * (window["embedding_scale"] or 1)
        np.testing.assert_allclose(found[row["id"]], expected, rtol=1e-6)


def test_a_damaged_index_is_made_anew(dataset: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.db"
    fill(dataset, index)
    index.write_bytes(b"nothing" * 1000)
    fill(dataset, index)
    assert ids(index) == in_dataset(dataset)


def test_a_kill_costs_a_part_and_nothing_is_there_twice(dataset: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.db"
    fill(dataset, index)
    with sqlite3.connect(index) as db:
        db.execute("DELETE FROM parts")  # as if it had not been noted yet
    db.close()
    fill(dataset, index)
    assert ids(index) == in_dataset(dataset)


def test_two_pages_may_read_a_dataset_at_once(dataset: Path, tmp_path: Path) -> None:
    index = tmp_path / "new" / "index.db"
    command = [sys.executable, "-m", "edge.page.dataset.filling", str(dataset), str(index)]
    several = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        for _ in range(3)
    ]
    for one in several:
        _, complaints = one.communicate(timeout=60)
        assert (one.returncode, complaints) == (0, b"")
    assert ids(index) == in_dataset(dataset)


def no_manifest(dataset: Path) -> None:
    (dataset / "dataset.json").unlink()


def a_later_version(dataset: Path) -> None:
    (dataset / "dataset.json").write_text(json.dumps({"schema_version": 9, "made_by": {}}))


def a_manifest_of_nonsense(dataset: Path) -> None:
    (dataset / "dataset.json").write_text("[nonsense")


def no_names(dataset: Path) -> None:
    (dataset / "bundle.json").unlink()


WRONG = [
    (no_manifest, "is no dataset of `edge archive hear`"),
    (a_later_version, f"has schema version 9, and this program has {SCHEMA_VERSION}"),
    (a_manifest_of_nonsense, "cannot be read as JSON"),
    (no_names, "has no bundle.json with the names of its labels"),
    (shutil.rmtree, "is no dataset of `edge archive hear`"),
]


@pytest.mark.parametrize(("spoil", "said"), WRONG)
def test_what_is_no_dataset_is_one_line(
    dataset: Path, tmp_path: Path, spoil: Callable[[Path], None], said: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    spoil(copy)
    done = page(copy, {"HOME": str(tmp_path)})
    assert (done.returncode in (1, 2), done.stderr.count("\n") <= 2) == (True, True), done.stderr
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_without_pyarrow_it_says_what_to_install(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('not here')\n")
    done = page(dataset, {"HOME": str(tmp_path), "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert done.returncode == 1
    assert "edge archive needs pyarrow (" in done.stderr.splitlines()[-1]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_dataset_that_may_not_be_read_is_one_line(dataset: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    shutil.copytree(dataset, locked)
    os.chmod(locked, 0o700)
    os.seteuid(65_534)
    try:
        with pytest.raises(ConfigError) as raised:
            dataset_places(locked)
    finally:
        os.seteuid(0)
    assert raised.value.fault.key == "--dataset"
    assert "cannot be read (Permission denied)" in str(raised.value)


def page(dataset: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edge.cli", "page", "--dataset", str(dataset), "--port", "1"]
    return subprocess.run(
        [*command, "--address", "256.0.0.1"],  # it would end at that, at the latest
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_places_are_those_of_the_person_and_differ_for_each_dataset(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CACHE_DIRECTORY", "STATE_DIRECTORY", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    shutil.copytree(dataset, tmp_path / "dataset")
    one, other = dataset_places(dataset), dataset_places(tmp_path / "dataset")
    assert one.state != other.state
    for folder in (one.cache, one.state, other.cache, other.state):
        assert folder.is_relative_to(tmp_path)
        assert not folder.is_relative_to(tmp_path / "dataset")
    with pytest.raises(UserError, match="is no dataset"):
        dataset_places(tmp_path / "nowhere")
