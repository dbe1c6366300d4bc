"""Events in, read models out: what the four topics tell becomes what people see."""

from clawdeploy_api import billing_projectors, lifecycle_projectors
from clawdeploy_api.projecting import projectors

__all__ = ["billing_projectors", "lifecycle_projectors", "projectors"]
