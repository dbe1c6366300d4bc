"""The operator's own machines, and which server of ours has which. Expand only."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table; the web role gets no right to it."""
    op.execute(
        """
        CREATE TABLE own_servers (
            id UUID NOT NULL,
            name TEXT NOT NULL,
            address TEXT NOT NULL,
            ssh_port INTEGER NOT NULL,
            ssh_user TEXT NOT NULL,
            ssh_key BYTEA NOT NULL,
            host_key TEXT,
            region TEXT NOT NULL,
            memory_mb INTEGER,
            state TEXT NOT NULL DEFAULT 'checking',
            reason TEXT,
            check_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
            checked_at TIMESTAMP WITH TIME ZONE,
            server_id UUID,
            claimed_at TIMESTAMP WITH TIME ZONE,
            begun_at TIMESTAMP WITH TIME ZONE,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT own_servers_pkey PRIMARY KEY (id),
            CONSTRAINT own_servers_name_key UNIQUE (name),
            CONSTRAINT own_servers_address_key UNIQUE (address, ssh_port),
            CONSTRAINT own_servers_server_id_key UNIQUE (server_id),
            CONSTRAINT own_servers_server_id_fkey FOREIGN KEY (server_id) REFERENCES servers (id),
            CONSTRAINT own_servers_state_check CHECK (state IN ('checking', 'free', 'unreachable', 'taken', 'releasing')),
            CONSTRAINT own_servers_claim_check CHECK ((server_id IS NOT NULL) = (state IN ('taken', 'releasing')))
        )
        """
    )
