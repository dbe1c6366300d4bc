"""VPS: what is kept of each, and what the API gives of it."""

import uuid
from datetime import date, datetime
from typing import Any

from clawdeploy_emulators.cloud.documents import Document
from clawdeploy_emulators.cloud.work import Work
from clawdeploy_emulators.ovh import catalogue
from clawdeploy_emulators.ovh.errors import BUSY, bad_request, not_found

KIND = "vps"
Json = dict[str, Any]


def known_vps(work: Work, name: str) -> Document:
    """The VPS with this service name. Raises the refusal for one that is not there."""
    vps = work.documents.find(KIND, name)
    if vps is None:
        raise not_found(f"serviceName = {name}")
    return vps


def free_vps(work: Work, name: str) -> Document:
    """A VPS on which no task runs."""
    vps = known_vps(work, name)
    if work.actions.busy(KIND, name):
        raise bad_request(BUSY)
    return vps


def urn(vps: Document) -> str:
    """The name of a VPS among all resources."""
    return f"urn:v1:eu:resource:vps:{vps['id']}"


def memory_mb(vps: Document) -> int:
    """How much memory its plan has."""
    plan = catalogue.plan_of(vps["plan"])
    assert plan is not None  # noqa: S101  only known ones are kept
    return plan.memory


def published_vps(vps: Document) -> Json:
    """A VPS as the API gives it."""
    plan = catalogue.plan_of(vps["plan"])
    assert plan is not None  # noqa: S101  only known ones are kept
    return {
        "name": vps["id"],
        "displayName": vps["displayName"],
        "state": vps["status"],
        "zone": f"Region OpenStack: os-{vps['place'].lower()}2",
        "zoneType": "region",
        "cluster": "",
        "keymap": vps["keymap"],
        "memoryLimit": plan.memory,
        "vcore": plan.vcores,
        "netbootMode": vps["netbootMode"],
        "offerType": "ssd",
        "slaMonitoring": vps["slaMonitoring"],
        "monitoringIpBlocks": [],
        "model": {
            "name": plan.code,
            "offer": plan.offer,
            "version": "2019v1",
            "vcore": plan.vcores,
            "memory": plan.memory,
            "disk": plan.disk,
            "datacenter": [],
            "availableOptions": [],
            "maximumAdditionnalIp": 16,
        },
        "iam": {
            "id": str(uuid.uuid5(uuid.NAMESPACE_DNS, vps["id"])),
            "urn": urn(vps),
            "displayName": vps["displayName"],
            "tags": vps["tags"],
        },
    }


def published_service(vps: Document) -> Json:
    """The contract behind a VPS; it ends at its expiration when that was asked for, and is renewed otherwise."""
    created, expires = (datetime.fromisoformat(vps[name]).date() for name in ("ordered", "expires"))
    return {
        "canDeleteAtExpiration": True,
        "contactAdmin": "xx1111-ovh",
        "contactBilling": "xx1111-ovh",
        "contactTech": "xx1111-ovh",
        "creation": date.isoformat(created),
        "domain": vps["id"],
        "engagedUpTo": None,
        "expiration": date.isoformat(expires),
        "possibleRenewPeriod": [1, 3, 6, 12],
        "renew": vps["renew"],
        "renewalType": "automaticV2016",
        "serviceId": vps["service_id"],
        "status": "ok",
    }
