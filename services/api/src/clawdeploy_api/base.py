"""The gateway's metadata and declarative base; the tables themselves are in ``owned`` and ``projected``."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from clawdeploy_common.feed import add_feed_tables
from clawdeploy_common.tables import add_common_tables

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_name)s_key",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)
add_common_tables(metadata)
add_feed_tables(metadata)


class Base(DeclarativeBase):
    """Declarative base of the gateway."""

    metadata = metadata
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        datetime: DateTime(timezone=True),
        UUID: Uuid,
        str: Text,
        int: BigInteger,
        bytes: LargeBinary,
        dict[str, Any]: JSONB,
        list[Any]: JSONB,
    }
