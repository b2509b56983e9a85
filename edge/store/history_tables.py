"""The tables of the history, and what of them is made anew at each opening."""

from __future__ import annotations

__all__ = [
    "RECOUNT",
    "TABLES",
    "UPGRADE_FROM_2",
    "UPGRADE_FROM_3",
    "UPGRADE_FROM_4",
    "UPGRADE_FROM_5",
]

# Fields of a stored message as columns of the view `events`, beside those that rows have anyway.
FIELDS = (
    *("end_utc", "start_local", "common_name", "scientific_name", "kind", "nearest", "score"),
    *("probability", "novelty", "animal", "windows", "device", "site", "clip", "bundle", "config"),
    *("code", "variant", "backend"),
)


def _field(name: str, payload: str = "payload") -> str:
    """Return SQL for a field of a message, NULL where damage has left no message."""
    return f"CASE WHEN json_valid({payload}) THEN json_extract({payload}, '$.{name}') END"


# `latest` names for each event the row that knows most of it, by time and by label. It is a table
# of its own, since a column in the rows would have all of an old store written anew.
EVENTS = f"""
CREATE TABLE latest (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, start_utc TEXT, label TEXT);
CREATE INDEX latest_time ON latest (start_utc, label);
CREATE INDEX latest_label ON latest (label, start_utc);
CREATE INDEX effort_time ON effort (start_utc, heard_s);
CREATE TRIGGER latest_added AFTER INSERT ON detections BEGIN
    INSERT INTO latest VALUES (new.number, new.id,
        {_field("start_utc", "new.payload")}, {_field("label", "new.payload")})
    ON CONFLICT (id) DO UPDATE SET
        number = excluded.number, start_utc = excluded.start_utc, label = excluded.label;
END;
CREATE TRIGGER latest_changed AFTER UPDATE OF number, payload ON detections BEGIN
    UPDATE latest SET number = new.number,
        start_utc = {_field("start_utc", "new.payload")}, label = {_field("label", "new.payload")}
    WHERE number = old.number;
END;
CREATE TRIGGER latest_removed AFTER DELETE ON detections BEGIN
    DELETE FROM latest WHERE number = old.number;
END;
CREATE TABLE levels (
    number INTEGER PRIMARY KEY, payload TEXT NOT NULL,
    boot_id TEXT NOT NULL, offset_us INTEGER NOT NULL, synced INTEGER NOT NULL);
CREATE VIEW events AS SELECT
    latest.number AS number, latest.id AS id, state, start_utc, label,
    {", ".join(f"{_field(name)} AS {name}" for name in FIELDS)},
    synced, sent, payload
FROM latest JOIN detections ON detections.number = latest.number;
"""
# An embedding is one of a network: those of two have nothing to do with each other. The triggers
# count what its row takes.
EMBEDDING_BYTES = "(length({row}.vector) + length({row}.network) + 150)"
EMBEDDING_COUNTS = f"""
CREATE TRIGGER embeddings_added AFTER INSERT ON embeddings BEGIN
    UPDATE history SET bytes = bytes + {EMBEDDING_BYTES.format(row="new")};
END;
CREATE TRIGGER embeddings_removed AFTER DELETE ON embeddings BEGIN
    UPDATE history SET bytes = bytes - {EMBEDDING_BYTES.format(row="old")};
END;
"""
# `number` grows with age across both tables, so that the oldest of all is known.
TABLES = f"""
CREATE TABLE history (bytes INTEGER NOT NULL, next INTEGER NOT NULL);
INSERT INTO history VALUES (0, 1);
CREATE TABLE detections (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, id TEXT NOT NULL, state TEXT NOT NULL,
    payload TEXT NOT NULL, bytes INTEGER NOT NULL,
    start_sample INTEGER NOT NULL, end_sample INTEGER NOT NULL,
    boot_id TEXT NOT NULL, offset_us INTEGER NOT NULL, synced INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0);
CREATE INDEX detections_id ON detections (id);
CREATE INDEX detections_undated ON detections (boot_id) WHERE NOT synced AND NOT sent;
CREATE TABLE embeddings (id TEXT PRIMARY KEY, vector BLOB NOT NULL,
    network TEXT NOT NULL DEFAULT '', scale REAL NOT NULL DEFAULT 0);
CREATE TABLE effort (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, bytes INTEGER NOT NULL,
    start_utc TEXT NOT NULL, start_sample INTEGER NOT NULL, end_sample INTEGER NOT NULL,
    sample_rate_hz INTEGER NOT NULL,
    heard_s REAL NOT NULL, lost_s REAL NOT NULL, gated_s REAL NOT NULL, dropped_s REAL NOT NULL,
    boot_id TEXT NOT NULL, offset_us INTEGER NOT NULL, synced INTEGER NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, private_s REAL NOT NULL DEFAULT 0,
    clips_withheld INTEGER NOT NULL DEFAULT 0, below_precision INTEGER NOT NULL DEFAULT 0,
    windows_label INTEGER NOT NULL DEFAULT 0, windows_unknown INTEGER NOT NULL DEFAULT 0,
    windows_other INTEGER NOT NULL DEFAULT 0, windows_nothing INTEGER NOT NULL DEFAULT 0);
CREATE INDEX effort_undated ON effort (boot_id) WHERE NOT synced AND NOT sent;
CREATE TRIGGER detections_added AFTER INSERT ON detections BEGIN
    UPDATE history SET bytes = bytes + new.bytes, next = next + 1;
END;
CREATE TRIGGER effort_added AFTER INSERT ON effort BEGIN
    UPDATE history SET bytes = bytes + new.bytes, next = next + 1;
END;
CREATE TRIGGER effort_removed AFTER DELETE ON effort BEGIN
    UPDATE history SET bytes = bytes - old.bytes;
END;
CREATE TRIGGER detections_removed AFTER DELETE ON detections BEGIN
    UPDATE history SET bytes = bytes - old.bytes;
    DELETE FROM embeddings
    WHERE id = old.id AND NOT EXISTS (SELECT 1 FROM detections WHERE id = old.id);
END;
{EMBEDDING_COUNTS}
{EVENTS}
"""
# From a file of version 2. SQLite puts the text of a new column behind the last one, as above.
UPGRADE_FROM_2 = """
ALTER TABLE effort ADD COLUMN private_s REAL NOT NULL DEFAULT 0;
ALTER TABLE effort ADD COLUMN clips_withheld INTEGER NOT NULL DEFAULT 0;
"""
UPGRADE_FROM_3 = """
ALTER TABLE effort ADD COLUMN below_precision INTEGER NOT NULL DEFAULT 0;
ALTER TABLE effort ADD COLUMN windows_label INTEGER NOT NULL DEFAULT 0;
ALTER TABLE effort ADD COLUMN windows_unknown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE effort ADD COLUMN windows_other INTEGER NOT NULL DEFAULT 0;
ALTER TABLE effort ADD COLUMN windows_nothing INTEGER NOT NULL DEFAULT 0;
"""
UPGRADE_FROM_4 = f"""
{EVENTS}
INSERT INTO latest SELECT number, id, {_field("start_utc")}, {_field("label")} FROM detections
WHERE number IN (SELECT max(number) FROM detections GROUP BY id);
"""
# Vectors stay as they are: their scale says how each is stored.
UPGRADE_FROM_5 = f"""
ALTER TABLE embeddings ADD COLUMN network TEXT NOT NULL DEFAULT '';
ALTER TABLE embeddings ADD COLUMN scale REAL NOT NULL DEFAULT 0;
DROP TRIGGER embeddings_added;
DROP TRIGGER embeddings_removed;
{EMBEDDING_COUNTS}
"""
# What is derived from the rows is derived anew at each opening: sizes and a number by which damage
# would have everything pruned, or nothing stored. A row of no possible size counts as a small one.
RECOUNT = f"""
UPDATE detections SET number = 1 + (SELECT coalesce(max(number), 0) FROM detections
    WHERE number < 1 << 60) WHERE number >= 1 << 60;
UPDATE effort SET number = 1 + (SELECT coalesce(max(number), 0) FROM effort
    WHERE number < 1 << 60) WHERE number >= 1 << 60;
DELETE FROM levels WHERE number >= 1 << 60;
DELETE FROM latest WHERE number >= 1 << 60;
UPDATE detections SET bytes = 1000
WHERE typeof(bytes) <> 'integer' OR bytes NOT BETWEEN 1 AND 10000000;
UPDATE effort SET bytes = 400 WHERE typeof(bytes) <> 'integer' OR bytes NOT BETWEEN 1 AND 100000;
DELETE FROM history;
INSERT INTO history SELECT
    (SELECT coalesce(sum(bytes), 0) FROM detections) + (SELECT coalesce(sum(bytes), 0) FROM effort)
    + (SELECT coalesce(sum({EMBEDDING_BYTES.format(row="embeddings")}), 0) FROM embeddings),
    1 + max((SELECT coalesce(max(number), 0) FROM detections),
            (SELECT coalesce(max(number), 0) FROM latest),
            (SELECT coalesce(max(number), 0) FROM effort));
"""
