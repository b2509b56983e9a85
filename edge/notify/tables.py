"""The database of `edge notify`: what was heard and told, and what is still to be sent."""

from __future__ import annotations

from edge.store.database import Layout

__all__ = ["LAYOUT"]

# Times are RFC 3339 in UTC, which sort as text. A service is named by a keyed digest of its URL,
# which is a secret and stands nowhere here.
TABLES = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE counts (name TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE judged (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE species (label TEXT PRIMARY KEY);
CREATE TABLE days (label TEXT NOT NULL, day TEXT NOT NULL, PRIMARY KEY (label, day));
CREATE TABLE told (
    number INTEGER PRIMARY KEY, rule TEXT NOT NULL, label TEXT NOT NULL, at_utc TEXT NOT NULL);
CREATE INDEX told_rule ON told (rule, label, at_utc);
CREATE TABLE courses (
    fault TEXT PRIMARY KEY, evidence_s REAL NOT NULL, looked_utc TEXT, since_utc TEXT,
    told INTEGER NOT NULL, told_utc TEXT);
CREATE TABLE messages (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, title TEXT NOT NULL, body TEXT NOT NULL,
    line TEXT NOT NULL, clip TEXT NOT NULL, day TEXT NOT NULL, made_utc TEXT NOT NULL,
    from_utc TEXT NOT NULL, held INTEGER NOT NULL);
CREATE INDEX messages_day ON messages (day);
CREATE INDEX messages_held ON messages (number) WHERE held;
CREATE TABLE deliveries (
    message INTEGER NOT NULL, service TEXT NOT NULL, state TEXT NOT NULL, tries INTEGER NOT NULL,
    plainer INTEGER NOT NULL, PRIMARY KEY (message, service));
CREATE INDEX deliveries_open ON deliveries (service, tries, message)
    WHERE state IN ('waiting', 'sending');
CREATE TABLE services (
    service TEXT PRIMARY KEY, tries INTEGER NOT NULL, next_utc TEXT NOT NULL);
"""
LAYOUT = Layout(tables=TABLES, version=1, recount="")
