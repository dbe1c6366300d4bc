"""What an account rents and rented: the source of a cloud's bill."""

import sqlite3
from dataclasses import asdict, dataclass
from datetime import datetime

from clawdeploy_emulators.store import stamp


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A net price, in micro-units of the account's currency."""

    hourly_micros: int
    monthly_micros: int


@dataclass(frozen=True, kw_only=True)
class Rental:
    """One thing that is paid for, from a moment until it is given back."""

    server_id: str
    name: str
    item: str
    place: str
    rate: Rate
    since: datetime
    until: datetime | None


class Rentals:
    """Rentals within one transaction; a line is added once and ended once."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def begin(self, rental: Rental) -> None:
        """Add a line."""
        self._connection.execute(
            "INSERT INTO rentals (server_id, name, item, place, hourly_micros, monthly_micros, since, until)"
            " VALUES (:server_id, :name, :item, :place, :hourly_micros, :monthly_micros, :since, :until)",
            {
                **asdict(rental),
                **asdict(rental.rate),
                "rate": None,
                "since": stamp(rental.since),
                "until": None if rental.until is None else stamp(rental.until),
            },
        )

    def end(self, server_id: object, *, at: datetime) -> None:
        """End every open line of a server."""
        self._connection.execute(
            "UPDATE rentals SET until = ? WHERE server_id = ? AND until IS NULL", (stamp(at), str(server_id))
        )

    def all(self) -> list[Rental]:
        """Every line, the oldest first."""
        return [_rental(row) for row in self._connection.execute("SELECT * FROM rentals ORDER BY id")]


def _rental(row: sqlite3.Row) -> Rental:
    return Rental(
        server_id=row["server_id"],
        name=row["name"],
        item=row["item"],
        place=row["place"],
        rate=Rate(hourly_micros=row["hourly_micros"], monthly_micros=row["monthly_micros"]),
        since=datetime.fromisoformat(row["since"]),
        until=datetime.fromisoformat(row["until"]) if row["until"] else None,
    )
