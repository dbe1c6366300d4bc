"""One transaction of a stand-in, and everything a call does within it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Network
from typing import Any, TypeVar

from clawdeploy_emulators.cloud.actions import Action, Actions
from clawdeploy_emulators.cloud.documents import Document, Documents
from clawdeploy_emulators.cloud.machines import FirstBoot, Order, Verb
from clawdeploy_emulators.cloud.rentals import Rentals
from clawdeploy_emulators.faults import FaultKind

T = TypeVar("T")
SOLD_OUT = "sold_out"


@dataclass(frozen=True, kw_only=True)
class Work:
    """What one call reads and writes; machine orders go out when it is committed."""

    documents: Documents
    actions: Actions
    rentals: Rentals
    addresses: IPv4Network
    now: datetime
    fault: FaultKind | None
    orders: list[Order] = field(default_factory=list[Order])

    def begin(
        self,
        command: str,
        *,
        of: tuple[str, object],
        after: Action | None = None,
        length: timedelta | None = None,
        **details: Any,
    ) -> Action:
        """Begin an action under a fresh number."""
        number = self.documents.next_id()
        return self.actions.begin(command, of=of, id_=number, after=after, length=length, **details)

    def order(self, verb: Verb, server: Document, *, memory_mb: int) -> None:
        """Have something done with a server's machine, which has so much memory."""
        self.orders.append(Order(server_id=str(server["id"]), verb=verb, first=self._first_boot(server, memory_mb)))

    def _first_boot(self, server: Document, memory_mb: int) -> FirstBoot:
        return FirstBoot(
            user_data=server.get("user_data") or "",
            address=server["ipv4"] or "",
            hostname=server.get("name") or str(server["id"]),
            public_keys=tuple(self._public_keys(server)),
            memory_mb=memory_mb,
        )

    def _public_keys(self, server: Document) -> list[str]:
        """Of a server's own, or of the account's those it names and that are there."""
        if server.get("public_key"):
            return [server["public_key"]]
        named: list[int] = server.get("keys") or []
        known = [self.documents.find("ssh_key", number) for number in named]
        return [key["public_key"] for key in known if key is not None]

    def seen(self, items: list[T]) -> list[T]:
        """A listing as the caller gets to see it, with the fault that strikes this call."""
        match self.fault:
            case FaultKind.LISTING_EMPTY:
                return []
            case FaultKind.LISTING_SHORT:
                return items[: len(items) // 2]
            case _:
                return items

    def sold_out(self, *, plan: str, place: str) -> bool:
        """Whether a plan cannot be ordered at a place at present; `*` stands for every plan."""
        return any(entry["place"] == place and entry["plan"] in {plan, "*"} for entry in self.documents.all(SOLD_OUT))

    def free_address(self, kind: str) -> str:
        """An address that no server of this kind has, and that was not just given back."""
        taken = {document["ipv4"] for document in self.documents.all(kind)}
        while True:
            number = 2 + self.documents.next_id() % (self.addresses.num_addresses - 3)
            address = str(self.addresses[number])
            if address not in taken:
                return address
