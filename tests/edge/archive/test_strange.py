"""A dataset that somebody has changed: one line, or what can still be known, and never a crash."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from pyarrow import parquet

from edge.archive.activity import activity_of
from edge.archive.compare import compare
from edge.archive.origin import read_origin
from edge.archive.parquet import read_table
from edge.archive.schema import arrow_schema
from edge.archive.stored import StoredRecordings
from edge.bundle import Bundle
from edge.cli import main
from tests.support.archives import season
from tests.support.audio import soundscape, write_audio

TABLES = ("files", "detections", "embeddings")
COLUMNS = [(table, name) for table in TABLES for name in arrow_schema(table).names]
Cells = Any  # of pyarrow, whose types know no array of just any
Change = Callable[[Cells], Cells | None]
WRONG: dict[str, list[Any]] = {
    "string": ["", "../\x1b[1mx\n", "Mars/Phobos", None],
    "int32": [-(2**31), 2**31 - 1, 0, None],
    "int64": [-(2**31), 2**62, 0, None],
    "double": [float("nan"), -1e30, float("inf"), None],
    "float": [float("nan"), -1e30, float("inf"), None],
    "bool": [None],
    "timestamp[us, tz=UTC]": [-(2**62), 2**62, 0, None],
    "binary": [b"", b"abc", b"\xff" * 1024, None],
}


def gone(cells: Cells) -> None:
    """Leave the column out."""


def empty(cells: Cells) -> Cells:
    return pa.nulls(len(cells), cells.type)


def another_type(cells: Cells) -> Cells:
    texts = pa.array([f"word {i}" for i in range(len(cells))])
    return pa.array(range(len(cells)), pa.int64()) if cells.type == pa.string() else texts


def wrong(cells: Cells) -> Cells:
    if str(cells.type) not in WRONG:
        return empty(cells)
    values = (WRONG[str(cells.type)] * len(cells))[: len(cells)]
    if pa.types.is_timestamp(cells.type):
        return pa.array(values, pa.int64()).cast(cells.type)
    return pa.array(values, cells.type)


CHANGES: tuple[Change, ...] = (gone, empty, another_type, wrong)


@pytest.fixture(scope="module")
def heard(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("strange")
    season(folder / "pond", 2)
    options = ("--bundle", bundle.path, "--embeddings", "float16", "--hop-s", "0.5")
    asked = ("hear", folder / "pond", "--out", folder / "heard", *options)
    assert CliRunner().invoke(main, ["archive", *map(str, asked)]).exit_code == 0
    return folder / "heard"


def changed(file: Path, name: str, change: Change, to: Path) -> Path:
    """Write a copy of a file in which a column is another."""
    table = parquet.ParquetFile(file).read()
    place = table.schema.get_field_index(name)
    cells, field = change(table[name]), table.schema.field(name)
    if cells is None:
        table = table.remove_column(place)
    else:
        table = table.set_column(place, field.with_type(cells.type), cells)
    parquet.write_table(table, to)
    return to


def part(dataset: Path, table: str) -> Path:
    return max((dataset / table).glob("part-*.parquet"))


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(("table", "name"), COLUMNS)
def test_a_table_is_read_in_its_own_types_or_counts_as_missing(
    heard: Path,
    tmp_path: Path,
    table: str,
    name: str,
    change: Change,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = changed(part(heard, table), name, change, tmp_path / "file.parquet")
    found = read_table(file, table)
    if found is None:
        (said,) = caplog.messages
        assert said.startswith(f"{file} is damaged and counts as missing: ")
        return
    assert not caplog.messages
    assert found.schema.names == arrow_schema(table).names
    assert len(found.to_pylist()) == len(read_table(part(heard, table), table) or ())


def test_what_another_program_has_written_anew_is_the_same(heard: Path, tmp_path: Path) -> None:
    """In other types of the same things, and without what the file says of itself."""
    for table in ("files", "detections"):
        own = read_table(part(heard, table), table)
        assert own is not None
        types = {pa.string(): pa.large_string(), pa.int32(): pa.int64()}
        fields = [pa.field(field.name, types.get(field.type, field.type)) for field in own.schema]
        parquet.write_table(own.cast(pa.schema(fields)), tmp_path / "file.parquet")
        again = read_table(tmp_path / "file.parquet", table)
        assert again is not None
        assert again.to_pylist() == own.to_pylist()


@pytest.mark.parametrize("seed", range(16))
def test_every_question_ends_as_it_should(
    heard: Path, bundle: Bundle, tmp_path: Path, seed: int
) -> None:
    chosen = random.Random(seed)
    (table, name), change = chosen.choice(COLUMNS), chosen.choice(CHANGES)
    dataset = tmp_path / "dataset"
    shutil.copytree(heard, dataset)
    changed(part(heard, table), name, change, part(dataset, table))
    clip = write_audio(tmp_path / "clip.wav", soundscape())
    with_bundle = ("--bundle", bundle.path)
    for question in (
        ("rescore", dataset, *with_bundle, "--out", tmp_path / "new"),
        ("search", dataset, clip, *with_bundle, "--at", "0", "--top", "3"),
        ("export", dataset, "--format", "csv", "--out", tmp_path / "rows.csv"),
        ("status", dataset),
        ("activity", dataset),
        ("compare", heard, dataset),
        ("compare", dataset, heard),
    ):
        result = CliRunner().invoke(main, ["archive", *map(str, question)])
        assert result.exception is None or isinstance(result.exception, SystemExit), question
        assert "\x1b" not in result.output


def test_a_recording_whose_detections_are_damaged_is_not_one_without_any(
    heard: Path, tmp_path: Path
) -> None:
    dataset = tmp_path / "dataset"
    shutil.copytree(heard, dataset)
    part(dataset, "detections").write_bytes(b"PAR1")
    known = {
        folder: len(list(StoredRecordings(folder, read_origin(folder, key="DATASET"))))
        for folder in (heard, dataset)
    }
    assert list(known.values()) == [2, 1]
    assert 0 < activity_of(dataset).heard_s.sum() < activity_of(heard).heard_s.sum()
    comparison = compare(heard, dataset)
    assert (comparison.recordings, comparison.only) == (1, (1, 0))


def test_hearing_more_into_it_removes_nothing(heard: Path, bundle: Bundle, tmp_path: Path) -> None:
    """What is in a changed file may be all that is left of recordings that are gone."""
    dataset = tmp_path / "dataset"
    shutil.copytree(heard, dataset)
    for name in ("status", "start_utc", "duration_s"):
        file = changed(part(heard, "files"), name, another_type, part(dataset, "files"))
        before = {path: path.read_bytes() for path in dataset.rglob("part-*.parquet")}
        options = ("--bundle", bundle.path, "--embeddings", "float16", "--hop-s", "0.5")
        asked = ("hear", heard.parent / "pond", "--out", dataset, *options)
        result = CliRunner().invoke(main, ["archive", *map(str, asked)])
        assert result.exit_code == 1
        assert f"{file} cannot be what this program wrote" in result.stderr.splitlines()[-1]
        assert {path: path.read_bytes() for path in dataset.rglob("part-*.parquet")} == before
