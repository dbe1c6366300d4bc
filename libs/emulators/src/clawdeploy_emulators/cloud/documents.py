"""The resources of an account as JSON documents, by kind and id."""

import json
import sqlite3
from typing import Any

Document = dict[str, Any]


class Documents:
    """Documents within one transaction. Each holds its own `id`."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def next_id(self) -> int:
        """A number that no resource of this account ever had."""
        row = self._connection.execute("UPDATE sequence SET last = last + 1 RETURNING last").fetchone()
        number: int = row[0]
        return number

    def add(self, kind: str, document: Document) -> None:
        """Store a new document."""
        self._connection.execute(
            "INSERT INTO documents (kind, id, body) VALUES (?, ?, ?)", (kind, str(document["id"]), json.dumps(document))
        )

    def find(self, kind: str, id_: object) -> Document | None:
        """The document with this id."""
        row = self._connection.execute(
            "SELECT body FROM documents WHERE kind = ? AND id = ?", (kind, str(id_))
        ).fetchone()
        return None if row is None else json.loads(row[0])

    def all(self, kind: str) -> list[Document]:
        """Every document of a kind, the oldest first."""
        rows = self._connection.execute("SELECT body FROM documents WHERE kind = ? ORDER BY position", (kind,))
        return [json.loads(row[0]) for row in rows]

    def put(self, kind: str, document: Document) -> None:
        """Store a changed document; one that was removed meanwhile stays removed."""
        self._connection.execute(
            "UPDATE documents SET body = ? WHERE kind = ? AND id = ?", (json.dumps(document), kind, str(document["id"]))
        )

    def change(self, kind: str, id_: object, **values: Any) -> None:
        """Set some of a document's values, if it is still there."""
        document = self.find(kind, id_)
        if document is not None:
            self.put(kind, {**document, **values})

    def remove(self, kind: str, id_: object) -> None:
        """Forget a document."""
        self._connection.execute("DELETE FROM documents WHERE kind = ? AND id = ?", (kind, str(id_)))
