CREATE TABLE accounts (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    plan TEXT NOT NULL,
    role TEXT DEFAULT 'user' NOT NULL,
    plan_instances BIGINT NOT NULL,
    max_instances BIGINT,
    used BIGINT DEFAULT 0 NOT NULL,
    external_id TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT accounts_pkey PRIMARY KEY (id),
    CONSTRAINT accounts_used_check CHECK (used >= 0),
    CONSTRAINT accounts_max_instances_check CHECK (max_instances >= 0),
    CONSTRAINT accounts_role_check CHECK (role IN ('user', 'operator', 'admin')),
    CONSTRAINT accounts_plan_check CHECK (plan IN ('free', 'basic', 'pro', 'enterprise')),
    CONSTRAINT accounts_external_id_key UNIQUE (external_id)
);

CREATE TABLE audit_log (
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    api_key_id UUID NOT NULL,
    action TEXT NOT NULL,
    subject UUID NOT NULL,
    details JSONB NOT NULL,
    address TEXT,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT audit_log_pkey PRIMARY KEY (id)
);

CREATE INDEX audit_log_page_idx ON audit_log (account_id, id);

CREATE TABLE idempotency_keys (
    account_id UUID NOT NULL,
    method TEXT NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash BYTEA NOT NULL,
    status BIGINT NOT NULL,
    location TEXT,
    body BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (account_id, method, route, key)
);

CREATE INDEX idempotency_keys_age_idx ON idempotency_keys (created_at);

CREATE TABLE instance_views (
    instance_id UUID NOT NULL,
    account_id UUID,
    state TEXT DEFAULT 'none' NOT NULL,
    state_version BIGINT DEFAULT 0 NOT NULL,
    state_at TIMESTAMP WITH TIME ZONE,
    reason TEXT,
    server_id UUID,
    provider_ref TEXT,
    server_state TEXT,
    server_detail TEXT,
    endpoint TEXT,
    deployed_at TIMESTAMP WITH TIME ZONE,
    applied_config BIGINT,
    process TEXT,
    channel TEXT,
    health_detail TEXT,
    health_at TIMESTAMP WITH TIME ZONE,
    health_lifecycle_version BIGINT,
    CONSTRAINT instance_views_pkey PRIMARY KEY (instance_id)
);

CREATE TABLE meters (
    id UUID NOT NULL,
    account_id UUID,
    instance_id UUID NOT NULL,
    since TIMESTAMP WITH TIME ZONE,
    cost_micros_per_hour BIGINT DEFAULT 0 NOT NULL,
    charge_micros_per_hour BIGINT DEFAULT 0 NOT NULL,
    price_version BIGINT NOT NULL,
    closed BOOLEAN DEFAULT false NOT NULL,
    seconds BIGINT DEFAULT 0 NOT NULL,
    cost_micros BIGINT DEFAULT 0 NOT NULL,
    charge_micros BIGINT DEFAULT 0 NOT NULL,
    CONSTRAINT meters_pkey PRIMARY KEY (id)
);

CREATE INDEX meters_instance_idx ON meters (account_id, instance_id);

CREATE TABLE operation_steps (
    operation_id UUID NOT NULL,
    name TEXT NOT NULL,
    account_id UUID,
    position BIGINT NOT NULL,
    title TEXT NOT NULL,
    state TEXT DEFAULT 'pending' NOT NULL,
    message TEXT,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT operation_steps_pkey PRIMARY KEY (operation_id, name)
);

CREATE TABLE operations (
    id UUID NOT NULL,
    account_id UUID,
    state TEXT NOT NULL,
    error TEXT,
    started_at TIMESTAMP WITH TIME ZONE,
    finished_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT operations_pkey PRIMARY KEY (id)
);

CREATE TABLE price_books (
    version BIGINT NOT NULL,
    currency TEXT NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE NOT NULL,
    prices JSONB NOT NULL,
    llm_charge_percent BIGINT NOT NULL,
    CONSTRAINT price_books_pkey PRIMARY KEY (version)
);

CREATE UNLOGGED TABLE rate_limits (
    key TEXT NOT NULL,
    tat TIMESTAMP WITH TIME ZONE NOT NULL,
    step INTERVAL NOT NULL,
    span INTERVAL NOT NULL,
    CONSTRAINT rate_limits_pkey PRIMARY KEY (key)
);

CREATE TABLE sealing_keys (
    id UUID NOT NULL,
    public_key TEXT NOT NULL,
    announced_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT sealing_keys_pkey PRIMARY KEY (id)
);

CREATE TABLE usage_totals (
    instance_id UUID NOT NULL,
    price_version BIGINT NOT NULL,
    account_id UUID,
    cost_micros BIGINT NOT NULL,
    charge_micros BIGINT NOT NULL,
    CONSTRAINT usage_totals_pkey PRIMARY KEY (instance_id, price_version)
);

CREATE INDEX usage_totals_account_idx ON usage_totals (account_id);

CREATE TABLE api_keys (
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    key_hash BYTEA NOT NULL,
    label TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT api_keys_pkey PRIMARY KEY (id),
    CONSTRAINT api_keys_account_id_fkey FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT api_keys_key_hash_key UNIQUE (key_hash)
);

CREATE UNIQUE INDEX api_keys_bootstrap_key ON api_keys (label) WHERE label = 'bootstrap';

CREATE INDEX ix_api_keys_account_id ON api_keys (account_id);

CREATE TABLE instances (
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    model TEXT NOT NULL,
    channel TEXT NOT NULL,
    provider TEXT NOT NULL,
    plan TEXT NOT NULL,
    region TEXT NOT NULL,
    desired_status TEXT NOT NULL,
    config_version BIGINT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    destroy_requested_at TIMESTAMP WITH TIME ZONE,
    deleted_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT instances_pkey PRIMARY KEY (id),
    CONSTRAINT instances_desired_status_check CHECK (desired_status IN ('running', 'stopped', 'paused', 'suspended', 'deleted')),
    CONSTRAINT instances_name_check CHECK (length(name) BETWEEN 1 AND 255),
    CONSTRAINT instances_slug_check CHECK (slug ~ '^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$'),
    CONSTRAINT instances_account_id_fkey FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE INDEX instances_page_idx ON instances (account_id, id);

CREATE UNIQUE INDEX instances_slug_key ON instances (account_id, slug) WHERE deleted_at IS NULL;

CREATE TABLE configs (
    instance_id UUID NOT NULL,
    version BIGINT NOT NULL,
    account_id UUID NOT NULL,
    content_hash TEXT NOT NULL,
    config JSONB NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT configs_pkey PRIMARY KEY (instance_id, version),
    CONSTRAINT configs_version_check CHECK (version >= 1),
    CONSTRAINT configs_instance_id_fkey FOREIGN KEY(instance_id) REFERENCES instances (id)
);

CREATE TABLE operation_requests (
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    instance_id UUID NOT NULL,
    kind TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
    cancel_requested_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT operation_requests_pkey PRIMARY KEY (id),
    CONSTRAINT operation_requests_kind_check CHECK (kind IN ('deploy', 'redeploy', 'start', 'stop', 'restart', 'pause', 'resume', 'suspend', 'unsuspend', 'apply_config', 'destroy')),
    CONSTRAINT operation_requests_requested_by_check CHECK (requested_by IN ('person', 'platform')),
    CONSTRAINT operation_requests_instance_id_fkey FOREIGN KEY(instance_id) REFERENCES instances (id)
);

CREATE INDEX operation_requests_instance_idx ON operation_requests (instance_id, id);

CREATE INDEX operation_requests_page_idx ON operation_requests (account_id, id);

CREATE TABLE secrets (
    instance_id UUID NOT NULL,
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    account_id UUID NOT NULL,
    sealing_key_id UUID NOT NULL,
    sealed BYTEA NOT NULL,
    sealed_hash TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT secrets_pkey PRIMARY KEY (instance_id, name, version),
    CONSTRAINT secrets_version_check CHECK (version >= 1),
    CONSTRAINT secrets_instance_id_fkey FOREIGN KEY(instance_id) REFERENCES instances (id)
);
