"""The tables of the index and, in a database beside it, of its words. They are derived: another version makes them anew."""

VERSION = 3
SHORTEST = 3  # characters that the trigram tokenizer needs; shorter queries use LIKE

SCHEMA = """
CREATE TABLE runs (run TEXT PRIMARY KEY, line BLOB, digest TEXT, limited INTEGER);
CREATE TABLE parts (part INTEGER PRIMARY KEY, run TEXT, exhibit TEXT, current INTEGER, UNIQUE (run, exhibit));
CREATE TABLE entries (part INTEGER, location TEXT, kind TEXT, state TEXT, outcome TEXT, reason TEXT, size INTEGER, sha256 TEXT, line BLOB);
CREATE TABLE records (id TEXT, part INTEGER, kind TEXT, level INTEGER, plugin TEXT, at TEXT, naive INTEGER, location TEXT, line BLOB);
CREATE TABLE faults (part INTEGER, location TEXT, plugin TEXT, kind TEXT, line BLOB);
CREATE TABLE layers (part INTEGER, location TEXT, line BLOB);
CREATE TABLE measured (part INTEGER, phase TEXT, line BLOB);
CREATE TABLE unmeasured (part INTEGER, phase TEXT, why TEXT);
CREATE TABLE coverage (part INTEGER, plugin TEXT, outcome TEXT, reason TEXT, number INTEGER, findings INTEGER);
CREATE TABLE times (part INTEGER, at TEXT, naive INTEGER, what TEXT, location TEXT, summary TEXT);
CREATE TABLE ids (run TEXT, id TEXT, location TEXT, what TEXT);
"""
WORDS = """
CREATE TABLE parts (part INTEGER PRIMARY KEY, run TEXT);
CREATE VIRTUAL TABLE words USING fts5 (text, location UNINDEXED, summary UNINDEXED, part UNINDEXED, tokenize = 'trigram');
INSERT INTO words (words, rank) VALUES ('automerge', 16);
"""
INDEXES = """
CREATE INDEX IF NOT EXISTS entries_location ON entries (location);
CREATE INDEX IF NOT EXISTS records_order ON records (part, level, kind, at, id);
CREATE INDEX IF NOT EXISTS records_id ON records (id);
CREATE INDEX IF NOT EXISTS records_location ON records (location);
CREATE INDEX IF NOT EXISTS times_order ON times (part, naive, at, location, what);
CREATE INDEX IF NOT EXISTS ids_order ON ids (run, id);
"""
LEVELS = {"alert": 0, "notable": 1, "info": 2}
