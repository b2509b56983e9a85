-- The tables of version 4, as recorders have them that were not updated since.
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
CREATE TABLE embeddings (id TEXT PRIMARY KEY, vector BLOB NOT NULL);
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
CREATE TRIGGER embeddings_added AFTER INSERT ON embeddings BEGIN
    UPDATE history SET bytes = bytes + length(new.vector);
END;
CREATE TRIGGER effort_removed AFTER DELETE ON effort BEGIN
    UPDATE history SET bytes = bytes - old.bytes;
END;
CREATE TRIGGER embeddings_removed AFTER DELETE ON embeddings BEGIN
    UPDATE history SET bytes = bytes - length(old.vector);
END;
CREATE TRIGGER detections_removed AFTER DELETE ON detections BEGIN
    UPDATE history SET bytes = bytes - old.bytes;
    DELETE FROM embeddings
    WHERE id = old.id AND NOT EXISTS (SELECT 1 FROM detections WHERE id = old.id);
END;
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
PRAGMA user_version = 4;
