CREATE TABLE account_feed (
    account_id UUID NOT NULL,
    position BIGINT NOT NULL,
    event_id UUID NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    key UUID NOT NULL,
    version BIGINT NOT NULL,
    time TIMESTAMP WITH TIME ZONE NOT NULL,
    correlation_id UUID,
    internal BOOLEAN NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (account_id, position),
    UNIQUE (event_id)
);

CREATE INDEX ix_account_feed_key ON account_feed (key);

CREATE TABLE account_feed_positions (
    account_id UUID NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (account_id)
);
