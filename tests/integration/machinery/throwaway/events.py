"""Events of the throw-away services."""

from clawdeploy_common.events import Event


class Counted(Event, type="machinery.counted.v1", producer="api"):
    """Something was counted; ``poison`` names the handlers that fail on it."""

    amount: int
    poison: str = ""


class Ignored(Event, type="machinery.ignored.v1", producer="api"):
    """Nobody has a handler for it."""

    note: str = ""


class Echoed(Event, type="machinery.echoed.v1", producer="provisioner"):
    """A counted event was reacted to."""

    amount: int
