"""Identifiers: UUIDv7 (RFC 9562 §5.7), so that ids sort by creation time."""

from uuid import NAMESPACE_URL, UUID, uuid5

from uuid_utils import compat


def new_id() -> UUID:
    """A new UUIDv7, monotonic within the process."""
    return compat.uuid7()


def named_id(name: str) -> UUID:
    """The id of something that only has a name, such as a resource found at a provider; a name always gives the same id."""
    return uuid5(NAMESPACE_URL, name)
