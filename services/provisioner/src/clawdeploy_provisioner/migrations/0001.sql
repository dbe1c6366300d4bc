CREATE TABLE cleanup_debts (
    id UUID NOT NULL,
    instance_id UUID NOT NULL,
    account_id UUID NOT NULL,
    resource TEXT NOT NULL,
    resource_id UUID NOT NULL,
    provider TEXT NOT NULL,
    provider_ref TEXT NOT NULL,
    reason TEXT NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    retry_at TIMESTAMP WITH TIME ZONE NOT NULL,
    owed_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    settled_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT cleanup_debts_pkey PRIMARY KEY (id),
    CONSTRAINT cleanup_debts_resource_check CHECK (resource IN ('server', 'llm_key'))
);

CREATE INDEX cleanup_debts_due_idx ON cleanup_debts (retry_at) WHERE settled_at IS NULL;

CREATE UNIQUE INDEX cleanup_debts_open_key ON cleanup_debts (resource, resource_id) WHERE settled_at IS NULL;

CREATE TABLE instances (
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    deployment JSONB NOT NULL,
    identity BYTEA NOT NULL,
    wanted TEXT DEFAULT 'running' NOT NULL,
    applied_config JSONB,
    destroyed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT instances_pkey PRIMARY KEY (id),
    CONSTRAINT instances_wanted_check CHECK (wanted IN ('running', 'stopped', 'gone'))
);

CREATE TABLE loop_leases (
    name TEXT NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT loop_leases_pkey PRIMARY KEY (name)
);

CREATE TABLE orphans (
    id UUID NOT NULL,
    provider TEXT NOT NULL,
    provider_ref TEXT NOT NULL,
    found_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    removed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT orphans_pkey PRIMARY KEY (id)
);

CREATE TABLE sealing_keys (
    id UUID NOT NULL,
    public_key BYTEA NOT NULL,
    private_key BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    retired_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT sealing_keys_pkey PRIMARY KEY (id)
);

CREATE TABLE config_copies (
    instance_id UUID NOT NULL,
    version INTEGER NOT NULL,
    account_id UUID NOT NULL,
    content_hash TEXT NOT NULL,
    config JSONB NOT NULL,
    CONSTRAINT config_copies_pkey PRIMARY KEY (instance_id, version),
    CONSTRAINT config_copies_instance_id_fkey FOREIGN KEY(instance_id) REFERENCES instances (id)
);

CREATE TABLE llm_keys (
    id UUID NOT NULL,
    instance_id UUID NOT NULL,
    account_id UUID NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL,
    key_hash TEXT,
    secret BYTEA,
    limit_micros BIGINT NOT NULL,
    minted_at TIMESTAMP WITH TIME ZONE,
    disabled_at TIMESTAMP WITH TIME ZONE,
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT llm_keys_pkey PRIMARY KEY (id),
    CONSTRAINT llm_keys_state_check CHECK (state IN ('intended', 'active', 'disabled', 'deleted')),
    CONSTRAINT llm_keys_instance_id_fkey FOREIGN KEY(instance_id) REFERENCES instances (id),
    CONSTRAINT llm_keys_name_key UNIQUE (name)
);

CREATE UNIQUE INDEX llm_keys_live_key ON llm_keys (instance_id) WHERE state IN ('intended', 'active');

CREATE TABLE operations (
    id UUID NOT NULL,
    instance_id UUID NOT NULL,
    account_id UUID NOT NULL,
    provider TEXT NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    parameters JSONB NOT NULL,
    run_at TIMESTAMP WITH TIME ZONE NOT NULL,
    lease_token BIGINT DEFAULT 0 NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE,
    stalled_seconds INTEGER DEFAULT 0 NOT NULL,
    cancel_requested_at TIMESTAMP WITH TIME ZONE,
    error TEXT,
    error_step TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT operations_pkey PRIMARY KEY (id),
    CONSTRAINT operations_state_check CHECK (state IN ('queued', 'running', 'compensating', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT operations_instance_id_fkey FOREIGN KEY(instance_id) REFERENCES instances (id)
);

CREATE UNIQUE INDEX operations_active_key ON operations (instance_id) WHERE state IN ('running', 'compensating');

CREATE INDEX operations_due_idx ON operations (run_at) WHERE state IN ('running', 'compensating');

CREATE INDEX operations_instance_id_idx ON operations (instance_id);

CREATE UNIQUE INDEX operations_waiting_key ON operations (instance_id) WHERE state = 'queued';

CREATE TABLE secret_copies (
    instance_id UUID NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    account_id UUID NOT NULL,
    sealing_key_id UUID NOT NULL,
    sealed BYTEA NOT NULL,
    CONSTRAINT secret_copies_pkey PRIMARY KEY (instance_id, name, version),
    CONSTRAINT secret_copies_instance_id_fkey FOREIGN KEY(instance_id) REFERENCES instances (id)
);

CREATE TABLE servers (
    id UUID NOT NULL,
    instance_id UUID NOT NULL,
    account_id UUID NOT NULL,
    operation_id UUID NOT NULL,
    provider TEXT NOT NULL,
    region TEXT NOT NULL,
    plan TEXT NOT NULL,
    price_version INTEGER NOT NULL,
    provider_ref TEXT,
    state TEXT DEFAULT 'creating' NOT NULL,
    detail TEXT,
    host TEXT,
    port INTEGER,
    restarts INTEGER DEFAULT 0 NOT NULL,
    memory_bytes BIGINT,
    disk_free_bytes BIGINT,
    observed_at TIMESTAMP WITH TIME ZONE,
    intended_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    accepted_at TIMESTAMP WITH TIME ZONE,
    abandoned_at TIMESTAMP WITH TIME ZONE,
    destroyed_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT servers_pkey PRIMARY KEY (id),
    CONSTRAINT servers_instance_id_fkey FOREIGN KEY(instance_id) REFERENCES instances (id)
);

CREATE UNIQUE INDEX servers_live_key ON servers (instance_id) WHERE destroyed_at IS NULL AND abandoned_at IS NULL;

CREATE TABLE operation_outputs (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    operation_id UUID NOT NULL,
    account_id UUID NOT NULL,
    step TEXT NOT NULL,
    line TEXT NOT NULL,
    written_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT operation_outputs_pkey PRIMARY KEY (id),
    CONSTRAINT operation_outputs_operation_id_fkey FOREIGN KEY(operation_id) REFERENCES operations (id)
);

CREATE INDEX operation_outputs_operation_id_idx ON operation_outputs (operation_id);

CREATE TABLE operation_steps (
    operation_id UUID NOT NULL,
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    state TEXT DEFAULT 'pending' NOT NULL,
    attempts INTEGER DEFAULT 0 NOT NULL,
    call_id UUID,
    call_deadline TIMESTAMP WITH TIME ZONE,
    message TEXT,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT operation_steps_pkey PRIMARY KEY (operation_id, position),
    CONSTRAINT operation_steps_state_check CHECK (state IN ('pending', 'running', 'done', 'failed', 'compensated', 'skipped')),
    CONSTRAINT operation_steps_operation_id_fkey FOREIGN KEY(operation_id) REFERENCES operations (id)
);
