"""What things have cost so far."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import Json
from clawdeploy_cli.client.instances import find_instance, live_instances
from clawdeploy_cli.render.console import print_json, print_line, print_table, say
from clawdeploy_cli.render.words import amount, as_of, money, word


def show_cost(name: str | None, *, as_json: bool) -> None:
    """`claw cost`."""
    with connect() as api:
        path = "/v1/cost" if name is None else cost_path(find_instance(api, name))
        cost = api.get(path)
        live = {} if as_json or name else {str(item["id"]): str(item["slug"]) for item in live_instances(api)}
    if as_json:
        print_json(cost)
    else:
        print_cost(cost, slugs=live)


def cost_path(instance: Json) -> str:
    """Where an agent's cost is read."""
    return f"/v1/instances/{instance['id']}/cost"


def print_cost(cost: Json, *, slugs: Mapping[str, str] = MappingProxyType({})) -> None:
    """Every line of a cost, and the sum; an account's instances that have no slug here are destroyed."""
    currency = str(cost.get("currency") or "USD")
    rows = [_row(line, currency) for line in cast("list[Json]", cost["lines"])]
    if rows:
        print_table(("WHAT", "QUANTITY", "COST", "CHARGE", "PRICES"), rows)
    print_line(
        f"Total: cost {money(cost['cost_micros'], currency=currency)}, charge {money(cost['charge_micros'], currency=currency)}"
    )
    if cost.get("as_of"):
        say(f"As of {as_of(cost['as_of'])}.", style="bright_black")
    _print_instances(cost, currency, slugs=slugs)


def _row(line: Json, currency: str) -> list[str]:
    return [
        word(line["kind"]),
        amount(int(line["quantity"]), str(line["unit"])),
        money(line["cost_micros"], currency=currency),
        money(line["charge_micros"], currency=currency),
        f"v{line['price_version']}" if line.get("price_version") else "-",
    ]


def _print_instances(cost: Json, currency: str, *, slugs: Mapping[str, str]) -> None:
    found: Any = cost.get("instances")
    if not found:
        return
    rows = [
        [
            slugs.get(str(item["instance_id"]), "destroyed"),
            word(item["name"] or item["instance_id"]),
            money(item["cost_micros"], currency=currency),
            money(item["charge_micros"], currency=currency),
        ]
        for item in cast("list[Json]", found)
    ]
    print_table(("SLUG", "NAME", "COST", "CHARGE"), rows)
