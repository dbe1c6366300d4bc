"""What `make test-live` was allowed: at which real accounts, for how much. Nothing is asked of a cloud without it."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from clawdeploy_cli.settings import CLOUDS, CliSettings

YES, LIMIT, OVH_MONTH = "CLAWDEPLOY_LIVE_YES", "CLAWDEPLOY_LIVE_LIMIT_EUR", "CLAWDEPLOY_LIVE_OVH_MONTH"
_NOT_PASSED_ON = ("CLAWDEPLOY_LIVE_", "CLAWDEPLOY_TEST_", "CLAWDEPLOY_PROVIDERS", "CLAWDEPLOY_BILLING_PRICES")


class Refused(Exception):
    """Servers that cost money are not ordered; the message says what is missing."""


@dataclass(frozen=True, kw_only=True)
class Permission:
    """``accounts`` are the variables that open each cloud's; ``product`` are the product's settings, addresses of APIs among them."""

    accounts: Mapping[str, Mapping[str, str]]
    limit: Decimal
    product: Mapping[str, str]

    @classmethod
    def of(cls, environment: Mapping[str, str], settings: CliSettings) -> "Permission":
        """Read it from the environment, the accounts from where the product reads them.

        Raises:
            Refused: something is not said, or not in so many words.
        """
        asked = _asked(environment)
        return cls(accounts=_opened(asked, settings), limit=_limit(environment), product=_product(settings))


def _asked(environment: Mapping[str, str]) -> list[str]:
    asked = list(dict.fromkeys(name.strip() for name in environment.get(YES, "").split(",") if name.strip()))
    if not asked:
        raise Refused(f"this orders real servers, which cost money. Say where: {YES}=hetzner,digitalocean")
    unknown = [name for name in asked if name not in CLOUDS]
    if unknown:
        raise Refused(f"{YES}: {unknown[0]} is none of {', '.join(CLOUDS)}")
    if "ovh" in asked and environment.get(OVH_MONTH) != "yes":
        raise Refused(f"OVHcloud sells a VPS by the month and gives nothing back: to buy one, say {OVH_MONTH}=yes too")
    return asked


def _limit(environment: Mapping[str, str]) -> Decimal:
    said = environment.get(LIMIT, "")
    try:
        limit = Decimal(said)
    except InvalidOperation:
        limit = Decimal(0)
    if not limit.is_finite() or limit <= 0:
        raise Refused(f"say how much all of it may cost at most: {LIMIT}=1.00")
    return limit


def _opened(asked: list[str], settings: CliSettings) -> dict[str, dict[str, str]]:
    closed = [name for name in asked if name not in settings.cloud_accounts]
    if closed:
        raise Refused(f"the account's secrets for {', '.join(closed)} are not set (docs/cloud-accounts.md)")
    return {name: settings.cloud_accounts[name] for name in asked}


def _product(settings: CliSettings) -> dict[str, str]:
    if settings.public_url is None or settings.port is None:
        raise Refused(
            "real servers must reach this platform: set CLAWDEPLOY_PUBLIC_URL, and CLAWDEPLOY_PORT to the port here"
            " that it leads to"
        )
    if settings.openrouter_management_key is None:
        raise Refused("real servers reach no stand-in of the model provider: set OPENROUTER_MANAGEMENT_KEY")
    return {
        **{name: value for name, value in settings.tuning.items() if not name.startswith(_NOT_PASSED_ON)},
        "CLAWDEPLOY_PUBLIC_URL": settings.public_url,
        "CLAWDEPLOY_PORT": str(settings.port),
        "OPENROUTER_MANAGEMENT_KEY": settings.openrouter_management_key.get_secret_value(),
        "OPENROUTER_BASE_URL": settings.openrouter_base_url,
    }
