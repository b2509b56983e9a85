"""The tables of the outboxes, and what of them is made anew at each opening."""

from __future__ import annotations

__all__ = ["RECOUNT", "SIZES", "TABLES"]

TABLES = """
CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, kind TEXT NOT NULL,
    key TEXT NOT NULL, payload TEXT NOT NULL, bytes INTEGER NOT NULL,
    boot_id TEXT NOT NULL, offset_us INTEGER NOT NULL, synced INTEGER NOT NULL,
    run TEXT NOT NULL, stored_us INTEGER NOT NULL);
CREATE INDEX outbox_order ON outbox (sink, seq);
CREATE INDEX outbox_kinds ON outbox (sink, kind, seq);
CREATE INDEX outbox_key ON outbox (kind, key);
CREATE TABLE outbox_size (sink TEXT PRIMARY KEY, rows INTEGER NOT NULL, bytes INTEGER NOT NULL);
CREATE TABLE outbox_dropped (
    sink TEXT NOT NULL, kind TEXT NOT NULL, rows INTEGER NOT NULL, PRIMARY KEY (sink, kind));
CREATE TRIGGER outbox_added AFTER INSERT ON outbox BEGIN
    INSERT INTO outbox_size VALUES (new.sink, 1, new.bytes)
    ON CONFLICT (sink) DO UPDATE SET rows = rows + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER outbox_removed AFTER DELETE ON outbox BEGIN
    UPDATE outbox_size SET rows = rows - 1, bytes = bytes - old.bytes WHERE sink = old.sink;
END;
"""
SIZES = "INSERT INTO outbox_size SELECT sink, count(*), sum(bytes) FROM outbox GROUP BY sink"
# What is derived from the rows is derived anew at each opening, since damage to it would stop every
# delivery: an index that names rows that are gone, a size beyond the bound, a number after which
# there is none.
RECOUNT = f"""
REINDEX outbox;
DELETE FROM sqlite_sequence WHERE typeof(seq) <> 'integer' OR seq >= 1 << 60;
UPDATE outbox SET seq = 1 + (SELECT coalesce(max(seq), 0) FROM outbox WHERE seq < 1 << 60)
WHERE seq >= 1 << 60;
UPDATE outbox SET bytes = length(CAST(payload AS BLOB))
WHERE bytes IS NOT length(CAST(payload AS BLOB));
DELETE FROM outbox_size;
{SIZES};
DELETE FROM outbox_dropped WHERE typeof(rows) <> 'integer' OR rows NOT BETWEEN 0 AND 1 << 60;
"""
