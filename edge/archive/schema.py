"""The frozen form of a dataset: version 1 of its two tables, with the unit of every number.

A column is never renamed, removed or given another meaning or type within a version. A column that
is added makes no new version: readers by name do not mind.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["SCHEMA_VERSION", "TABLES", "arrow_schema"]

SCHEMA_VERSION = 1
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
"""
TABLES = {"detections": DETECTIONS, "files": FILES}


def arrow_schema(table: str) -> pa.Schema:
    """Return the schema of `detections` or `files`; name, version and units are its metadata."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "double": pa.float64(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "bool": pa.bool_(),
        "utc": pa.timestamp("us", tz="UTC"),
        "scores": pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())])),
    }
    columns = [line.split(maxsplit=2) for line in TABLES[table].splitlines() if line]
    return pa.schema(
        [
            pa.field(name, types[kind], metadata={"unit": unit[0]} if unit else None)
            for name, kind, *unit in columns
        ],
        metadata={"edge.table": table, "edge.schema_version": str(SCHEMA_VERSION)},
    )
