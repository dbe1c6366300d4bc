"""The declarative base of the provisioner's tables."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, Integer, LargeBinary, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase

from clawdeploy_common.tables import add_common_tables

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "ix": "%(table_name)s_%(column_0_name)s_idx",
        "uq": "%(table_name)s_%(column_0_name)s_key",
    }
)
common = add_common_tables(metadata)


class Base(DeclarativeBase):
    """Declarative base of the provisioner."""

    metadata = metadata
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's own protocol
        datetime: DateTime(timezone=True),
        UUID: Uuid,
        str: Text,
        dict[str, Any]: JSONB,
        bytes: LargeBinary,
        int: Integer,
    }
