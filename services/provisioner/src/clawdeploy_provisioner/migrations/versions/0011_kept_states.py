"""The state of agents whose server is made anew. Expand only: older code does not know these tables."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add tables; the web role gets no right to them. What is encrypted is not worth compressing."""
    op.execute(
        """
        CREATE TABLE kept_states (
            id UUID NOT NULL,
            instance_id UUID NOT NULL,
            account_id UUID NOT NULL,
            operation_id UUID NOT NULL,
            data_key BYTEA NOT NULL,
            chunks INTEGER,
            bytes BIGINT,
            sha256 TEXT,
            held_by UUID,
            begun_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT now(),
            completed_at TIMESTAMP WITH TIME ZONE,
            CONSTRAINT kept_states_pkey PRIMARY KEY (id),
            CONSTRAINT kept_states_instance_id_key UNIQUE (instance_id),
            CONSTRAINT kept_states_instance_id_fkey FOREIGN KEY (instance_id) REFERENCES instances (id)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE kept_state_chunks (
            state_id UUID NOT NULL,
            number INTEGER NOT NULL,
            sealed BYTEA NOT NULL,
            CONSTRAINT kept_state_chunks_pkey PRIMARY KEY (state_id, number),
            CONSTRAINT kept_state_chunks_state_id_fkey FOREIGN KEY (state_id) REFERENCES kept_states (id) ON DELETE CASCADE
        )
        """
    )
    op.execute("ALTER TABLE kept_state_chunks ALTER COLUMN sealed SET STORAGE EXTERNAL")
