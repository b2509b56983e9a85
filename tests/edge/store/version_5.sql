-- The tables of version 5, as recorders have them that were not updated since.
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
CREATE TABLE latest (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, start_utc TEXT, label TEXT);
CREATE INDEX latest_time ON latest (start_utc, label);
CREATE INDEX latest_label ON latest (label, start_utc);
CREATE INDEX effort_time ON effort (start_utc, heard_s);
CREATE TRIGGER latest_added AFTER INSERT ON detections BEGIN
    INSERT INTO latest VALUES (new.number, new.id,
        CASE WHEN json_valid(new.payload) THEN json_extract(new.payload, '$.start_utc') END,
        CASE WHEN json_valid(new.payload) THEN json_extract(new.payload, '$.label') END)
    ON CONFLICT (id) DO UPDATE SET
        number = excluded.number, start_utc = excluded.start_utc, label = excluded.label;
END;
CREATE TRIGGER latest_changed AFTER UPDATE OF number, payload ON detections BEGIN
    UPDATE latest SET number = new.number,
        start_utc = CASE WHEN json_valid(new.payload) THEN json_extract(new.payload, '$.start_utc') END,
        label = CASE WHEN json_valid(new.payload) THEN json_extract(new.payload, '$.label') END
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
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.end_utc') END AS end_utc,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.start_local') END AS start_local,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.common_name') END AS common_name,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.scientific_name') END AS scientific_name,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.kind') END AS kind,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.nearest') END AS nearest,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.score') END AS score,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.probability') END AS probability,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.novelty') END AS novelty,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.animal') END AS animal,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.windows') END AS windows,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.device') END AS device,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.site') END AS site,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.clip') END AS clip,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.bundle') END AS bundle,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.config') END AS config,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.code') END AS code,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.variant') END AS variant,
    CASE WHEN json_valid(payload) THEN json_extract(payload, '$.backend') END AS backend,
    synced, sent, payload
FROM latest JOIN detections ON detections.number = latest.number;
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
PRAGMA user_version = 5;
