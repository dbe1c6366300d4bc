"""What must hold of the whole platform once it is quiet: streams consumed, books that agree, projections equal to their twins."""

from typing import Any

from sqlalchemy import MetaData

from clawdeploy_api.models import metadata as api_metadata
from clawdeploy_billing.models import metadata as billing_metadata
from clawdeploy_common.tables import projections_of
from clawdeploy_monitor.models import metadata as monitor_metadata
from clawdeploy_provisioner.models import metadata as provisioner_metadata
from tests.chaos.whole_platform import WholePlatform, eventually

METADATA: dict[str, MetaData] = {
    "api": api_metadata,
    "provisioner": provisioner_metadata,
    "monitor": monitor_metadata,
    "billing": billing_metadata,
}
CONSUMES = {
    "api": ["api", "provisioner", "monitor", "billing"],
    "provisioner": ["api"],
    "monitor": ["api", "provisioner"],
    "billing": ["api", "provisioner"],
}
VOLATILE: dict[str, set[str]] = {
    # bookkeeping of the log itself: it moves with every tick
    "relay_offsets": {"acknowledged_offset"},
    # clocks of loops: when something was last looked at, and when it will be again
    "servers": {"observed_at", "memory_bytes", "disk_free_bytes"},
    "sweeps": {"swept_at"},
    "watches": {"observed_at", "next_probe_at", "rounds", "successes", "failures"},
    "llm_keys": {"last_read_at", "next_read_at", "lease_token", "lease_until"},
    "jobs": {"run_at", "lease_token", "lease_until"},
}
UNCOMPARED = {"observations", "loop_leases", "rate_limits", "audit_log", "idempotency_keys", "alembic_version"}
"""Tables of samples, leases and requests: they grow with time and with what the test itself asks."""

Dump = dict[str, list[str]]


async def quiet(platform: WholePlatform) -> None:
    """Wait until every event is published, and consumed by everybody who consumes its topic."""

    async def is_quiet() -> bool:
        return await _unpublished(platform) == 0 and await _behind(platform) == []

    try:
        await eventually(is_quiet, seconds=60)
    except TimeoutError:
        behind = await _behind(platform)
        raise AssertionError(f"unpublished {await _unpublished(platform)}, behind {behind}") from None


async def _unpublished(platform: WholePlatform) -> int:
    counts = [
        await platform.rows(f"SELECT count(*) AS n FROM {name}.outbox WHERE published_at IS NULL")  # noqa: S608 - our names
        for name in METADATA
    ]
    return sum(count[0]["n"] if count else 1 for count in counts)


async def _behind(platform: WholePlatform) -> list[str]:
    """Streams whose end a consumer has not reached, by any kind of handler it has."""
    found: list[str] = []
    for consumer, producers in CONSUMES.items():
        for producer in producers:
            query = f"""
                SELECT k.kind, s.key, s.version, p.version AS reached
                FROM {producer}.streams s
                CROSS JOIN (SELECT DISTINCT kind FROM {consumer}.progress WHERE source = $1) k
                LEFT JOIN {consumer}.progress p ON p.kind = k.kind AND p.source = $1 AND p.key = s.key
                WHERE coalesce(p.version, 0) <> s.version
            """  # noqa: S608 - our names
            rows = await platform.rows(query, f"/clawdeploy/{producer}")
            found += [
                f"{consumer} {r['kind']} of {producer} {r['key']}: {r['reached']} of {r['version']}" for r in rows
            ]
    return found


async def no_dead_letters(platform: WholePlatform) -> None:
    """Nothing waits, nothing was given up."""
    letters = (await platform.json("GET", "/v1/admin/dead-letters"))["items"]
    assert not letters, f"dead letters: {letters}"


async def projections(platform: WholePlatform) -> Dump:
    """Every row of every projection, whole: nothing in them is volatile."""
    names = [(service, table.name) for service, metadata in METADATA.items() for table in projections_of(metadata)]
    return {f"{service}.{name}": await _dump(platform, service, name, set()) for service, name in names}


async def facts(platform: WholePlatform) -> Dump:
    """Every row of every table that holds facts, without the volatile columns."""
    return {
        f"{service}.{name}": await _dump(platform, service, name, VOLATILE.get(name, set()))
        for service, metadata in METADATA.items()
        for name in metadata.tables
        if name not in UNCOMPARED
    }


async def _dump(platform: WholePlatform, service: str, table: str, without: set[str]) -> list[str]:
    query = f"SELECT (to_jsonb(t) - $1::text[])::text AS row FROM {service}.{table} t ORDER BY 1"  # noqa: S608 - our names
    return [row["row"] for row in await platform.rows(query, sorted(without))]


def differences(before: Dump, after: Dump) -> dict[str, tuple[list[str], list[str]]]:
    """What only one of two dumps has."""
    return {
        name: ([r for r in before[name] if r not in after[name]], [r for r in after[name] if r not in before[name]])
        for name in before
        if before[name] != after[name]
    }


async def equal_their_twins(platform: WholePlatform) -> None:
    """Law 4: rebuilt from the log, every projection is what it was. While agents live, events come: then it is tried again."""
    for _ in range(5):
        streams = await _streams(platform)  # first: whatever is told from here on shows at the end
        await quiet(platform)
        before = await projections(platform)
        assert any(before.values())
        for service in METADATA:
            done = await platform.json("POST", f"/v1/admin/services/{service}/replay", timeout=60)
            assert done["service"] == service
        await quiet(platform)
        changed = differences(before, await projections(platform))
        if await _streams(platform) == streams:
            assert not changed, f"rebuilt projections differ: {changed}"
            return
    raise AssertionError("the platform does not come to rest")


async def _streams(platform: WholePlatform) -> list[Any]:
    return [await platform.rows(f"SELECT key, version FROM {name}.streams ORDER BY key") for name in METADATA]  # noqa: S608 - our names


async def one_of_everything(platform: WholePlatform, instance_id: str) -> None:
    """Laws 6 to 8: one server, one live LLM key, one open meter; at the provider, at OpenRouter and in every book."""
    query = "SELECT id FROM {}.servers WHERE instance_id = $1 AND destroyed_at IS NULL"
    servers = await platform.rows(query.format("provisioner"), instance_id)
    metered = await platform.rows(query.format("billing"), instance_id)
    assert [row["id"] for row in servers] == [row["id"] for row in metered]
    assert platform.provider.created.count(str(servers[0]["id"])) == 1
    listed = (await platform.provider.list_servers()).servers
    assert [str(s.server_id) for s in listed if str(s.instance_id) == instance_id] == [str(servers[0]["id"])]
    meters = "SELECT id FROM billing.server_meters WHERE instance_id = $1"
    assert len(await platform.rows(meters, instance_id)) == 1
    assert len(await platform.rows(f"{meters} AND until IS NULL", instance_id)) == 1
    keys = "SELECT key_hash FROM provisioner.llm_keys WHERE instance_id = $1 AND state = 'active'"
    [key] = await platform.rows(keys, instance_id)
    minted = (await platform.stand_in("/api/v1/keys?include_disabled=true"))["data"]
    assert [k["disabled"] for k in minted if instance_id in k["name"]] == [False]
    assert key["key_hash"] in {k["hash"] for k in minted}


async def books_agree(platform: WholePlatform) -> None:
    """Law 8: what is on the books is what the model's provider billed, to the micro-unit, and stays so."""

    async def booked() -> dict[str, int]:
        found = await platform.rows("SELECT key_hash, highest_micros AS micros FROM billing.llm_keys")
        return {row["key_hash"]: row["micros"] for row in found}

    billed = {line["hash"]: line["cost_micros"] for line in (await platform.stand_in("/_emulator/usage"))["keys"]}

    async def agree() -> bool:
        known = await booked()
        return all(known.get(key, 0) == micros for key, micros in billed.items())

    await eventually(agree)
    await quiet(platform)
    total = sum(billed.values())
    assert (
        await _sum(
            platform, "SELECT sum(micros) FROM billing.ledger_lines WHERE meter_kind = 'llm_key' AND book = 'cost'"
        )
        == total
    )
    assert await _sum(platform, "SELECT sum(cost_micros) FROM api.usage_totals") == total
    lines = (await platform.json("GET", "/v1/cost"))["lines"]
    assert sum(line["cost_micros"] for line in lines if line["kind"] == "llm") == total


async def _sum(platform: WholePlatform, query: str) -> int:
    [row] = await platform.rows(query)
    return int(row[0] or 0)


async def is_sound(platform: WholePlatform, *instance_ids: str) -> None:
    """These agents run, there is one of everything for each, and the whole platform agrees with itself."""
    for instance_id in instance_ids:
        await platform.reaches(instance_id, "running")
    await quiet(platform)
    for instance_id in instance_ids:
        await one_of_everything(platform, instance_id)
        await platform.spend(instance_id)
    await books_agree(platform)
    await no_dead_letters(platform)
    await equal_their_twins(platform)
