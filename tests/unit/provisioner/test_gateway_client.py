"""Reading a gateway's answers, against answers seen from OpenClaw 2026.9.6."""

from collections.abc import AsyncIterator

import httpx
import pytest

from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.openclaw.config import GatewayIdentity
from clawdeploy_provisioner.openclaw.gateway import (
    GatewayAnswerUnreadable,
    GatewayBusy,
    GatewayClient,
    GatewayRefused,
    GatewayUnreachable,
    RpcFailed,
)

IDENTITY = GatewayIdentity.for_instance(new_id())
WEB_PAGE = httpx.Response(200, html="<!doctype html><title>OpenClaw</title>")


def answering(response: httpx.Response) -> GatewayClient:
    """A client whose gateway gives this answer, after the request's identity was looked at."""

    def handle(request: httpx.Request) -> httpx.Response:
        assert request.headers[IDENTITY.header] == IDENTITY.user
        assert request.headers["X-Forwarded-For"] == "192.0.2.1"
        assert "authorization" not in request.headers
        return response

    return GatewayClient("http://gateway", IDENTITY, http=httpx.AsyncClient(transport=httpx.MockTransport(handle)))


async def test_a_web_page_is_not_an_answer() -> None:
    client = answering(WEB_PAGE)

    for call in (client.startup, client.live, client.models):
        with pytest.raises(GatewayAnswerUnreadable):
            await call()
    with pytest.raises(GatewayAnswerUnreadable):
        await client.rpc("health")


async def test_a_probe_that_says_no_is_read_too() -> None:
    starting = answering(httpx.Response(503, json={"ok": False, "status": "starting"}))

    assert not (await starting.startup()).started


async def test_rpc_answers_the_payload_or_says_who_refused() -> None:
    good = {"id": "1", "ok": True, "payload": {"ok": True}}
    refused = {
        "id": "1",
        "ok": False,
        "error": {"code": "INVALID_REQUEST", "message": "admin HTTP RPC method is not supported"},
    }
    busy = {"id": "1", "ok": False, "error": {"code": "UNAVAILABLE", "message": "suspending"}}

    assert await answering(httpx.Response(200, json=good)).rpc("health") == {"ok": True}
    with pytest.raises(RpcFailed) as failure:
        await answering(httpx.Response(400, json=refused)).rpc("chat.send")
    assert failure.value.error_code == "INVALID_REQUEST"
    with pytest.raises(GatewayBusy):
        await answering(httpx.Response(503, json=busy)).rpc("health")


@pytest.mark.parametrize("status", [401, 403])
async def test_a_gateway_that_does_not_know_us_is_no_reason_to_wait(status: int) -> None:
    client = answering(httpx.Response(status, json={"error": {"message": "Unauthorized", "type": "unauthorized"}}))

    with pytest.raises(GatewayRefused):
        await client.rpc("health")
    with pytest.raises(GatewayRefused):
        async with client.chat({"messages": []}):
            pass


async def test_nothing_listening_is_temporary() -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(GatewayUnreachable) as failure:
            await GatewayClient("http://127.0.0.1:9", IDENTITY, http=http).startup()
    assert failure.value.retry_after == 1


async def test_chat_hands_the_models_own_error_on() -> None:
    broke = httpx.Response(402, json={"error": {"message": "402 Insufficient credits", "type": "insufficient_quota"}})

    async with answering(broke).chat({"messages": []}) as answer:
        assert (answer.status, answer.content_type) == (402, "application/json")
        assert b"insufficient_quota" in b"".join([chunk async for chunk in answer.chunks])


async def test_a_stream_that_breaks_off_is_reported_as_such() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"data: one\n\n"
        raise httpx.ReadError("gone")

    response = httpx.Response(200, content=broken(), headers={"content-type": "text/event-stream"})
    with pytest.raises(GatewayUnreachable):
        async with answering(response).chat({"messages": [], "stream": True}) as answer:
            assert [chunk async for chunk in answer.chunks]
