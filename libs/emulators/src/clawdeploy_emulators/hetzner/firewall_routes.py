"""/firewalls: rules for servers, applied by number or by label."""

from typing import Any, Literal

from fastapi import APIRouter, status
from pydantic import BaseModel, Field

from clawdeploy_emulators.cloud.context import InWork
from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.refusals import Refusal
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.hetzner.context import InSettings, moment, published_action
from clawdeploy_emulators.hetzner.errors import invalid_input, limit_exceeded, not_unique
from clawdeploy_emulators.hetzner.firewalls import KIND, applied_servers, known_firewall, published_firewall
from clawdeploy_emulators.hetzner.labels import ValidLabels, selects
from clawdeploy_emulators.hetzner.listing import Asked

router = APIRouter(prefix="/firewalls")
Json = dict[str, Any]
RULES = 50


class Rule(BaseModel):
    """One rule; inbound ones name sources, outbound ones destinations, TCP and UDP ones a port."""

    direction: Literal["in", "out"]
    protocol: Literal["tcp", "udp", "icmp", "esp", "gre"]
    port: str | None = None
    source_ips: list[str] = []
    destination_ips: list[str] = []
    description: str | None = Field(default=None, max_length=255)


class ServerTarget(BaseModel):
    """A server by its number."""

    id: int


class Selector(BaseModel):
    """Servers by their labels."""

    selector: str = Field(min_length=1)


class Target(BaseModel):
    """What a firewall is applied to."""

    type: Literal["server", "label_selector"]
    server: ServerTarget | None = None
    label_selector: Selector | None = None


class NewFirewall(BaseModel):
    """A firewall to make."""

    name: str = Field(min_length=1, max_length=128)
    labels: ValidLabels = {}
    rules: list[Rule] = Field(default=[], max_length=RULES)
    apply_to: list[Target] = []


class FirewallChange(BaseModel):
    """What of a firewall is changed."""

    name: str | None = Field(default=None, min_length=1, max_length=128)
    labels: ValidLabels | None = None


class Rules(BaseModel):
    """Rules that replace what there is."""

    rules: list[Rule] = Field(max_length=RULES)


class Application(BaseModel):
    """Targets to apply a firewall to."""

    apply_to: list[Target] = Field(min_length=1)


class Removal(BaseModel):
    """Targets to take a firewall from."""

    remove_from: list[Target] = Field(min_length=1)


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_firewall(new: NewFirewall, work: InWork, settings: InSettings) -> Json:
    """Make a firewall; one without an inbound rule lets nothing in."""
    existing = work.documents.all(KIND)
    if any(firewall["name"] == new.name for firewall in existing):
        raise not_unique("firewall", "name")
    if len(existing) >= settings.firewall_limit:
        raise limit_exceeded("firewall_limit")
    firewall: Document = {
        "id": work.documents.next_id(),
        "name": new.name,
        "labels": new.labels,
        "created": moment(work.now),
        "rules": _rules(new.rules),
        "applied_to": _targets(new.apply_to, work),
    }
    work.documents.add(KIND, firewall)
    begun = ["set_firewall_rules", *["apply_firewall"] * len(new.apply_to)]
    return {"firewall": published_firewall(firewall, work), "actions": _begin(work, firewall, begun)}


@router.get("")
async def list_firewalls(asked: Asked, work: InWork) -> Json:
    """The firewalls of the project."""
    return asked.answer("firewalls", work.seen([published_firewall(each, work) for each in work.documents.all(KIND)]))


@router.get("/{firewall_id}")
async def get_firewall(firewall_id: int, work: InWork) -> Json:
    """One firewall."""
    return {"firewall": published_firewall(known_firewall(work, firewall_id), work)}


@router.put("/{firewall_id}")
async def change_firewall(firewall_id: int, change: FirewallChange, work: InWork) -> Json:
    """Rename a firewall or replace its labels."""
    firewall = {**known_firewall(work, firewall_id), **change.model_dump(exclude_none=True)}
    if any(each["name"] == firewall["name"] and each["id"] != firewall_id for each in work.documents.all(KIND)):
        raise not_unique("firewall", "name")
    work.documents.put(KIND, firewall)
    return {"firewall": published_firewall(firewall, work)}


@router.delete("/{firewall_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_firewall(firewall_id: int, work: InWork) -> None:
    """Forget a firewall that guards nothing."""
    if applied_servers(known_firewall(work, firewall_id), work):
        raise Refusal(422, "resource_in_use", "firewall is still in use")
    work.documents.remove(KIND, firewall_id)


@router.post("/{firewall_id}/actions/set_rules", status_code=status.HTTP_201_CREATED)
async def set_rules(firewall_id: int, asked: Rules, work: InWork) -> Json:
    """Replace the rules."""
    firewall = {**known_firewall(work, firewall_id), "rules": _rules(asked.rules)}
    work.documents.put(KIND, firewall)
    return {"actions": _begin(work, firewall, ["set_firewall_rules"])}


@router.post("/{firewall_id}/actions/apply_to_resources", status_code=status.HTTP_201_CREATED)
async def apply(firewall_id: int, asked: Application, work: InWork) -> Json:
    """Guard more servers."""
    firewall = known_firewall(work, firewall_id)
    added = _targets(asked.apply_to, work)
    if any(target in firewall["applied_to"] for target in added):
        raise Refusal(422, "firewall_already_applied", "firewall is already applied")
    changed = {**firewall, "applied_to": [*firewall["applied_to"], *added]}
    work.documents.put(KIND, changed)
    return {"actions": _begin(work, changed, ["apply_firewall"] * len(added))}


@router.post("/{firewall_id}/actions/remove_from_resources", status_code=status.HTTP_201_CREATED)
async def remove(firewall_id: int, asked: Removal, work: InWork) -> Json:
    """Guard fewer servers."""
    firewall = known_firewall(work, firewall_id)
    removed = [_target(target) for target in asked.remove_from]
    if any(target not in firewall["applied_to"] for target in removed):
        raise Refusal(422, "firewall_already_removed", "firewall is not applied")
    left = [target for target in firewall["applied_to"] if target not in removed]
    work.documents.put(KIND, {**firewall, "applied_to": left})
    return {"actions": _begin(work, firewall, ["remove_firewall"] * len(removed))}


def _begin(work: Work, firewall: Document, commands: list[str]) -> list[Json]:
    begun = [work.begin(command, of=(KIND, firewall["id"])) for command in commands]
    return [published_action(action, work.now) for action in begun]


def _rules(rules: list[Rule]) -> list[Json]:
    for rule in rules:
        if (rule.port is None) == (rule.protocol in {"tcp", "udp"}):
            raise invalid_input("rules", "a port belongs to TCP and UDP, and only there")
        if not (rule.source_ips if rule.direction == "in" else rule.destination_ips):
            raise invalid_input("rules", "a rule needs addresses of its direction")
    return [rule.model_dump() for rule in rules]


def _targets(targets: list[Target], work: Work) -> list[Json]:
    for target in targets:
        if target.label_selector is not None:
            selects(target.label_selector.selector)
        if target.server is not None and work.documents.find("server", target.server.id) is None:
            raise Refusal(422, "firewall_resource_not_found", f"server '{target.server.id}' not found")
    return [_target(target) for target in targets]


def _target(target: Target) -> Json:
    named = target.server if target.type == "server" else target.label_selector
    if named is None:
        raise invalid_input("apply_to", f"a target of type {target.type} names one")
    return {"type": target.type, target.type: named.model_dump()}
