"""What an account and its cloud offer and hold, in one vocabulary for all clouds, whoever made it."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from decimal import Decimal

from pydantic import BaseModel


class CloudRegion(BaseModel):
    """A place where servers can stand."""

    id: str
    name: str
    available: bool


class CloudSize(BaseModel):
    """A kind of server; prices are net, in the account's currency, the lowest of its regions."""

    id: str
    vcpus: int
    memory_mb: int
    disk_gb: int
    hourly: Decimal
    monthly: Decimal
    regions: list[str]


class CloudImage(BaseModel):
    """A system a server can be made with."""

    id: str
    name: str


class CloudServer(BaseModel):
    """A server of the account, ours or not, in the cloud's own words."""

    ref: str
    name: str
    status: str
    region: str
    size: str
    host: str | None
    created_at: datetime
    labels: list[str]


class CloudAccountFacts(BaseModel):
    """What the cloud tells of the account; None where it tells nothing."""

    name: str | None
    status: str | None
    server_limit: int | None


class Survey(BaseModel):
    """Everything of one account, as the cloud sees it now."""

    account: CloudAccountFacts
    regions: list[CloudRegion]
    sizes: list[CloudSize]
    images: list[CloudImage]
    servers: list[CloudServer]


Surveyor = Callable[[], Awaitable[Survey]]
