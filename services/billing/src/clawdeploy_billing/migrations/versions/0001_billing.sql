CREATE TABLE price_books (
    version INTEGER NOT NULL,
    valid_from TIMESTAMP WITH TIME ZONE NOT NULL,
    currency TEXT NOT NULL,
    prices JSONB NOT NULL,
    llm_charge_percent INTEGER NOT NULL,
    event_id UUID NOT NULL,
    PRIMARY KEY (version)
);

CREATE TABLE instances (
    id UUID NOT NULL,
    account_id UUID NOT NULL,
    destroy_requested_at TIMESTAMP WITH TIME ZONE,
    destroy_event_id UUID,
    PRIMARY KEY (id)
);

CREATE TABLE servers (
    id UUID NOT NULL,
    instance_id UUID NOT NULL REFERENCES instances (id),
    account_id UUID NOT NULL,
    operation_id UUID NOT NULL,
    provider TEXT NOT NULL,
    plan TEXT NOT NULL,
    price_version INTEGER NOT NULL,
    accepted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    accepted_event_id UUID NOT NULL,
    outcome TEXT,
    outcome_event_id UUID,
    destroyed_at TIMESTAMP WITH TIME ZONE,
    destroyed_event_id UUID,
    PRIMARY KEY (id),
    CONSTRAINT servers_outcome_check CHECK (outcome IN ('succeeded', 'failed', 'cancelled'))
);

CREATE INDEX ix_servers_instance_id ON servers (instance_id);

CREATE INDEX servers_open_idx ON servers (id) WHERE destroyed_at IS NULL;

CREATE TABLE server_meters (
    id UUID NOT NULL,
    server_id UUID NOT NULL REFERENCES servers (id),
    instance_id UUID NOT NULL,
    account_id UUID NOT NULL,
    since TIMESTAMP WITH TIME ZONE NOT NULL,
    until TIMESTAMP WITH TIME ZONE,
    price_version INTEGER NOT NULL,
    cost_micros_per_hour BIGINT NOT NULL,
    charge_micros_per_hour BIGINT NOT NULL,
    seconds BIGINT DEFAULT 0 NOT NULL,
    cost_seconds BIGINT DEFAULT 0 NOT NULL,
    cost_micros BIGINT DEFAULT 0 NOT NULL,
    charge_seconds BIGINT DEFAULT 0 NOT NULL,
    charge_micros BIGINT DEFAULT 0 NOT NULL,
    lines INTEGER DEFAULT 0 NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT server_meters_since_key UNIQUE (server_id, since),
    CONSTRAINT server_meters_until_check CHECK (until >= since),
    CONSTRAINT server_meters_seconds_check CHECK (charge_seconds BETWEEN 0 AND seconds)
);

CREATE TABLE llm_keys (
    key_hash TEXT NOT NULL,
    meter_id UUID NOT NULL,
    instance_id UUID NOT NULL,
    account_id UUID NOT NULL,
    price_version INTEGER NOT NULL,
    minted_at TIMESTAMP WITH TIME ZONE NOT NULL,
    minted_event_id UUID NOT NULL,
    revoked_at TIMESTAMP WITH TIME ZONE,
    revoked_event_id UUID,
    highest_micros BIGINT DEFAULT 0 NOT NULL,
    anomaly_micros BIGINT,
    lines INTEGER DEFAULT 0 NOT NULL,
    last_read_at TIMESTAMP WITH TIME ZONE,
    last_usage_at TIMESTAMP WITH TIME ZONE,
    next_read_at TIMESTAMP WITH TIME ZONE NOT NULL,
    lease_token BIGINT DEFAULT 0 NOT NULL,
    lease_until TIMESTAMP WITH TIME ZONE,
    closed_at TIMESTAMP WITH TIME ZONE,
    closed_reason TEXT,
    PRIMARY KEY (key_hash),
    UNIQUE (meter_id),
    CONSTRAINT llm_keys_highest_check CHECK (highest_micros >= 0),
    CONSTRAINT llm_keys_closed_reason_check CHECK (closed_reason IN ('read', 'deleted'))
);

CREATE INDEX llm_keys_due_idx ON llm_keys (next_read_at) WHERE closed_at IS NULL;

CREATE TABLE ledger_lines (
    id BIGINT GENERATED ALWAYS AS IDENTITY,
    account_id UUID NOT NULL,
    instance_id UUID NOT NULL,
    meter_id UUID NOT NULL,
    meter_kind TEXT NOT NULL,
    book TEXT NOT NULL,
    number INTEGER NOT NULL,
    kind TEXT NOT NULL,
    quantity BIGINT NOT NULL,
    unit TEXT NOT NULL,
    micros BIGINT NOT NULL,
    currency TEXT NOT NULL,
    price_version INTEGER NOT NULL,
    period_start TIMESTAMP WITH TIME ZONE NOT NULL,
    period_end TIMESTAMP WITH TIME ZONE NOT NULL,
    event_ids UUID[] NOT NULL,
    booked_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT ledger_lines_number_key UNIQUE (meter_id, book, number),
    CONSTRAINT ledger_lines_meter_kind_check CHECK (meter_kind IN ('server', 'llm_key')),
    CONSTRAINT ledger_lines_book_check CHECK (book IN ('cost', 'charge')),
    CONSTRAINT ledger_lines_kind_check CHECK (kind IN ('usage', 'adjustment')),
    CONSTRAINT ledger_lines_unit_check CHECK (unit IN ('second', 'usd_micro')),
    CONSTRAINT ledger_lines_events_check CHECK (cardinality(event_ids) > 0),
    CONSTRAINT ledger_lines_period_check CHECK (period_end >= period_start)
);

CREATE INDEX ledger_lines_account_idx ON ledger_lines (account_id, instance_id);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;

CREATE TRIGGER ledger_lines_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_lines
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TRIGGER price_books_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON price_books
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
