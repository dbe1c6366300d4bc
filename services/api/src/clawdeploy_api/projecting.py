"""The gateway's one registry of projectors."""

from clawdeploy_common.handlers import Projectors

projectors = Projectors()
