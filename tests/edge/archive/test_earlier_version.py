"""A dataset of the version before is read as one of this version."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from pyarrow import parquet

from edge.archive.schema import PRECISIONS, VECTORS, dtype_in
from edge.bundle import Bundle, Label
from edge.cli import main
from tests.support.archives import rows, season
from tests.support.heads import tiny_head

OWN = {Label(label="growler", common_name="Growler"): 0}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["archive", *map(str, arguments)])


def as_version_1(dataset: Path) -> None:
    """Have what the network says in lists of numbers, as version 1 had it."""
    manifest = dataset / "dataset.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 2', '"schema_version": 1'))
    for file in (dataset / "embeddings").glob("*.parquet"):
        table = parquet.read_table(file)
        for name in VECTORS:
            dtype = dtype_in(table.schema.field(name))
            assert dtype is not None
            kind = pa.list_(pa.from_numpy_dtype(dtype))
            cells = [
                None if cell is None else np.frombuffer(cell, dtype)
                for cell in table[name].to_pylist()
            ]
            place = table.schema.get_field_index(name)
            table = table.set_column(place, pa.field(name, kind), pa.array(cells, kind))
        parquet.write_table(table, file)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_it_is_judged_again_and_searched_but_not_added_to(
    bundle: Bundle, tmp_path: Path, precision: str
) -> None:
    season(tmp_path / "pond", 2)
    now, before = tmp_path / "now", tmp_path / "before"
    head = tiny_head(tmp_path / "head", bundle, OWN)
    hear = ("hear", tmp_path / "pond", "--bundle", bundle.path, "--embeddings", precision)
    assert run(*hear, "--out", now).exit_code == 0
    shutil.copytree(now, before)
    as_version_1(before)
    said = []
    for dataset in (now, before):
        again = tmp_path / f"{dataset.name}-again"
        assert run("rescore", dataset, "--out", again, "--bundle", head.word).exit_code == 0
        like = rows(dataset, "detections")[0]["id"]
        found = run("search", dataset, "--like", like)
        assert found.exit_code == 0, found.stderr
        detections = [{**row, "heard_utc": None} for row in rows(again, "detections")]
        said.append((found.stdout, detections, run("activity", dataset).stdout))
    assert said[0] == said[1]
    assert said[0][1]
    kept = rows(before, "embeddings")
    result = run(*hear, "--out", before)
    (line,) = result.stderr.splitlines()
    assert f"--out = {before}: has embeddings of schema version 1" in line
    assert result.exit_code == 2
    assert rows(before, "embeddings") == kept
