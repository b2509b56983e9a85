"""The form of a dataset, which does not change within a version."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from edge.archive.keeping import Keeps
from edge.archive.parts import Parts
from edge.archive.schema import SCHEMA_VERSION, TABLES, arrow_schema

FROZEN = Path(__file__).with_name("schema.v2.txt")


def described(schema: pa.Schema) -> list[str]:
    """A line for the table, then one for each column: name, type, unit, type of its numbers."""
    metadata = schema.metadata or {}
    head = f"[{metadata[b'edge.table'].decode()} {metadata[b'edge.schema_version'].decode()}]"
    columns = []
    for field in schema:
        facts = field.metadata or {}
        dtype = f", {facts[b'dtype'].decode()}" if b"dtype" in facts else ""
        columns.append(f"{field.name}: {field.type}, {facts.get(b'unit', b'-').decode()}{dtype}")
    return [head, *columns]


def test_what_is_written_is_what_was_frozen(tmp_path: Path) -> None:
    """A column may be added at the end of its group, in both; none is ever changed."""
    found = []
    for precision in ("float32", "float16", "int8"):
        folder = tmp_path / precision
        Parts(folder, Keeps(windows=True, embeddings=precision)).make()
        for table in TABLES:
            if precision == "float32" or table == "embeddings":
                schema = parquet.read_schema(folder / table / "empty.parquet")
                found += described(schema)
    assert found == FROZEN.read_text(encoding="utf-8").splitlines()
    assert FROZEN.name == f"schema.v{SCHEMA_VERSION}.txt"


@pytest.mark.parametrize("table", TABLES)
def test_every_number_has_a_unit_or_is_a_count(table: str) -> None:
    counts = {"windows", "detections", "unknowns", "below_precision", "embeddings"}
    scales = {"embedding_scale"}
    for field in arrow_schema(table):
        if pa.types.is_floating(field.type) or pa.types.is_integer(field.type):
            assert (field.metadata or {}).get(b"unit") or field.name in counts | scales, field.name
