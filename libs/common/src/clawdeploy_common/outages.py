"""Telling the database's absence from a caller's fault."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

_QUERY_CANCELED = "57014"  # a statement that ran into its time limit: trying for ever would not help it


def is_outage(error: BaseException) -> bool:
    """Whether an error is the database's absence (or its refusal to write at all) and not the event's fault."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeout | ConnectionError | TimeoutError):
        return True
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated
        or (sqlstate(error)[:2] in {"08", "40", "53", "57", "58"} and sqlstate(error) != _QUERY_CANCELED)
    )


def sqlstate(error: DBAPIError) -> str:
    """The five-character SQLSTATE, empty when the driver gave none (PostgreSQL manual, appendix A)."""
    return str(getattr(error.orig, "sqlstate", None) or "")
