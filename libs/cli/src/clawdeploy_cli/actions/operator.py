"""An operator's work: replays, dead letters and keys."""

from clawdeploy_cli.client.connect import connect
from clawdeploy_cli.client.http import Json
from clawdeploy_cli.render.console import print_json, print_list, print_table, say
from clawdeploy_cli.render.words import age, word


def replay_service(service: str, *, as_json: bool) -> None:
    """`claw replay`."""
    with connect() as api:
        done = api.post(f"/v1/admin/services/{service}/replay")
    if as_json:
        print_json(done)
    else:
        say(f"{done['service']}: {done['events']} events applied again in {done['seconds']:.2f} s.")


def rotate_sealing_key(*, as_json: bool) -> None:
    """`claw rotate sealing-key`."""
    with connect() as api:
        done = api.post("/v1/admin/sealing-keys/rotate")
    if as_json:
        print_json(done)
    else:
        say(
            f"Secrets are sealed to {done['sealing_key_id']} from now on; the old key goes after the last one is sealed again."
        )


def list_dead_letters(service: str | None, *, as_json: bool) -> None:
    """`claw dead-letters list`."""
    with connect() as api:
        items = list(api.pages("/v1/admin/dead-letters", service=service))
    if as_json:
        print_list(items)
    elif items:
        print_table(("SERVICE", "ID", "TYPE", "KEY", "ATTEMPTS", "AGE", "ERROR"), [_row(item) for item in items])
    else:
        say("There are none.")


def settle_dead_letter(service: str, letter_id: str, *, verb: str, as_json: bool) -> None:
    """`claw dead-letters retry|drop`."""
    with connect() as api:
        answer = api.post(f"/v1/admin/dead-letters/{service}/{letter_id}/{verb}")
    if as_json:
        print_json(answer)
    else:
        say("It is tried again." if verb == "retry" else "It was dropped.")


def show_fleet(*, as_json: bool) -> None:
    """`claw fleet`."""
    with connect() as api:
        items: list[Json] = api.get("/v1/admin/fleet")["items"]
    if as_json:
        print_list(items)
    else:
        print_table(
            ("PROVIDER", "SERVERS", "DEBTS", "ORPHANS", "REMOVED", "LAST SWEEP", "LOST"),
            [_provider_row(item) for item in items],
        )


def _provider_row(item: Json) -> list[str]:
    name = f"{item['name']} (emulated)" if item["emulated"] else word(item["name"])
    counts = [word(item[key]) for key in ("servers", "debts", "orphans", "removed")]
    return [name, *counts, age(item["last_sweep"]), word(item["lost"])]


def _row(item: Json) -> list[str]:
    return [
        word(item["service"]),
        word(item["id"]),
        word(item["type"]),
        word(item["key"]),
        word(item["attempts"]),
        age(item["parked_at"]),
        word(item.get("error") or item.get("reason")),
    ]
