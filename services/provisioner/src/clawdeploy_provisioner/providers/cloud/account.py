"""An account at a cloud: what a provider asks of it, whichever cloud it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from clawdeploy_provisioner.on_server.user_data import FirstStart
from clawdeploy_provisioner.providers.protocol import Belonging, ServerSpec, ServerState

SERVER_LABEL, INSTANCE_LABEL, PLATFORM_LABEL = "clawdeploy.server", "clawdeploy.instance", "clawdeploy.platform"
ANYWHERE = ["0.0.0.0/0", "::/0"]
"""Every address there is: where what a firewall lets in may come from."""


def name_of(server_id: UUID) -> str:
    """The deterministic name of a server and of what belongs to it."""
    return f"clawdeploy-{server_id}"


def server_id_in(labels: Mapping[str, Any]) -> UUID | None:
    """Which server something is or belongs to; None for what a person labelled half-way, which is not touched."""
    try:
        return UUID(labels[SERVER_LABEL])
    except (KeyError, ValueError):
        return None


def labels_of(spec: ServerSpec, *, platform: str) -> dict[str, Any]:
    """What says whose a server is, and whose all that belongs to it (law 7)."""
    return {
        PLATFORM_LABEL: platform,
        SERVER_LABEL: str(spec.server_id),
        INSTANCE_LABEL: str(spec.instance_id),
        "clawdeploy.operation": str(spec.operation_id),
        "clawdeploy.account": str(spec.account_id),
    }


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A server of ours as the cloud's API shows it: ``ref`` is the cloud's id, ``host`` its public IPv4 address once it has one."""

    server_id: UUID
    instance_id: UUID | None
    ref: str
    state: ServerState
    host: str | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is ordered: the server wanted, the key that opens it, and what it is told at its first start."""

    spec: ServerSpec
    public_key: str
    start: FirstStart = field(repr=False)


class CloudAccount(Protocol):
    """Looks and changes. What is not there any more is no error; every change is followed to its end."""

    keeps_user_data: bool
    """Whether a server that is rebuilt is given its first user data again, since the cloud takes no other."""

    async def order(self, order: Order) -> Machine:
        """The server with its key and its firewall, each by a name of its own; one that is there already is taken.

        Raises:
            NothingFits: no type is large enough and within the price limit; then nothing was made.
            ProviderUnavailable: sold out everywhere near, or no answer.
        """
        ...

    async def servers(self, *, fresh: bool = False) -> list[Machine]:
        """Every server that carries this platform's label; all of them, or an error."""
        ...

    async def server(self, server_id: UUID) -> Machine | None:
        """One server by its label, asked now."""
        ...

    async def power_on(self, machine: Machine) -> None:
        """Switch it on."""
        ...

    async def power_off(self, machine: Machine) -> None:
        """Switch it off, hard."""
        ...

    async def reset(self, machine: Machine) -> None:
        """Restart it, hard; not followed."""
        ...

    async def rebuild(self, machine: Machine, start: FirstStart | None) -> None:
        """An empty disk with the chosen system; number, address, key and firewall stay. ``start`` is what it is told at its first
        start, None where the cloud keeps the first user data. Followed to its end.
        """
        ...

    async def remove(self, server_id: UUID) -> None:
        """The server, then what belonged to it; confirmed by looking again.

        Raises:
            ProviderUnavailable: something of it is still there.
        """
        ...

    async def holds(self, ref: str) -> bool:
        """Whether it has the server of this number: looked up directly, not in a listing."""
        ...

    async def trouble(self, ref: str) -> str | None:
        """Why a server that is off did not come up, when the cloud says that making it failed."""
        ...

    async def belongings(self) -> list[Belonging]:
        """The keys, firewalls and the like that carry this platform's label; servers are not among them."""
        ...

    async def give_back(self, belonging: Belonging) -> None:
        """Remove exactly this, a server too; followed to its end.

        Raises:
            ProviderUnavailable: it is still in use.
        """
        ...

    def forget(self) -> None:
        """After a change of ours the last listing is old."""
        ...
