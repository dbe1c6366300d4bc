"""Tables of the throw-away services: one projection, one owned table."""

from typing import Any

from sqlalchemy import BigInteger, Column, Identity, MetaData, Table, Text, Uuid, text

from clawdeploy_common.feed import add_feed_tables
from clawdeploy_common.tables import OWNED, PROJECTION, add_common_tables

metadata = MetaData()
common = add_common_tables(metadata)
feed_positions, feed = add_feed_tables(metadata)

tallies = Table(
    "tallies",
    metadata,
    Column("key", Uuid, primary_key=True),
    Column("total", BigInteger, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("last_version", BigInteger, nullable=False),
    info=PROJECTION,
)
reactions = Table(
    "reactions",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("key", Uuid, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    info=OWNED,
)
INSERT_REACTION = text("INSERT INTO reactions (key, version, note) VALUES (:key, :version, :note)")

Row = Any
