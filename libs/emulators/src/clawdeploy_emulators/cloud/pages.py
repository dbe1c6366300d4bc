"""A listing cut into pages; how a page names its neighbours is each cloud's own."""

from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Page(Generic[T]):
    """One page of a listing; pages count from 1."""

    items: list[T]
    number: int
    size: int
    total: int

    @property
    def last(self) -> int:
        """The last page, 1 when there is nothing."""
        return max(1, -(-self.total // self.size))

    @property
    def previous(self) -> int | None:
        """The page before."""
        return self.number - 1 if self.number > 1 else None

    @property
    def following(self) -> int | None:
        """The page after."""
        return self.number + 1 if self.number < self.last else None


def page_of(items: list[T], *, number: int, size: int) -> Page[T]:
    """Cut one page out of everything."""
    start = (number - 1) * size
    return Page(items=items[start : start + size], number=number, size=size, total=len(items))
