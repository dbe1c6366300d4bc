"""The monitor projects nothing: a watch holds what only the monitor knows (see ``models``), so a replay has nothing to rebuild."""

from clawdeploy_common.handlers import Projectors

projectors = Projectors()
