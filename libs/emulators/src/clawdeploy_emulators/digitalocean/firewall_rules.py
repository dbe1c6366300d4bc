"""Rules of a firewall: what may come in, and what may go out."""

from typing import Any, Literal

from pydantic import BaseModel, model_validator

PORTLESS = "0"  # what the API prints for all ports, and for ICMP


class Ends(BaseModel):
    """The other side of a rule."""

    addresses: list[str] | None = None
    droplet_ids: list[int] | None = None
    load_balancer_uids: list[str] | None = None
    kubernetes_ids: list[str] | None = None
    tags: list[str] | None = None


class Rule(BaseModel):
    """Protocol and ports; TCP and UDP name ports, `0` or `all` being every one."""

    protocol: Literal["tcp", "udp", "icmp"]
    ports: str | None = None

    @model_validator(mode="after")
    def _ports_where_they_belong(self) -> "Rule":
        if self.protocol != "icmp" and not self.ports:
            raise ValueError("ports are needed")
        return self

    def published(self) -> dict[str, Any]:
        """The rule as the API gives it."""
        given = self.model_dump(exclude_none=True)
        return {**given, "ports": PORTLESS if self.ports in {None, "all"} else self.ports}


class Inbound(Rule):
    """What may come in, and from where."""

    sources: Ends


class Outbound(Rule):
    """What may go out, and where to."""

    destinations: Ends
