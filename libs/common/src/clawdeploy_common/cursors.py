"""Pages by keyset: an opaque cursor says after which row to go on; no counts, no offsets."""

import base64
import binascii
from typing import Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field

from clawdeploy_common.errors import InvalidInput

T = TypeVar("T")
_MAX_DIGITS = 18


class Page(BaseModel, Generic[T]):
    """One page of a list; ``next_cursor`` is null on the last one."""

    items: list[T]
    next_cursor: str | None = Field(default=None, examples=["AZfx0m1ucL6hT2sVb0k3dA"])


def encode_id(last: UUID) -> str:
    """A cursor after a UUIDv7 row."""
    return base64.urlsafe_b64encode(last.bytes).decode().rstrip("=")


def decode_id(cursor: str | None) -> UUID | None:
    """The row a cursor names; raises InvalidInput for anything this platform did not hand out."""
    if cursor is None:
        return None
    try:
        return UUID(bytes=base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error) as error:
        raise InvalidInput("cursor", "is not a cursor of this list; take next_cursor from the page before") from error


def encode_position(position: int) -> str:
    """A cursor after a feed position."""
    return str(position)


def decode_position(cursor: str | None, *, field: str = "after") -> int:
    """The feed position a cursor names, 0 for none; raises InvalidInput."""
    if cursor is None or cursor == "":
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= _MAX_DIGITS):
        raise InvalidInput(field, "is not a cursor of this feed; take next_cursor from the page before")
    return int(cursor)
