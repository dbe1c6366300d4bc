"""Tables of the OpenRouter stand-in: keys by their SHA-256, and a ledger of generations that is only added to."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    hash TEXT PRIMARY KEY CHECK (length(hash) = 64),
    name TEXT NOT NULL,
    label TEXT NOT NULL,
    disabled INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    limit_nanos INTEGER CHECK (limit_nanos >= 0),
    limit_reset TEXT CHECK (limit_reset IN ('daily', 'weekly', 'monthly')),
    include_byok_in_limit INTEGER NOT NULL DEFAULT 0 CHECK (include_byok_in_limit IN (0, 1)),
    expires_at TEXT,
    creator_user_id TEXT,
    external_user TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT,
    deleted_at TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS generations (
    id TEXT PRIMARY KEY,
    key_hash TEXT NOT NULL REFERENCES keys (hash),
    created_at TEXT NOT NULL,
    model TEXT NOT NULL,
    streamed INTEGER NOT NULL CHECK (streamed IN (0, 1)),
    finish_reason TEXT NOT NULL,
    external_user TEXT,
    user_agent TEXT,
    http_referer TEXT,
    prompt_tokens INTEGER NOT NULL CHECK (prompt_tokens >= 0),
    cached_tokens INTEGER NOT NULL CHECK (cached_tokens BETWEEN 0 AND prompt_tokens),
    completion_tokens INTEGER NOT NULL CHECK (completion_tokens >= 0),
    cost_nanos INTEGER NOT NULL CHECK (cost_nanos >= 0)
) STRICT;
CREATE INDEX IF NOT EXISTS generations_by_key ON generations (key_hash, created_at);
CREATE INDEX IF NOT EXISTS generations_by_time ON generations (created_at);
"""
