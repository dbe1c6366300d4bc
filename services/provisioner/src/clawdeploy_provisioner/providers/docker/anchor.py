"""Names and labels of a server's things, and its anchor: the volume with its state, whose labels say what the server is.

::

    volume     clawdeploy-<server id>          state: survives stop and start, and a container that somebody removed
    volume     clawdeploy-<server id>-secrets  what the gateway is given and what we remember, see record.py
    network    clawdeploy-<server id>          a bridge of its own
    container  clawdeploy-<instance id>        can be made again from the others
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from uuid import UUID

from clawdeploy_provisioner.providers.protocol import ServerSpec

SERVER, PLATFORM, PORT, ROLE = "clawdeploy.server", "clawdeploy.home", "clawdeploy.port", "clawdeploy.role"
_INSTANCE, _ACCOUNT, _OPERATION = "clawdeploy.instance", "clawdeploy.account", "clawdeploy.operation"
_SUBNET, _GATEWAY = "clawdeploy.subnet", "clawdeploy.gateway"
_MEMORY, _CPU, _CREATED = "clawdeploy.memory_mb", "clawdeploy.cpu_millis", "clawdeploy.created_at"
CELL_ROLE, TASK_ROLE = "cell", "task"


@dataclass(frozen=True, kw_only=True)
class Network:
    """The cell's own network; the agent's configuration names its gateway, so one that is lost is made again just so."""

    subnet: str
    gateway: str


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """What a server was asked to be; it cannot change. Only a network that is being made has none yet."""

    server_id: UUID
    instance_id: UUID
    account_id: UUID
    operation_id: UUID
    platform: str
    memory_mb: int
    cpu_millis: int
    port: int
    created_at: datetime
    network: Network | None = None

    @classmethod
    def of(cls, spec: ServerSpec, *, platform: str, port: int) -> Self:
        """The anchor of a new server."""
        return cls(
            server_id=spec.server_id,
            instance_id=spec.instance_id,
            account_id=spec.account_id,
            operation_id=spec.operation_id,
            platform=platform,
            memory_mb=spec.memory_mb,
            cpu_millis=spec.cpu_millis,
            port=port,
            created_at=datetime.now(UTC),
        )

    @classmethod
    def read(cls, labels: Mapping[str, str]) -> Self:
        """From labels; raises KeyError or ValueError when they are not ours."""
        return cls(
            server_id=UUID(labels[SERVER]),
            instance_id=UUID(labels[_INSTANCE]),
            account_id=UUID(labels[_ACCOUNT]),
            operation_id=UUID(labels[_OPERATION]),
            platform=labels[PLATFORM],
            memory_mb=int(labels[_MEMORY]),
            cpu_millis=int(labels[_CPU]),
            port=int(labels[PORT]),
            created_at=datetime.fromisoformat(labels[_CREATED]),
            network=Network(subnet=labels[_SUBNET], gateway=labels[_GATEWAY]) if _SUBNET in labels else None,
        )

    def labels(self, *, role: str = CELL_ROLE, port: int | None = None) -> dict[str, str]:
        """What every thing of the server carries."""
        network = {} if self.network is None else {_SUBNET: self.network.subnet, _GATEWAY: self.network.gateway}
        return network | {
            SERVER: str(self.server_id),
            _INSTANCE: str(self.instance_id),
            _ACCOUNT: str(self.account_id),
            _OPERATION: str(self.operation_id),
            PLATFORM: self.platform,
            ROLE: role,
            _MEMORY: str(self.memory_mb),
            _CPU: str(self.cpu_millis),
            PORT: str(port or self.port),
            _CREATED: self.created_at.isoformat(),
        }

    @property
    def container(self) -> str:
        """The container's name."""
        return f"clawdeploy-{self.instance_id}"

    @property
    def bridge(self) -> str:
        """The network's name."""
        return state_volume(self.server_id)

    @property
    def gateway(self) -> str:
        """The address the platform's calls come from, and that the cell reaches this machine by."""
        if self.network is None:
            raise ValueError(f"server {self.server_id} has no network yet")
        return self.network.gateway

    @property
    def state(self) -> str:
        """The name of the volume with the agent's state."""
        return state_volume(self.server_id)

    @property
    def secrets(self) -> str:
        """The name of the volume with its secrets."""
        return secrets_volume(self.server_id)


def state_volume(server_id: UUID) -> str:
    """The anchor's name; the network has the same."""
    return f"clawdeploy-{server_id}"


def secrets_volume(server_id: UUID) -> str:
    """The other volume's name."""
    return f"clawdeploy-{server_id}-secrets"
