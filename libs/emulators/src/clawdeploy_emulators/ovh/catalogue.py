"""What can be ordered and where. Shapes as recorded; prices in the order of the public list of autumn 2026."""

from dataclasses import dataclass
from typing import Any

from clawdeploy_emulators.cloud.rentals import Rate

Json = dict[str, Any]
MICROS = 1_000_000
UCENTS = 100_000_000  # the catalogue counts in hundred-millionths of a unit
TAX_PERCENT = 20
DATACENTERS = ("GRA", "SBG", "BHS", "DE", "UK", "WAW")
SYSTEMS = ("Debian 12", "Debian 13", "Ubuntu 24.04", "Ubuntu 22.04")
DATACENTER, SYSTEM, MONITORING = "vps_datacenter", "vps_os", "vps_install_rtm"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One model of VPS; memory in megabytes, disk in gigabytes, the monthly price in micro-euros."""

    code: str
    offer: str
    vcores: int
    memory: int
    disk: int
    monthly_micros: int

    @property
    def rate(self) -> Rate:
        """By the month only."""
        return Rate(hourly_micros=0, monthly_micros=self.monthly_micros)


PLANS = (
    Plan(code="vps-2025-model1", offer="VPS-1", vcores=4, memory=8192, disk=75, monthly_micros=4_580_000),
    Plan(code="vps-2025-model2", offer="VPS-2", vcores=6, memory=12288, disk=100, monthly_micros=6_990_000),
    Plan(code="vps-2025-model3", offer="VPS-3", vcores=8, memory=24576, disk=200, monthly_micros=13_990_000),
)


def plan_of(code: str) -> Plan | None:
    """The plan with this code."""
    return next((plan for plan in PLANS if plan.code == code), None)


def image_id(system: str) -> str:
    """The number under which a system is installed; the API's are opaque too."""
    return f"img-{system.lower().replace(' ', '-').replace('.', '-')}"


def system_of(image: str) -> str | None:
    """The system with this image number."""
    return next((system for system in SYSTEMS if image_id(system) == image), None)


def price(micros: int) -> Json:
    """An amount the way orders print it."""
    value = micros / MICROS
    return {"currencyCode": "EUR", "text": f"{value:.2f} €", "value": value}


def offers(plan: Plan) -> Json:
    """A plan the way a cart offers it."""
    return {
        "planCode": plan.code,
        "productId": "vps",
        "productName": plan.offer,
        "productType": "delivery",
        "mandatory": False,
        "exclusive": False,
        "prices": [
            {
                "capacities": ["installation", "renew"],
                "description": "Monthly fees",
                "duration": "P1M",
                "interval": 1,
                "maximumQuantity": 100,
                "maximumRepeat": None,
                "minimumQuantity": 1,
                "minimumRepeat": 1,
                "price": price(plan.monthly_micros),
                "priceInUcents": plan.monthly_micros * (UCENTS // MICROS),
                "pricingMode": "default",
                "pricingType": "rental",
            }
        ],
    }


def required() -> list[Json]:
    """What must be said of a VPS before it is ordered."""
    return [
        _configuration(DATACENTER, DATACENTERS, required=True),
        _configuration(SYSTEM, SYSTEMS, required=True),
        _configuration(MONITORING, ("yes", "no"), required=False),
    ]


def public_catalogue(subsidiary: str) -> Json:
    """The public catalogue, prices in hundred-millionths."""
    return {
        "catalogId": 7,
        "locale": {"currencyCode": "EUR", "subsidiary": subsidiary, "taxRate": TAX_PERCENT},
        "plans": [_catalogued(plan) for plan in PLANS],
        "products": [{"name": plan.offer, "description": plan.offer, "blobs": _technical(plan)} for plan in PLANS],
        "addons": [],
        "planFamilies": [],
    }


def _configuration(label: str, values: tuple[str, ...], *, required: bool) -> Json:
    return {"label": label, "type": "String", "required": required, "fields": [], "allowedValues": list(values)}


def _catalogued(plan: Plan) -> Json:
    net = plan.monthly_micros * (UCENTS // MICROS)
    pricing = {
        "mode": "default",
        "description": "Monthly fees",
        "interval": 1,
        "intervalUnit": "month",
        "commitment": 0,
        "phase": 1,
        "capacities": ["renew"],
        "price": net,
        "formattedPrice": price(plan.monthly_micros)["text"],
        "tax": net * TAX_PERCENT // 100,
        "type": "rental",
        "strategy": "tiered",
        "quantity": {"min": 1, "max": None},
        "repeat": {"min": 1, "max": None},
    }
    choices = {DATACENTER: DATACENTERS, SYSTEM: SYSTEMS}
    return {
        "planCode": plan.code,
        "invoiceName": plan.offer,
        "product": plan.offer,
        "pricingType": "rental",
        "pricings": [pricing],
        "configurations": [
            {"name": name, "isCustom": False, "isMandatory": True, "values": list(values)}
            for name, values in choices.items()
        ],
        "addonFamilies": [],
        "blobs": None,
    }


def _technical(plan: Plan) -> Json:
    return {
        "technical": {
            "cpu": {"cores": plan.vcores, "type": "vCore"},
            "memory": {"size": plan.memory // 1024, "ramType": "RAM"},
            "storage": {"disks": [{"number": 1, "capacity": plan.disk, "technology": "SSD"}]},
        }
    }
