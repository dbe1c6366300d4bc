CREATE TABLE consumed_epochs (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    log_epoch INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
);

CREATE TABLE jobs (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    dedupe_key TEXT NOT NULL,
    payload JSONB NOT NULL,
    run_at TIMESTAMP WITH TIME ZONE NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    lease_token BIGINT DEFAULT 0 NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE,
    last_error TEXT,
    finished_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT jobs_dedupe_key UNIQUE (kind, dedupe_key)
);

CREATE INDEX jobs_due_idx ON jobs (run_at) WHERE finished_at IS NULL;

CREATE TABLE outbox (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    event_id UUID NOT NULL,
    key UUID NOT NULL,
    version BIGINT NOT NULL,
    type TEXT NOT NULL,
    time TIMESTAMP WITH TIME ZONE NOT NULL,
    account_id UUID,
    correlation_id UUID,
    causation_id UUID,
    traceparent TEXT,
    data BYTEA NOT NULL,
    published_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (id),
    CONSTRAINT outbox_key_version_key UNIQUE (key, version),
    UNIQUE (event_id)
);

CREATE INDEX outbox_unpublished_idx ON outbox (id) WHERE published_at IS NULL;

CREATE TABLE parked_events (
    id UUID NOT NULL,
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    "offset" BIGINT NOT NULL,
    key UUID,
    version BIGINT,
    type TEXT,
    account_id UUID,
    headers JSONB NOT NULL,
    payload BYTEA NOT NULL,
    reason TEXT NOT NULL,
    error TEXT,
    attempts INTEGER DEFAULT 0 NOT NULL,
    state TEXT DEFAULT 'parked' NOT NULL,
    retry_at TIMESTAMP WITH TIME ZONE,
    parked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT parked_events_kind_check CHECK (kind IN ('projector', 'reactor')),
    CONSTRAINT parked_events_state_check CHECK (state IN ('parked', 'dead', 'dropped')),
    CONSTRAINT parked_events_reason_check CHECK (reason IN ('gap', 'behind', 'failed', 'permanent', 'unreadable')),
    CONSTRAINT parked_events_position_key UNIQUE (kind, source, key, version)
);

CREATE INDEX parked_events_retry_idx ON parked_events (retry_at) WHERE state = 'parked';

CREATE TABLE progress (
    kind TEXT NOT NULL,
    source TEXT NOT NULL,
    key UUID NOT NULL,
    version BIGINT DEFAULT 0 NOT NULL,
    PRIMARY KEY (kind, source, key),
    CONSTRAINT progress_kind_check CHECK (kind IN ('projector', 'reactor'))
);

CREATE TABLE relay_offsets (
    partition INTEGER NOT NULL,
    acknowledged_offset BIGINT NOT NULL,
    PRIMARY KEY (partition)
);

CREATE TABLE relay_state (
    singleton SMALLINT DEFAULT 1 NOT NULL,
    log_epoch INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (singleton),
    CONSTRAINT relay_state_singleton_check CHECK (singleton = 1)
);

CREATE TABLE streams (
    key UUID NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (key)
);
