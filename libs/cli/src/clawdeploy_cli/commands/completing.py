"""What the Tab key offers. Completion answers within a second or offers nothing; it never shows an error."""

# ruff: noqa: PLC0415 - imports stay inside: completing a command's name must not pay for asking the platform

from typing import Any, cast

SERVICES = ("api", "provisioner", "monitor", "billing")
_PATIENCE_S = 0.8


def instances(incomplete: str) -> list[tuple[str, str]]:
    """Slugs of live instances that begin so, with their status."""
    try:
        found = _ask()
    except Exception:  # noqa: BLE001 - no platform, no key, a slow answer: the terminal must stay as it is
        return []
    live = [(str(item["slug"]), str(item["status"])) for item in found if item["status"] != "deleted"]
    return [(slug, status) for slug, status in live if slug.startswith(incomplete)]


def services(incomplete: str) -> list[str]:
    """Names of the platform's services that begin so."""
    return [name for name in SERVICES if name.startswith(incomplete)]


def _ask() -> list[dict[str, Any]]:
    import httpx

    from clawdeploy_cli.client.connect import api_key, platform_url
    from clawdeploy_cli.settings import load_settings

    settings = load_settings()
    headers = {"Authorization": f"Bearer {api_key(settings)}"}
    url = f"{platform_url(settings)}/v1/instances"
    answer = httpx.get(url, headers=headers, params={"limit": 100}, timeout=_PATIENCE_S).raise_for_status()
    return cast("list[dict[str, Any]]", answer.json()["items"])
