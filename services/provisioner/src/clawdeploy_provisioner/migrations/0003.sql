CREATE TABLE server_agents (
    id UUID NOT NULL,
    instance_id UUID NOT NULL,
    account_id UUID NOT NULL,
    ssh_key BYTEA,
    credential_hash BYTEA,
    registered_at TIMESTAMP WITH TIME ZONE,
    revoked_at TIMESTAMP WITH TIME ZONE,
    wanted TEXT DEFAULT 'stopped' NOT NULL,
    generation INTEGER DEFAULT 0 NOT NULL,
    configuration_id UUID,
    heartbeat_at TIMESTAMP WITH TIME ZONE,
    heartbeat JSONB,
    CONSTRAINT server_agents_pkey PRIMARY KEY (id),
    CONSTRAINT server_agents_id_fkey FOREIGN KEY (id) REFERENCES servers (id),
    CONSTRAINT server_agents_wanted_check CHECK (wanted IN ('running', 'stopped'))
);

CREATE UNIQUE INDEX server_agents_credential_key ON server_agents (credential_hash);

CREATE TABLE agent_tokens (
    hash BYTEA NOT NULL,
    server_id UUID NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT agent_tokens_pkey PRIMARY KEY (hash),
    CONSTRAINT agent_tokens_server_id_fkey FOREIGN KEY (server_id) REFERENCES server_agents (id)
);

CREATE INDEX agent_tokens_server_id_idx ON agent_tokens (server_id);

CREATE TABLE agent_configurations (
    id UUID NOT NULL,
    server_id UUID NOT NULL,
    instance_id UUID NOT NULL,
    version INTEGER NOT NULL,
    digest BYTEA NOT NULL,
    content BYTEA NOT NULL,
    result TEXT,
    issues JSONB,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT clock_timestamp() NOT NULL,
    acknowledged_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT agent_configurations_pkey PRIMARY KEY (id),
    CONSTRAINT agent_configurations_server_id_fkey FOREIGN KEY (server_id) REFERENCES server_agents (id),
    CONSTRAINT agent_configurations_result_check CHECK (result IN ('applied', 'rejected', 'rolled_back'))
);

CREATE INDEX agent_configurations_server_id_idx ON agent_configurations (server_id);

CREATE TABLE rate_budgets (
    name TEXT NOT NULL,
    remaining INTEGER NOT NULL,
    closed_until TIMESTAMP WITH TIME ZONE,
    refilled_at TIMESTAMP WITH TIME ZONE NOT NULL,
    calls BIGINT DEFAULT 0 NOT NULL,
    CONSTRAINT rate_budgets_pkey PRIMARY KEY (name)
);
