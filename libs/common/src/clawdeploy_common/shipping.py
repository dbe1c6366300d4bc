"""Rows of the outbox as Kafka batches: one per partition, so that many events cost one acknowledgement.

A key's events share a partition, chosen as Kafka's own clients do (murmur2 of the key), and a batch is stored whole or not at all; so
order per key holds, and what lies behind a failed batch of its partition counts as not sent.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from aiokafka.partitioner import murmur2  # pyright: ignore[reportUnknownVariableType] - aiokafka ships no types

from clawdeploy_common.events import Envelope

MAX_BATCH_BYTES = 512 * 1024
"""More than the largest event with its headers, less than what Kafka takes at once (1 MiB)."""
_POSITIVE = 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Parcel:
    """Rows that travel together."""

    partition: int
    batch: Any
    rows: list[Any]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A run of offsets Kafka confirmed; ``first`` is -1 for a retried batch that it had: stored, but it no longer says where."""

    partition: int
    first: int
    count: int

    @property
    def last(self) -> int:
        """The highest of them."""
        return self.first + self.count - 1


@dataclass(frozen=True, slots=True)
class Shipped:
    """What came of a shipment: the rows Kafka has, where, and the first failure."""

    rows: list[Any]
    acknowledged: list[Acknowledged]
    failure: BaseException | None


def pack(
    rows: Sequence[Any],
    partitions: Sequence[int],
    *,
    envelope: Callable[[Any], Envelope],
    new_batch: Callable[[], Any],
) -> list[Parcel]:
    """Fill batches in the order of the rows; a full one is followed by another of its partition."""
    parcels: list[Parcel] = []
    filling: dict[int, Parcel] = {}
    for row in rows:
        made = envelope(row)
        partition = partitions[_hash(made.key) % len(partitions)]
        parcel = filling.get(partition)
        if parcel is None or not _append(parcel, made):
            parcel = filling[partition] = Parcel(partition, new_batch(), [])
            parcels.append(parcel)
            if not _append(parcel, made):
                raise ValueError(f"event {made.id} does not fit into a batch")
        parcel.rows.append(row)
    return parcels


def _append(parcel: Parcel, made: Envelope) -> bool:
    key, headers = str(made.key).encode(), made.headers()
    return parcel.batch.append(timestamp=None, key=key, value=made.data, headers=headers) is not None


def unpack(parcels: Sequence[Parcel], results: Sequence[Any]) -> Shipped:
    """Sort out what was acknowledged; behind a failure nothing of its partition counts."""
    failed: dict[int, BaseException] = {}
    rows: list[Any] = []
    acknowledged: list[Acknowledged] = []
    for parcel, result in zip(parcels, results, strict=True):
        if isinstance(result, BaseException):
            failed.setdefault(parcel.partition, result)
        elif parcel.partition not in failed:
            rows += parcel.rows
            acknowledged.append(Acknowledged(parcel.partition, result.offset, len(parcel.rows)))
    return Shipped(rows, acknowledged, next(iter(failed.values()), None))


def highest(acknowledged: Sequence[Acknowledged], *, above: Mapping[int, int]) -> dict[int, int] | None:
    """The highest offset per partition; None when one is not ``above`` what was known: the log lost its tail."""
    found: dict[int, int] = {}
    for each in acknowledged:
        if each.first < 0:
            continue
        if each.first <= above.get(each.partition, -1):
            return None
        found[each.partition] = max(each.last, found.get(each.partition, -1))
    return found


@lru_cache(maxsize=65_536)
def _hash(key: UUID) -> int:
    hashed: Any = murmur2(str(key).encode())
    return hashed & _POSITIVE
