"""What things have cost so far."""

from typing import Any, cast

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import Json
from clawdeploy_cli.client.instances import find_instance
from clawdeploy_cli.render.console import print_json, print_line, print_table, say
from clawdeploy_cli.render.words import amount, as_of, money, word


def show_cost(name: str | None, *, as_json: bool) -> None:
    """`claw cost`."""
    with connect() as api:
        path = "/v1/cost" if name is None else cost_path(find_instance(api, name))
        cost = api.get(path)
    if as_json:
        print_json(cost)
    else:
        print_cost(cost)


def cost_path(instance: Json) -> str:
    """Where an agent's cost is read."""
    return f"/v1/instances/{instance['id']}/cost"


def print_cost(cost: Json) -> None:
    """Every line of a cost, and the sum."""
    currency = str(cost.get("currency") or "USD")
    rows = [_row(line, currency) for line in cast("list[Json]", cost["lines"])]
    if rows:
        print_table(("WHAT", "QUANTITY", "COST", "CHARGE", "PRICES"), rows)
    print_line(
        f"Total: cost {money(cost['cost_micros'], currency=currency)}, charge {money(cost['charge_micros'], currency=currency)}"
    )
    if cost.get("as_of"):
        say(f"As of {as_of(cost['as_of'])}.", style="bright_black")
    _print_instances(cost, currency)


def _row(line: Json, currency: str) -> list[str]:
    return [
        word(line["kind"]),
        amount(int(line["quantity"]), str(line["unit"])),
        money(line["cost_micros"], currency=currency),
        money(line["charge_micros"], currency=currency),
        f"v{line['price_version']}" if line.get("price_version") else "-",
    ]


def _print_instances(cost: Json, currency: str) -> None:
    found: Any = cost.get("instances")
    if not found:
        return
    rows = [
        [
            word(item.get("slug") or item.get("name") or item.get("id") or item.get("instance_id")),
            money(item["cost_micros"], currency=currency),
            money(item["charge_micros"], currency=currency),
        ]
        for item in cast("list[Json]", found)
    ]
    print_table(("AGENT", "COST", "CHARGE"), rows)
