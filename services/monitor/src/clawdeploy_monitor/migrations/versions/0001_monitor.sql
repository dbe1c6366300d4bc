CREATE TABLE watches (
    instance_id UUID NOT NULL,
    account_id UUID NOT NULL,
    lifecycle_version BIGINT NOT NULL,
    expected TEXT DEFAULT 'nothing' NOT NULL,
    operation_id UUID,
    server_id UUID,
    server_state TEXT DEFAULT 'unknown' NOT NULL,
    probe_url TEXT,
    started_at TIMESTAMP WITH TIME ZONE,
    process TEXT DEFAULT 'unknown' NOT NULL,
    channel TEXT DEFAULT 'unknown' NOT NULL,
    channel_candidate TEXT,
    detail TEXT,
    impairment TEXT,
    drift TEXT,
    failures INTEGER DEFAULT 0 NOT NULL,
    successes INTEGER DEFAULT 0 NOT NULL,
    rounds BIGINT DEFAULT 0 NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE,
    next_probe_at TIMESTAMP WITH TIME ZONE,
    PRIMARY KEY (instance_id),
    CONSTRAINT watches_expected_check CHECK (expected IN ('nothing', 'running', 'stopped', 'gone')),
    CONSTRAINT watches_process_check CHECK (process IN ('starting', 'healthy', 'unhealthy', 'stopped', 'gone', 'unknown')),
    CONSTRAINT watches_channel_check CHECK (channel IN ('ready', 'failing', 'disabled', 'unknown'))
);

CREATE INDEX watches_due_idx ON watches (next_probe_at) WHERE next_probe_at IS NOT NULL;

CREATE INDEX watches_account_idx ON watches (account_id);

CREATE TABLE observations (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    instance_id UUID NOT NULL,
    account_id UUID NOT NULL,
    lifecycle_version BIGINT NOT NULL,
    observed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    alive BOOLEAN NOT NULL,
    latency_ms INTEGER,
    detail TEXT,
    channel TEXT,
    server_state TEXT,
    PRIMARY KEY (id)
);

CREATE INDEX observations_instance_idx ON observations (instance_id, observed_at);

CREATE INDEX observations_observed_idx ON observations (observed_at);
