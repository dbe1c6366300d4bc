"""All tables of the gateway's schema, each marked ``owned`` or ``projection``."""

from clawdeploy_api import owned, projected
from clawdeploy_api.base import Base, metadata

__all__ = ["Base", "metadata", "owned", "projected"]
