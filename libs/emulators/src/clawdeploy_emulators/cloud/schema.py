"""Tables of a cloud's stand-in."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS sequence (last INTEGER NOT NULL) STRICT;
INSERT INTO sequence SELECT 1000 WHERE NOT EXISTS (SELECT 1 FROM sequence);
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    body TEXT NOT NULL CHECK (json_valid(body)),
    UNIQUE (kind, id)
) STRICT;
CREATE TABLE IF NOT EXISTS actions (
    id INTEGER PRIMARY KEY,
    command TEXT NOT NULL,
    resource_kind TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    details TEXT NOT NULL CHECK (json_valid(details)),
    starts_at TEXT NOT NULL,
    ends_at TEXT CHECK (ends_at >= starts_at),
    fails INTEGER NOT NULL CHECK (fails IN (0, 1)),
    settled INTEGER NOT NULL DEFAULT 0 CHECK (settled IN (0, 1))
) STRICT;
CREATE INDEX IF NOT EXISTS actions_to_settle ON actions (ends_at) WHERE settled = 0;
CREATE INDEX IF NOT EXISTS actions_of_resource ON actions (resource_kind, resource_id);
CREATE TABLE IF NOT EXISTS rentals (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    server_id TEXT NOT NULL,
    name TEXT NOT NULL,
    item TEXT NOT NULL,
    place TEXT NOT NULL,
    hourly_micros INTEGER NOT NULL CHECK (hourly_micros >= 0),
    monthly_micros INTEGER NOT NULL CHECK (monthly_micros >= 0),
    since TEXT NOT NULL,
    until TEXT
) STRICT;
"""
