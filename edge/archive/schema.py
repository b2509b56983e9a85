"""The frozen form of a dataset: version 2 of its tables, with the unit of every number.

`detections` and `files` are always there, `windows` and `embeddings` where they were asked for.

A column is never renamed, removed or given another meaning or type within a version. A column that
is added makes no new version: readers by name do not mind.

Version 1 had what a network says in lists of numbers, which take ten times as long to read. All
else is the same, and it is read as this one.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Literal, get_args

from edge.errors import shown

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

__all__ = [
    "KNOWN_VERSIONS",
    "PRECISIONS",
    "SCHEMA_VERSION",
    "SHARED",
    "TABLES",
    "VECTORS",
    "Precision",
    "arrow_schema",
    "dtype_in",
]

SCHEMA_VERSION = 2
KNOWN_VERSIONS = (1, 2)
# Of embeddings. With int8 each has a scale, and what else the network says is float16.
Precision = Literal["float16", "int8", "float32"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
DTYPE = "dtype"  # of the numbers in a cell, as numpy names it
VECTORS = ("embedding", "logits", "frames")
DTYPES = ("<f4", "<f2", "|i1")
ORIGIN = """
bundle          string   sha256
trunk           string   sha256
variant         string
backend         string
hop_s           double   s
config          string   sha256
code            string   sha256
"""
CLOCK = """
clock_source    string
clock_uncertainty_s double s
time_zone       string
"""
# Of the recording's start, in UTC; null without a date. Row groups are of one month and site.
MONTH = """
month           string   yyyy-mm
"""
# A column a line: name, type of Arrow, unit. Empty cells are null.
DETECTIONS = f"""
path            string
site            string
id              string
label           string
common_name     string
scientific_name string
kind            string
outcome         string
nearest         string
score           double   0..1
probability     double   0..1
calibration     string   sha256
novelty         double   0..1
animal          double   0..1
top             scores   0..1
start_utc       utc      us
end_utc         utc      us
start_local     string   rfc3339
start_s         double   s
end_s           double   s
start_uncertainty_s double s
end_uncertainty_s double s
start_sample    int64    samples
end_sample      int64    samples
peak_sample     int64    samples
sample_rate_hz  int32    Hz
windows         int32
rms_dbfs        double   dBFS
peak_dbfs       double   dBFS
clip_ratio      double   0..1
dc              double   full scale
dead            bool
stuck           bool
clock_synced    bool
{CLOCK}
{ORIGIN}
{MONTH}
"""
FILES = f"""
path            string
site            string
size_bytes      int64    B
modified_utc    utc      us
head_sha256     string   sha256
status          string
reason          string
heard_utc       utc      us
start_utc       utc      us
duration_s      double   s
header_s        double   s
audio_s         double   s
judged_s        double   s
unjudged_dead_s double   s
unjudged_stuck_s double  s
unjudged_short_s double  s
missing_s       double   s
gap_s           double   s
detections      int32
unknowns        int32
below_precision int32
{CLOCK}
{ORIGIN}
identity        string   sha256
channel         string
latitude        double   degrees north
longitude       double   degrees east
clock_utc       utc      us
windows         int32
embeddings      int32
etag            string
{MONTH}
"""
# A window as the tracker has it: after the smoothing and the list of species. `labels` are all that
# it carries, `unjudged` says why the network was not asked.
WINDOWS = f"""
path            string
site            string
start_utc       utc      us
start_s         double   s
end_s           double   s
start_sample    int64    samples
end_sample      int64    samples
sample_rate_hz  int32    Hz
label           string
outcome         string
nearest         string
score           float    0..1
novelty         float    0..1
animal          float    0..1
labels          scores   0..1
top             scores   0..1
unjudged        string
{ORIGIN}
{MONTH}
"""
# A window as the network has it: what a head, or several, need to judge it. A dead or stuck one has
# no answer. After the window, the sound is lost up to each of `sound_from`. What the network says
# are numbers one after the other, of the type that stands in the field's metadata; of the embedding
# each times the scale, where there is one.
EMBEDDINGS = f"""
path            string
site            string
start_utc       utc      us
start_s         double   s
start_sample    int64    samples
end_sample      int64    samples
sample_rate_hz  int32    Hz
rms_dbfs        double   dBFS
peak_dbfs       double   dBFS
clip_ratio      double   0..1
dc              double   full scale
dead            bool
stuck           bool
sound_from      samples  samples
embedding       vector   length 1
embedding_scale float
logits          numbers  logit
frames          numbers  logit
{ORIGIN}
{MONTH}
"""
TABLES = {
    "detections": DETECTIONS,
    "files": FILES,
    "windows": WINDOWS,
    "embeddings": EMBEDDINGS,
}


# Columns in which all windows of a recording have the same.
SHARED = ("path", "site", "month", *(line.split()[0] for line in ORIGIN.split("\n") if line))


@cache  # every file that is read is held against it
def arrow_schema(table: str, precision: Precision = "float32") -> pa.Schema:
    """Return the schema of a table; name, version and units are its metadata.

    `precision` is that of embeddings.
    """
    import pyarrow as pa

    types: dict[str, pa.DataType] = {
        "string": pa.string(),
        "double": pa.float64(),
        "float": pa.float32(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "utc": pa.timestamp("us", tz="UTC"),
        "samples": pa.list_(pa.int64()),
        "vector": pa.binary(),
        "numbers": pa.binary(),
        "scores": pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())])),
    }
    others = "<f4" if precision == "float32" else "<f2"
    numbers = {"vector": "|i1" if precision == "int8" else others, "numbers": others}
    columns = [line.split(maxsplit=2) for line in TABLES[table].splitlines() if line]
    fields = []
    for name, kind, *unit in columns:
        metadata = {"unit": unit[0]} if unit else {}
        metadata |= {DTYPE: numbers[kind]} if kind in numbers else {}
        fields.append(pa.field(name, types[kind], metadata=metadata or None))
    return pa.schema(
        fields,
        metadata={"edge.table": table, "edge.schema_version": str(SCHEMA_VERSION)},
    )


def dtype_in(field: pa.Field[Any]) -> np.dtype[Any] | None:
    """Return of what type the numbers in the cells of a column are; None where these are lists."""
    import numpy as np

    named = (field.metadata or {}).get(DTYPE.encode())
    if named is None:
        return None
    if named.decode("ascii", "replace") not in DTYPES:
        raise ValueError(f"{field.name}: numbers of the type {shown(named)}")
    return np.dtype(named.decode())
