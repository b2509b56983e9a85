"""What the store's database consists of."""

from __future__ import annotations

from edge.store import history_tables, outbox_tables
from edge.store.database import Layout

__all__ = ["LAYOUT"]

# Any change of the tables is another version, and takes an upgrade from the one before: a file with
# other tables counts as damaged.
LAYOUT = Layout(
    tables=history_tables.TABLES + outbox_tables.TABLES,
    version=6,
    upgrades={
        2: history_tables.UPGRADE_FROM_2,
        3: history_tables.UPGRADE_FROM_3,
        4: history_tables.UPGRADE_FROM_4,
        5: history_tables.UPGRADE_FROM_5,
    },
    recount=history_tables.RECOUNT + outbox_tables.RECOUNT,
)
