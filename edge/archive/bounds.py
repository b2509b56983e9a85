"""What a number or a time in a table of a dataset can be."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edge.archive.schema import VECTORS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ANY_TIMES", "BOUNDS", "SCALE", "bounds_of"]

SCALE = "embedding_scale"
# The least and the most that a number of each unit can be: wide, but such that nothing that is made
# of several of them is beyond what a calendar or memory holds. Of seconds, one may be rounded to
# just below nothing.
BOUNDS: dict[str, tuple[float, float]] = {
    "samples": (0, 2**47),
    "B": (0, 2**63 - 1),
    "Hz": (1_000, 2**31 - 1),
    "s": (-1.0, 1e9),
    "0..1": (-1.0, 2.0),
    "dBFS": (-1e4, 1e4),
    "full scale": (-1e39, 1e39),
    "degrees north": (-90.0, 90.0),
    "degrees east": (-180.0, 180.0),
}
# What a damaged header may say, which is only shown and added up; a century and more is said of a
# clock that was never set.
OF_COLUMN: dict[str, tuple[float, float]] = {
    "header_s": (-1.0, 1e20),
    "missing_s": (-1.0, 1e20),
    "gap_s": (-1.0, 1e20),
    "clock_uncertainty_s": (0.0, 1e10),
    SCALE: (-1e6, 1e6),
}
COUNTS = (0, 2**31 - 1)
# A clock's years, and those behind the last recording that begins in them; the time of a file, and
# that of the computer, may be any.
TIMES = (datetime(1900, 1, 1, tzinfo=timezone.utc), datetime(2300, 1, 1, tzinfo=timezone.utc))
ANY_TIMES = (datetime(1, 1, 2, tzinfo=timezone.utc), datetime(9999, 1, 2, tzinfo=timezone.utc))
OF_A_COMPUTER = ("modified_utc", "heard_utc")


def bounds_of(field: pa.Field[Any]) -> tuple[Any, Any] | None:
    """Return the least and the most that may be in a column of numbers or times, or in its lists;
    None of other columns.
    """
    import pyarrow as pa

    kind: Any = field.type.value_type if pa.types.is_list(field.type) else field.type
    if pa.types.is_timestamp(kind):
        return ANY_TIMES if field.name in OF_A_COMPUTER else TIMES
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not is_number or field.name in VECTORS:  # which version 1 had in lists
        return None
    unit = (field.metadata or {}).get(b"unit", b"").decode()
    if field.name in OF_COLUMN or unit:
        return OF_COLUMN.get(field.name) or BOUNDS[unit]
    return COUNTS
