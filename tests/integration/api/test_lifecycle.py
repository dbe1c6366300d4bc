"""From what the other services tell to what people see, and what people may ask for."""

import json
from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.integration.api.lifecycle import story
from tests.integration.api.platform import Platform, Tenant, ago

from clawdeploy_common.clock import utc_now
from clawdeploy_events.lifecycle import (
    DeploymentCancelled,
    DeploymentFailed,
    InstanceDestroyed,
    OperationCancelled,
    OperationFailed,
    OperationKind,
    ServerDestroyed,
    ServerState,
    ServerStateChanged,
)


async def test_a_deployment_is_shown_step_by_step(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await told.begin()
    await told.step("reserve", "running")
    await told.step("reserve", "done", message="done in no time")

    assert (await told.now())["status"] == "creating"
    operation = await tenant.get(f"/v1/operations/{told.operation}")
    assert [(step["name"], step["state"]) for step in operation["steps"]] == [("reserve", "done"), ("start", "pending")]
    assert operation["steps"][0]["message"] == "done in no time"
    assert operation["steps"][0]["finished_at"] >= operation["steps"][0]["started_at"]
    assert operation["state"] == "running"

    await told.deployed()
    instance = await told.now()
    assert (instance["status"], instance["operation"]) == ("running", None)
    assert (instance["provider_server_id"], instance["private_address"]) == ("4711", "127.0.0.1:21000")
    assert instance["deployed_at"]
    listed = await tenant.get("/v1/deployments")
    assert [(item["id"], item["state"]) for item in listed["items"]] == [(str(told.operation), "succeeded")]


async def test_no_path_of_the_host_is_shown(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: a tenant never sees where on the host an agent lives, not even of a server that was told of by its directory."""
    told = await story(platform, tenant)
    await told.deployed(provider_ref="/srv/clawdeploy/instances/4711")
    assert (await told.now())["provider_server_id"] == str(told.server)


async def test_an_observation_of_an_older_state_changes_nothing(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: an older observation never overwrites a newer state."""
    told = await story(platform, tenant)
    await told.deployed()
    await told.observed("gone", version=2)
    assert ((await told.now())["status"], (await told.now())["health"]["process"]) == ("running", "unknown")

    await told.observed("healthy", channel="disabled")
    assert (await told.now())["health"]["process"] == "healthy"
    await told.observed("gone")
    assert (await told.now())["status"] == "error"


async def test_what_nobody_has_seen_for_ninety_seconds_is_unknown(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: stale means unknown."""
    told = await story(platform, tenant)
    await told.deployed(at=ago(seconds=100))
    assert (await told.now())["status"] == "unknown"
    await told.observed("healthy", at=ago(seconds=10))
    assert (await told.now())["status"] == "running"


async def test_a_failed_deployment_says_why_and_can_be_redeployed(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await told.begin()
    failed = OperationFailed(operation_id=told.operation, kind=OperationKind.DEPLOY, reason="no room", step="start")
    await told.tell(DeploymentFailed(operation_id=told.operation, reason="no room", step="start"), failed)

    instance = await told.now()
    assert (instance["status"], instance["status_reason"]) == ("error", "no room")
    start = await tenant.act(instance, "start")
    assert (start.status_code, start.json()["code"]) == (400, "no-server")
    again = await tenant.act(instance, "redeploy")
    assert (again.status_code, again.json()["status"]) == (202, "creating")
    assert [row.type for row in await platform.hear()][-1] == "instance.redeploy_requested.v1"


async def test_only_a_server_of_a_cloud_account_is_redeployed_in_place(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await told.deployed()
    path = f"/v1/instances/{(await told.now())['id']}"
    here = await tenant.http.post(f"{path}/redeploy", json={"in_place": True})
    assert (here.status_code, here.json()["errors"][0]["field"]) == (422, "in_place")
    misplaced = await tenant.http.post(f"{path}/actions", json={"action": "stop", "in_place": True})
    assert misplaced.status_code == 422
    async with platform.database.transaction() as unit:
        await unit.session.execute(text("UPDATE instances SET provider = 'hetzner'"))
    asked = await tenant.http.post(f"{path}/redeploy", json={"in_place": True})
    assert (asked.status_code, asked.json()["status"]) == (202, "creating")
    last = (await platform.hear())[-1]
    assert (last.type, json.loads(last.data)["in_place"]) == ("instance.redeploy_requested.v1", True)
    assert json.loads(last.data)["keep_state"] is False


@pytest.mark.parametrize("by_name", [False, True])
async def test_what_an_agent_knows_is_kept_when_that_is_asked_for(
    platform: Platform, tenant: Tenant, *, by_name: bool
) -> None:
    told = await story(platform, tenant)
    await told.deployed()
    path = f"/v1/instances/{(await told.now())['id']}"
    misplaced = await tenant.http.post(f"{path}/actions", json={"action": "stop", "keep_state": True})
    assert misplaced.status_code == 422
    body = {"keep_state": True}
    call = ("actions", {"action": "redeploy", **body}) if by_name else ("redeploy", body)
    asked = await tenant.http.post(f"{path}/{call[0]}", json=call[1])
    assert (asked.status_code, asked.json()["status"]) == (202, "creating")
    data = json.loads((await platform.hear())[-1].data)
    assert (data["keep_state"], data["in_place"]) == (True, False)


async def test_a_cancelled_redeployment_that_never_began_leaves_a_running_agent_running(
    platform: Platform, tenant: Tenant
) -> None:
    told = await story(platform, tenant)
    await told.deployed()
    redeploy = UUID((await tenant.act(await told.now(), "redeploy")).json()["operation"]["id"])
    await told.tell(
        OperationCancelled(operation_id=redeploy, kind=OperationKind.REDEPLOY, reason="replaced"),
        DeploymentCancelled(operation_id=redeploy),
    )
    assert (await told.now())["status"] == "running"


async def test_a_server_that_vanished_outside_is_an_error(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await told.deployed()
    await told.tell(
        ServerStateChanged(
            server_id=told.server,
            state=ServerState.GONE,
            previous=ServerState.RUNNING,
            detail="the directory was removed",
            observed_at=utc_now(),
        )
    )
    instance = await told.now()
    assert (instance["status"], instance["status_reason"]) == ("error", "the directory was removed")


async def test_the_end_of_an_older_server_does_not_touch_the_newer_one(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await told.deployed()
    await told.tell(ServerDestroyed(server_id=UUID(int=1), provider="process", destroyed_at=utc_now()))
    assert (await told.now())["provider_server_id"] == "4711"


async def test_how_long_a_destroyed_server_is_paid_outlives_it(platform: Platform, tenant: Tenant) -> None:
    """A removal that was owed is confirmed when the instance is long gone; of several the last one counts, and none goes with a newer."""
    told = await story(platform, tenant)
    await told.deployed()
    assert (await told.now())["server_paid_until"] is None

    async def destroyed(server_id: UUID, day: str | None) -> None:
        paid = None if day is None else datetime.fromisoformat(f"{day}T00:00:00Z")
        gone = ServerDestroyed(server_id=server_id, provider="ovh", destroyed_at=utc_now(), paid_until=paid)
        await told.tell(gone)

    await destroyed(told.server, "2026-12-22")
    shown = await told.now()
    assert (shown["provider_server_id"], shown["server_paid_until"]) == (None, "2026-12-22T00:00:00Z")
    await told.deployed()
    await told.tell(InstanceDestroyed(destroyed_at=utc_now()))
    await destroyed(told.server, "2026-12-28")
    await destroyed(UUID(int=1), "2026-12-01")
    await destroyed(UUID(int=2), None)
    assert (await told.now())["server_paid_until"] == "2026-12-28T00:00:00Z"


async def test_starting_what_runs_changes_nothing(platform: Platform, tenant: Tenant) -> None:
    """INVARIANT: actions are idempotent."""
    told = await story(platform, tenant)
    await told.deployed()
    before = len(await platform.hear())
    answer = await tenant.act(await told.now(), "start")
    assert (answer.status_code, answer.json()) == (202, await told.now())
    assert len(await platform.hear()) == before


async def test_stop_then_start_queues_and_a_third_wish_is_refused(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await told.deployed()
    instance = await told.now()
    stop, start, third = [await tenant.act(instance, action) for action in ("stop", "start", "restart")]

    assert [stop.json()["operation"]["kind"], start.json()["operation"]["kind"]] == ["stop", "start"]
    assert (third.status_code, third.json()["code"]) == (409, "operation-waiting")
    assert third.json()["waiting"] == {"id": start.json()["operation"]["id"], "kind": "start"}
    destroyed = await tenant.http.delete(f"/v1/instances/{told.id}")
    assert (destroyed.status_code, destroyed.json()["status"]) == (202, "deleting")
    assert destroyed.json()["operation"]["kind"] == "destroy"
    assert [row.type.split(".")[1] for row in await platform.hear()][-3:] == [
        "stop_requested",
        "start_requested",
        "destroy_requested",
    ]
    late = await tenant.act(instance, "start")
    assert (late.status_code, late.json()["code"]) == (409, "instance-deleting")


async def test_a_status_is_changed_by_patch_and_by_name(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    await told.deployed()
    path = f"/v1/instances/{told.id}"
    stopping = (await tenant.http.patch(path, json={"status": "stopped"})).json()
    assert (stopping["desired_status"], stopping["operation"]["kind"]) == ("stopped", "stop")
    await told.stopped(UUID(stopping["operation"]["id"]))
    assert (await told.now())["status"] == "stopped"
    starting = await tenant.http.post(f"{path}/actions", json={"action": "start"})
    assert (starting.json()["status"], starting.json()["operation"]["kind"]) == ("creating", "start")


async def test_only_a_deployment_that_has_not_ended_can_be_cancelled(platform: Platform, tenant: Tenant) -> None:
    told = await story(platform, tenant)
    first = await tenant.http.post(f"/v1/deployments/{told.operation}/cancel")
    again = await tenant.http.post(f"/v1/operations/{told.operation}/cancel")
    assert (first.status_code, again.status_code) == (202, 202)
    assert [row.type for row in await platform.hear()].count("deployment.cancel_requested.v1") == 1

    other = await story(platform, tenant)
    await other.deployed()
    ended = await tenant.http.post(f"/v1/deployments/{other.operation}/cancel")
    assert (ended.status_code, ended.json()["code"]) == (409, "not-cancellable")
    stop = (await tenant.act(await other.now(), "stop")).json()["operation"]["id"]
    assert (await tenant.http.post(f"/v1/operations/{stop}/cancel")).status_code == 409
    assert (await tenant.http.post(f"/v1/deployments/{stop}/cancel")).status_code == 404
