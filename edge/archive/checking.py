"""What a table of a dataset must be before anything is made of it: its columns, and their cells.

Files of a dataset are copied, mended by hand and written anew by other programs. What cannot be
what this program wrote is damaged, as is a file that breaks off: it is said, and counts as missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge.archive.bounds import BOUNDS, SCALE, bounds_of
from edge.archive.schema import VECTORS, arrow_schema, dtype_in
from edge.clock import parse_zone

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["check_batch", "check_length", "checked", "readable"]

NEEDED = {
    "files": ("path", "status"),
    "detections": (
        *("path", "id", "score", "novelty", "top", "start_s", "end_s", "windows"),
        *("start_sample", "end_sample", "peak_sample", "sample_rate_hz"),
        *("rms_dbfs", "peak_dbfs", "clip_ratio", "dc", "dead", "stuck"),
        *("clock_source", "clock_uncertainty_s"),
    ),
    "windows": ("path", "start_sample", "end_sample", "sample_rate_hz"),
    "embeddings": (
        *("path", "start_sample", "end_sample", "sample_rate_hz", "sound_from"),
        *("rms_dbfs", "peak_dbfs", "clip_ratio", "dc", "dead", "stuck"),
    ),
}
LISTS = ("float", "halffloat", "int8")  # of version 1
# Of a recording that was heard; of another one nothing is known.
OF_HEARD = ("duration_s", "audio_s", "judged_s", "clock_source", "clock_uncertainty_s")


def readable(name: str, schema: pa.Schema, columns: Sequence[str] | None) -> list[str]:
    """Return which `columns` of the table `name`, or of all, a file of `schema` has.

    Raises `pa.ArrowInvalid` where one is missing that was always there.
    """
    import pyarrow as pa

    wanted = arrow_schema(name).names if columns is None else list(columns)
    for column in wanted:
        if column not in schema.names and column in (*NEEDED[name], *VECTORS, SCALE):
            raise pa.ArrowInvalid(f"has no column {column}")
    return [column for column in wanted if column in schema.names]


def checked(name: str, table: pa.Table, columns: Sequence[str] | None = None) -> pa.Table:
    """Return some rows of the table `name` with all `columns`, in the types that they have.

    A column that came later is null. Raises `pa.ArrowInvalid` where they cannot be this program's.
    """
    import pyarrow as pa

    known = arrow_schema(name)
    fields, cells = [], []
    for column in known.names if columns is None else columns:
        field, cell = _column(table, known.field(column))
        _check(name, field, cell)
        fields.append(field)
        cells.append(cell)
    result = pa.table(cells, schema=pa.schema(fields))
    if name == "files":
        _check_heard(result)
    return result


def _column(table: pa.Table, field: pa.Field[Any]) -> tuple[pa.Field[Any], Any]:
    """Return a column with its type as it should be; vectors are of the type that they say."""
    import pyarrow as pa

    place = table.schema.get_field_index(field.name)
    if place < 0:
        return field, pa.chunked_array([pa.nulls(len(table), field.type)])
    if field.name in VECTORS:
        return table.schema.field(place), table.column(place)
    return field, _cast(table.column(place), field)


def check_batch(name: str, batch: pa.RecordBatch) -> None:
    """Raise `pa.ArrowInvalid` unless some rows of the table `name` can be this program's."""
    import pyarrow as pa

    known = arrow_schema(name)
    for own, cell in zip(batch.schema, batch.columns, strict=True):
        field = own if own.name in VECTORS else known.field(own.name)
        if cell.type != field.type:
            raise pa.ArrowInvalid(f"{own.name} is no {field.type}")
        _check(name, field, cell)


def check_length(found: int, needed: int | None, column: str) -> None:
    """Raise `pa.ArrowInvalid` for vectors of another length than others; None: there are none."""
    import pyarrow as pa

    if needed not in (None, found):
        raise pa.ArrowInvalid(f"{column} has {found} numbers, not {needed}")


def _cast(cell: Any, field: pa.Field[Any]) -> Any:
    """Return a column in the type of `field`, which another program may have written otherwise."""
    import pyarrow as pa

    if cell.type == field.type:
        return cell
    numbers = pa.types.is_integer(cell.type) or pa.types.is_floating(cell.type)
    if pa.types.is_string(field.type) and numbers:
        raise pa.ArrowInvalid(f"{field.name} is no text")
    try:
        return cell.cast(field.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
        raise pa.ArrowInvalid(f"{field.name} is no {field.type}") from exc


def _check(name: str, field: pa.Field[Any], cell: Any) -> None:
    """Raise `pa.ArrowInvalid` for a column of the table `name` with a cell that cannot be."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if field.name in NEEDED[name] and cell.null_count:
        raise pa.ArrowInvalid(f"{field.name} is missing in {cell.null_count} rows")
    if field.name in VECTORS:
        _check_vectors(field, cell)
    elif pa.types.is_floating(field.type) and field.name != SCALE:
        if not pc.all(pc.is_finite(cell), min_count=0).as_py():
            raise pa.ArrowInvalid(f"{field.name} is no number in some row")
    elif pa.types.is_list(field.type) and pa.types.is_struct(field.type.value_type):
        scores = pc.list_flatten(cell)
        _check_between(field, pc.struct_field(scores, "score"), *BOUNDS["0..1"])
        if field.name == "top" and any(
            pc.struct_field(scores, at).null_count for at in ("label", "score")
        ):
            raise pa.ArrowInvalid("top lacks a label or a score in some row")
    elif field.name == "time_zone":
        _check_zones(cell)
    bounds = bounds_of(field)
    if bounds is not None:
        numbers = pc.list_flatten(cell) if pa.types.is_list(field.type) else cell
        _check_between(field, numbers, *bounds)


def _check_between(field: pa.Field[Any], cell: Any, least: Any, most: Any) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    limits: Any = pa.array([least, most], cell.type)
    there = pc.min_max(cell)
    for found, limit, beyond in (
        (there["min"], limits[0], pc.less),
        (there["max"], limits[1], pc.greater),
    ):
        if beyond(found, limit).as_py():
            raise pa.ArrowInvalid(f"{field.name} is beyond {limit} in some row")


def _check_zones(cell: Any) -> None:
    import pyarrow as pa

    for zone in cell.unique().to_pylist():
        try:
            _ = None if zone is None else parse_zone(zone)
        except ValueError as exc:
            raise pa.ArrowInvalid(str(exc)) from exc


def _check_vectors(field: pa.Field[Any], cell: Any) -> None:
    """Raise `pa.ArrowInvalid` unless all cells have equally many numbers; null is none at all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        dtype = dtype_in(field)
    except ValueError as exc:
        raise pa.ArrowInvalid(str(exc)) from exc
    if dtype is None:
        if not pa.types.is_list(cell.type) or str(cell.type.value_type) not in LISTS:
            raise pa.ArrowInvalid(f"{field.name} does not say of what type its numbers are")
        lengths, step = pc.list_value_length(cell), 1
    elif cell.type == pa.binary():
        lengths, step = pc.binary_length(cell), dtype.itemsize
    else:
        raise pa.ArrowInvalid(f"{field.name} is no column of numbers")
    found = lengths.unique().drop_null().to_pylist()
    if len(found) > 1 or any(not length or length % step for length in found):
        raise pa.ArrowInvalid(f"{field.name} has vectors of strange lengths")


def _check_heard(table: pa.Table) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    if "status" not in table.column_names:
        return
    heard = table.filter(pc.field("status") == "heard")
    for column in OF_HEARD:
        if column in heard.column_names and heard[column].null_count:
            raise pa.ArrowInvalid(f"{column} is missing of a recording that was heard")
