"""The gateway's tables: the machinery's, and nothing else."""

from sqlalchemy import MetaData

from clawdeploy_common.tables import add_common_tables

metadata = MetaData()
common = add_common_tables(metadata)
