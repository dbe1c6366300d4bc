"""Telling the database's absence from a caller's fault."""

from asyncpg import InterfaceError, InternalClientError, InvalidCachedStatementError, PostgresError

DATABASE_ERRORS = (PostgresError, InterfaceError, InternalClientError)
"""All that a statement raises. The last one: the server's farewell is being read while the next statement is sent."""
_AWAY = frozenset({"08", "40", "53", "57", "58"})
_TRANSACTION_ENDED = frozenset({"25P03", "25P04"})  # it idled, or lasted, too long, and its connection is gone
_QUERY_CANCELED = "57014"  # a statement that ran into its time limit: trying for ever would not help it


def is_outage(error: BaseException) -> bool:
    """Whether an error is the database's absence (or its refusal to write at all) and not the event's fault.

    So is a table that a migration changed under a prepared statement: the driver forgets the statement, and the next try succeeds.
    """
    if isinstance(error, InvalidCachedStatementError):
        return True
    if isinstance(error, PostgresError):
        code = sqlstate(error)
        return (code[:2] in _AWAY or code in _TRANSACTION_ENDED) and code != _QUERY_CANCELED
    if isinstance(error, InterfaceError):
        return not isinstance(error, ValueError)  # the driver's DataError: a value that does not fit its type
    return isinstance(error, InternalClientError | ConnectionError | TimeoutError)


def sqlstate(error: PostgresError) -> str:
    """The five-character SQLSTATE, empty when the server gave none (PostgreSQL manual, appendix A)."""
    return str(getattr(error, "sqlstate", None) or "")
