"""How much is measured."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Size:
    """``rounds`` of each side, ``scale`` times the usual amount of work in each."""

    rounds: int = 5
    scale: float = 1.0

    def of(self, usual: int) -> int:
        """An amount of work."""
        return max(1, int(usual * self.scale))
