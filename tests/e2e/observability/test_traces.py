"""One request, one trace: through the outbox, Kafka, every step and every call outside, in whichever process and after a crash too."""

from collections import Counter

import pytest

from clawdeploy_provisioner.operations.plans import DEPLOY
from tests.chaos.whole_platform import WholePlatform, eventually
from tests.e2e.observability.collector import Collector, Received
from tests.e2e.observability.conftest import COLLECTOR_TOKEN

POST = "POST /v1/instances"
BOT_TOKEN = "123456789:AAF-a-telegram-token-that-must-not-be-seen"  # pragma: allowlist secret
SERVER, CLIENT = 2, 3


def steps(trace: list[Received]) -> list[str]:
    """The names of the step spans, each attempt one."""
    return [span.name.removeprefix("step ") for span in trace if span.name.startswith("step ")]


def loose(trace: list[Received]) -> list[str]:
    """The names of spans whose parent has not arrived."""
    known = {span.span_id for span in trace}
    return [span.name for span in trace if span.parent_id and span.parent_id not in known]


async def deployed(platform: WholePlatform, collector: Collector, name: str) -> list[Received]:
    """Deploy an agent; its trace, once everybody has heard of the deploy's end."""
    asked = await platform.deploy(name)
    return await settled(platform, collector, asked["id"])


async def settled(platform: WholePlatform, collector: Collector, instance_id: str) -> list[Received]:
    """An instance's trace when it runs, all who listen have handled the last events, and their spans have come."""
    await platform.reaches(instance_id, "running")
    last = {("deployment.succeeded.v1", name) for name in ("api", "monitor", "billing")}
    last |= {("operation.completed.v1", "api")}

    async def whole() -> bool:
        trace = collector.deploy_of(instance_id)
        return not loose(trace) and last <= {
            (span.name.removeprefix("process "), span.service.removeprefix("clawdeploy-")) for span in trace
        }

    await eventually(whole)
    return collector.deploy_of(instance_id)


@pytest.fixture(scope="module")
async def trace(platform: WholePlatform, collector: Collector) -> list[Received]:
    return await deployed(platform, collector, "traced")


async def test_a_deploy_is_one_trace_from_the_request_to_its_last_event(trace: list[Received]) -> None:
    """INVARIANT: one request is one trace, across all four services."""
    assert [span.name for span in trace if not span.parent_id] == [POST]
    assert len({span.trace_id for span in trace}) == 1
    assert len({span.span_id for span in trace}) == len(trace)
    names = Counter(span.name for span in trace)
    assert steps(trace) == list(DEPLOY)
    assert names["publish deployment.requested.v1"] == 1
    assert names["publish operation.step_changed.v1"] >= 2 * len(DEPLOY)
    for call in ("ensure_server", "ensure_installed", "write_configuration", "start"):
        assert names[f"process {call}"] == 1
    requested = {span.service for span in trace if span.name == "process deployment.requested.v1"}
    assert requested == {f"clawdeploy-{name}" for name in ("api", "provisioner", "monitor")}


async def test_a_call_outside_is_a_span_of_the_step_that_made_it(
    platform: WholePlatform, trace: list[Received]
) -> None:
    by_id = {span.span_id: span for span in trace}
    created = next(span for span in trace if span.name == "process ensure_server")
    assert by_id[created.parent_id].name == "step create_server"
    calls = [span for span in trace if span.kind == CLIENT]
    minting = [span for span in calls if by_id[span.parent_id].name == "step mint_llm_key"]
    assert minting
    assert all(span.attributes["http.url"].startswith(platform.url("openrouter")) for span in minting)


async def test_after_a_crash_the_steps_go_on_in_the_same_trace(platform: WholePlatform, collector: Collector) -> None:
    """INVARIANT: the operation's row keeps the trace: what another process does later belongs to it."""
    asked = await platform.deploy("crashing")
    await platform.doing(asked["id"], "install")

    async def sent() -> bool:
        return steps(collector.deploy_of(asked["id"]))[-1:] == ["connect"]

    await eventually(sent, pause=0.02)
    platform.kill("provisioner")
    platform.start("provisioner")
    await platform.reaches(asked["id"], "running")

    async def ended() -> bool:
        return steps(collector.deploy_of(asked["id"]))[-1:] == [DEPLOY[-1]]

    await eventually(ended)
    trace = collector.deploy_of(asked["id"])
    by = {span.name.removeprefix("step "): span.process for span in trace if span.name.startswith("step ")}
    assert list(by) == list(DEPLOY)
    assert by["reserve"] != by["install"] == by["publish_endpoint"]


async def test_only_requests_begin_traces(trace: list[Received], collector: Collector) -> None:
    """Loops look at their tables and at agents all day long: none of that is sent."""
    roots = [span for span in collector.spans if not span.parent_id]
    assert {span.kind for span in roots} == {SERVER}
    assert not [span for span in roots if span.name.endswith(("/healthz", "/readyz", "/metrics"))]


async def test_no_secret_and_no_query_leaves_with_a_span(platform: WholePlatform, collector: Collector) -> None:
    """INVARIANT: a span holds no body, no query string, no header and no exception's text (law 10)."""
    body = {"name": "secret", "model": "gpt-5.2", "channel": "telegram", "bot_token": BOT_TOKEN}
    asked = await platform.json("POST", "/v1/instances", json=body)
    await settled(platform, collector, asked["id"])
    await platform.http.get("/v1/events", params={"limit": "1", "token": BOT_TOKEN})
    await platform.http.post("/v1/instances", json={"name": "x", "model": BOT_TOKEN})
    await deployed(platform, collector, "after")  # what was asked before has left by now
    sent = b"".join(collector.raw)
    assert b"POST /v1/instances" in sent
    for secret in (BOT_TOKEN, "must-not-be-seen", *platform.secrets):
        assert secret.encode() not in sent
    assert not [span for span in collector.spans if span.events]
    assert not [span for span in collector.spans if "?" in str(span.attributes.get("http.url", ""))]


async def test_the_collector_gets_the_headers_it_was_promised(trace: list[Received], collector: Collector) -> None:
    assert collector.headers
    assert {headers["authorization"] for headers in collector.headers} == {f"Bearer {COLLECTOR_TOKEN}"}
