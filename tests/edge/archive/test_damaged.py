"""A dataset of which files are damaged: what is in it stays, and is heard again where it can be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from edge.archive.hear import ArchiveJob, Summary
from edge.archive.keeping import Keeps
from edge.archive.status import status_lines
from edge.replay.recordings import find_recordings
from edge.replay.replayer import Replayer
from tests.support.archives import rows, season, timeless

TABLES = ("detections", "embeddings", "files")
PARTS = [f"part-{number:07}.parquet" for number in (1, 2)]
Damage = Callable[[Path], object]
Content = dict[Path, bytes]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def gone(file: Path) -> None:
    file.unlink()


def changed(file: Path) -> None:
    table = parquet.ParquetFile(file).read()
    parquet.write_table(table.drop_columns(["path"]), file)


def shortened(file: Path) -> None:
    table = parquet.ParquetFile(file).read()
    parquet.write_table(table.slice(0, len(table) - 1), file)


def content(dataset: Path) -> Content:
    return {file: file.read_bytes() for file in dataset.glob("*/part-*.parquet")}


def hear(scheduler: str, replayer: Replayer, dataset: Path, *inputs: Path) -> Summary:
    found = find_recordings([str(path) for path in inputs]).recordings
    keeps = Keeps(embeddings="float16")
    return ArchiveJob(replayer, dataset, keeps=keeps).run(found, scheduler=scheduler)


@pytest.fixture
def pond(tmp_path: Path) -> Path:
    season(tmp_path / "pond", 3)
    return tmp_path / "pond"


@pytest.fixture
def dataset(scheduler: str, replayer: Replayer, pond: Path, tmp_path: Path) -> Path:
    """Two recordings in a part, and one in another."""
    dataset = tmp_path / "dataset"
    for file in sorted(pond.iterdir()):
        hear(scheduler, replayer, dataset, file)
    for table in TABLES:
        first, second = (dataset / table / name for name in PARTS)
        both = pa.concat_tables([parquet.ParquetFile(file).read() for file in (first, second)])
        parquet.write_table(both, first)
        second.unlink()
    return dataset


@pytest.mark.parametrize("damage", [cut, gone, changed, shortened])
@pytest.mark.parametrize("table", TABLES[:2])
def test_what_is_damaged_stays_until_it_is_heard_again(
    table: str, damage: Damage, scheduler: str, replayer: Replayer, pond: Path, dataset: Path
) -> None:
    """What is left of recordings that are gone is there when another one is heard."""
    before = timeless(dataset)
    damage(dataset / table / PARTS[0])
    left = content(dataset)
    shutil.move(pond, pond.with_name("away"))
    further = Path(season(pond.with_name("meadow"), 1)[0])
    assert hear(scheduler, replayer, dataset, further).fates["heard"] == 1
    kept = content(dataset)
    assert {file: kept.get(file) for file in left} == left
    shutil.move(pond.with_name("away"), pond)
    further.unlink()
    fates = hear(scheduler, replayer, dataset, pond).fates
    again = 1 if damage is shortened else 2  # of which a row is gone, or all
    assert (fates["heard"], fates["there already"]) == (again, 3 - again)
    assert of(pond, timeless(dataset)) == before
    counts = [len([row for row in rows(dataset, name) if "pond" in row["path"]]) for name in TABLES]
    assert counts[2] == 3
    assert counts[1] == sum(row["embeddings"] for row in rows(dataset, "files")[-3:])


@pytest.mark.parametrize("damage", [cut, gone, shortened])
@pytest.mark.parametrize("table", TABLES[:2])
def test_status_names_what_is_damaged(table: str, damage: Damage, dataset: Path) -> None:
    assert damaged(dataset) == []
    damage(dataset / table / PARTS[0])
    [said] = damaged(dataset)
    assert f" {table}/{PARTS[0]}: " in said


def test_status_names_what_cannot_be_told_but_not_what_a_kill_has_left(dataset: Path) -> None:
    cut(dataset / "files" / PARTS[0])
    [said] = damaged(dataset)
    assert f" files/{PARTS[0]}: " in said
    gone(dataset / "files" / PARTS[0])
    assert damaged(dataset) == []


def damaged(dataset: Path) -> list[str]:
    return [line for line in status_lines(dataset) if line.startswith("damaged ")]


def of(folder: Path, tables: list[list[dict[str, object]]]) -> list[list[dict[str, object]]]:
    return [[row for row in found if str(folder) in str(row["path"])] for found in tables]


@pytest.mark.parametrize("damage", [cut, lambda file: file.write_bytes(b"")])
def test_a_part_whose_recordings_cannot_be_told_is_set_aside(
    damage: Damage, scheduler: str, replayer: Replayer, pond: Path, dataset: Path
) -> None:
    before = timeless(dataset)
    seen: set[Path] = set()
    for _ in range(2):
        name = max((dataset / "files").glob("part-*.parquet")).name
        damage(dataset / "files" / name)
        held = {table: (dataset / table / name).read_bytes() for table in TABLES}
        fates = hear(scheduler, replayer, dataset, pond).fates
        assert (fates["heard"], fates["there already"]) == (1, 2)
        [place] = set((dataset / "damaged").iterdir()) - seen
        seen.add(place)
        assert {table: (place / f"{table}.parquet").read_bytes() for table in TABLES} == held
        assert timeless(dataset) == before


def test_a_row_that_a_kill_has_left_is_removed_beside_what_is_damaged(
    scheduler: str, replayer: Replayer, pond: Path, dataset: Path
) -> None:
    """As when a job ends between the tables of a part from which a recording is taken."""
    files = dataset / "files" / PARTS[0]
    table = parquet.ParquetFile(files).read()
    parquet.write_table(table.slice(1), files)
    cut(dataset / "embeddings" / PARTS[0])
    damaged = (dataset / "embeddings" / PARTS[0]).read_bytes()
    further = Path(season(pond.with_name("meadow"), 1)[0])
    hear(scheduler, replayer, dataset, further)
    there = parquet.ParquetFile(dataset / "detections" / PARTS[0]).read()
    assert set(there["path"].to_pylist()) == {table["path"][1].as_py()}
    assert (dataset / "embeddings" / PARTS[0]).read_bytes() == damaged


@pytest.mark.parametrize("now", [b"", b"no recording", b"RIFF\x00\x00\x00\x00WAVE"])
@pytest.mark.parametrize("table", [None, "embeddings"])
def test_what_was_heard_stays_when_the_recording_cannot_be_heard_now(
    table: str | None, now: bytes, scheduler: str, replayer: Replayer, pond: Path, dataset: Path
) -> None:
    """As of a card that dies, a placeholder in a cloud, or while a copy is under way."""
    if table is not None:
        cut(dataset / table / PARTS[0])
    before = content(dataset)
    kept = {file: file.read_bytes() for file in pond.iterdir()}
    for file in kept:
        file.write_bytes(now)
    for _ in range(2):
        summary = hear(scheduler, replayer, dataset, pond)
        assert (summary.fates["failed"], summary.whole) == (3, False)
        assert content(dataset) == before
    for file, there in kept.items():
        file.write_bytes(there)
    assert hear(scheduler, replayer, dataset, pond).whole
    assert len(rows(dataset, "files")) == 3
