"""What a schema promises to the code that uses it, and which promises a newer one breaks (expand, then contract)."""

from dataclasses import dataclass

import asyncpg

_COLUMNS = """
    SELECT c.relname || '.' || a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AS required, a.atthasdef OR a.attidentity <> '' AS filled
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0 AND NOT a.attisdropped
"""
_RULES = """
    SELECT conrelid::regclass || ': ' || pg_get_constraintdef(oid) AS rule FROM pg_constraint
    WHERE connamespace = $1::text::regnamespace AND contype IN ('c', 'f', 'x') AND conrelid <> 0
    UNION SELECT indrelid::regclass || ': ' || regexp_replace(pg_get_indexdef(indexrelid), ' INDEX \\S+ ', ' INDEX ') FROM pg_index
    JOIN pg_class c ON c.oid = indexrelid WHERE indisunique AND c.relnamespace = $1::text::regnamespace
    UNION SELECT schemaname || '.' || tablename || ': policy for ' || roles::text || ' ' || coalesce(qual, '') || coalesce(with_check, '')
    FROM pg_policies WHERE schemaname = $1::text
    UNION SELECT oid::regclass || ': row-level security' FROM pg_class WHERE relrowsecurity AND relnamespace = $1::text::regnamespace
"""
_RIGHTS = """
    SELECT g.grantee || ' may ' || g.privilege_type || ' ' || g.table_name || '.' || g.column_name
    FROM information_schema.column_privileges g WHERE g.table_schema = $1::text
    UNION SELECT g.grantee || ' may ' || g.privilege_type || ' ' || g.table_name
    FROM information_schema.table_privileges g WHERE g.table_schema = $1::text
"""


@dataclass(frozen=True, kw_only=True)
class Column:
    """What somebody who writes a row must know of it."""

    type: str
    required: bool
    filled: bool


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """One schema, from PostgreSQL's own catalogue (manual, part VII, "System Catalogs")."""

    columns: dict[str, Column]
    rules: frozenset[str]
    rights: frozenset[str]

    @property
    def tables(self) -> set[str]:
        """The tables and views."""
        return {name.partition(".")[0] for name in self.columns}


async def catalogue_of(connection: "asyncpg.Connection[asyncpg.Record]", *, schema: str) -> Catalogue:
    """Read a schema as the connection sees it now."""
    await connection.execute("SELECT set_config('search_path', '', false)")
    columns = await connection.fetch(_COLUMNS, schema)
    return Catalogue(
        columns={row["name"]: Column(**{key: row[key] for key in Column.__annotations__}) for row in columns},
        rules=frozenset(row[0].replace(f"{schema}.", "") for row in await connection.fetch(_RULES, schema)),
        rights=frozenset(row[0] for row in await connection.fetch(_RIGHTS, schema)),
    )


def broken_promises(old: Catalogue, new: Catalogue) -> list[str]:
    """What code written for the old schema would stumble over on the new one; in words, sorted."""
    return sorted([*_columns_lost(old, new), *_columns_asked_for(old, new), *_rules_added(old, new), *_lost(old, new)])


def _columns_lost(old: Catalogue, new: Catalogue) -> list[str]:
    found: list[str] = []
    for name, column in old.columns.items():
        now = new.columns.get(name)
        if now is None:
            found.append(f"{name} is gone")
        elif now.type != column.type:
            found.append(f"{name} was {column.type} and is {now.type}")
        elif now.required and not column.required:
            found.append(f"{name} must not be empty any more")
        elif now.required and column.filled and not now.filled:
            found.append(f"{name} has no default any more")
    return found


def _columns_asked_for(old: Catalogue, new: Catalogue) -> list[str]:
    """Columns that old code does not know, in tables it writes to."""
    added = {name: new.columns[name] for name in new.columns.keys() - old.columns.keys()}
    return [
        f"{name} must be given"
        for name, column in added.items()
        if column.required and not column.filled and name.partition(".")[0] in old.tables
    ]


def _rules_added(old: Catalogue, new: Catalogue) -> list[str]:
    return [f"a new rule for {rule}" for rule in new.rules - old.rules if rule.partition(":")[0] in old.tables]


def _lost(old: Catalogue, new: Catalogue) -> list[str]:
    """Rights to what is still there."""
    there = new.tables | new.columns.keys()
    return [f"no more: {right}" for right in old.rights - new.rights if right.rpartition(" ")[2] in there]
