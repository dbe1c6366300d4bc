"""What was ordered at OVH for each server. Expand only."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a table; the web role gets no right to it."""
    op.execute(
        """
        CREATE TABLE ovh_orders (
            server_id UUID NOT NULL,
            labels JSONB NOT NULL,
            memory_mb INTEGER NOT NULL,
            plan TEXT,
            datacenter TEXT,
            cart_id TEXT,
            checkout_at TIMESTAMP WITH TIME ZONE,
            order_id BIGINT,
            service_name TEXT,
            reinstalled_at TIMESTAMP WITH TIME ZONE,
            wiped_at TIMESTAMP WITH TIME ZONE,
            ends_at TIMESTAMP WITH TIME ZONE,
            created_at TIMESTAMP WITH TIME ZONE NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT ovh_orders_pkey PRIMARY KEY (server_id),
            CONSTRAINT ovh_orders_server_id_fkey FOREIGN KEY (server_id) REFERENCES servers (id),
            CONSTRAINT ovh_orders_order_id_key UNIQUE (order_id),
            CONSTRAINT ovh_orders_service_name_key UNIQUE (service_name)
        )
        """
    )
