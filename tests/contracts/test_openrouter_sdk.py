"""OpenRouter's own SDK drives the stand-in over a loopback port and finds nothing amiss."""

from collections.abc import AsyncIterator
from datetime import date, datetime
from typing import Any

import httpx
import pytest
from openrouter import OpenRouter as Sdk
from openrouter import components, errors, operations

from tests.contracts.conftest import MANAGEMENT_KEY, Clock

HELLO: list[components.ChatMessagesTypedDict] = [{"role": "user", "content": "What is 2 + 2?"}]
MODEL = "anthropic/claude-opus-4.5"


@pytest.fixture
async def manager(openrouter_address: str) -> AsyncIterator[Sdk]:
    async with Sdk(api_key=MANAGEMENT_KEY, server_url=f"{openrouter_address}/api/v1", timeout_ms=10_000) as sdk:
        yield sdk


async def agent(manager: Sdk, address: str, **options: Any) -> tuple[str, Sdk]:
    """A fresh key's hash, and the SDK with that key."""
    created = await manager.api_keys.create_async(name="agent", **options)
    return created.data.hash, Sdk(api_key=created.key, server_url=f"{address}/api/v1", timeout_ms=10_000)


async def test_a_key_lives_and_dies(manager: Sdk) -> None:
    created = await manager.api_keys.create_async(name="i-1/op-1", limit=20, limit_reset="monthly")
    hash_ = created.data.hash
    assert created.key.startswith("sk-or-v1-")
    assert isinstance(created.data.created_at, str | datetime)
    changed = await manager.api_keys.update_async(hash=hash_, disabled=True, limit=30)
    assert (changed.data.disabled, changed.data.limit) == (True, 30)
    found = await manager.api_keys.get_async(hash=hash_)
    assert found.data.name == "i-1/op-1"
    assert [key.hash for key in (await manager.api_keys.list_async(include_disabled=True)).data] == [hash_]
    assert (await manager.api_keys.delete_async(hash=hash_)).DELETED is True
    with pytest.raises(errors.NotFoundResponseError):
        await manager.api_keys.get_async(hash=hash_)


@pytest.mark.filterwarnings(  # the SDK itself builds the deprecated `rate_limit` of every GET /key answer
    "ignore:warning. .. DEPRECATED .. - This will be removed in a future release:DeprecationWarning"
)
async def test_a_chat_costs_what_the_key_then_used(manager: Sdk, openrouter_address: str) -> None:
    hash_, sdk = await agent(manager, openrouter_address)
    async with sdk:
        answer = await sdk.chat.send_async(model=MODEL, messages=HELLO, stream=False)
        assert "2 + 2 = 4" in str(answer.choices[0].message.content)
        assert answer.usage is not None
        used = (await manager.api_keys.get_async(hash=hash_)).data.usage
        assert used == answer.usage.cost
        itself = await sdk.api_keys.get_current_key_metadata_async()
        assert itself.data.usage == used
        generation = await sdk.generations.get_generation_async(id=answer.id)
        assert generation.data.total_cost == used
        credit = await manager.credits.get_credits_async()
        assert credit.data.total_usage == used


async def test_a_chat_is_streamed(manager: Sdk, openrouter_address: str) -> None:
    _, sdk = await agent(manager, openrouter_address)
    async with sdk:
        stream = await sdk.chat.send_async(model=MODEL, messages=HELLO, stream=True)
        chunks = [event async for event in stream]
    said = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert "2 + 2 = 4" in said
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.cost == pytest.approx((usage.prompt_tokens * 5 + usage.completion_tokens * 25) / 10**6)


async def test_activity_of_yesterday(manager: Sdk, openrouter_address: str, clock: Clock) -> None:
    hash_, sdk = await agent(manager, openrouter_address)
    async with sdk:
        await sdk.chat.send_async(model=MODEL, messages=HELLO, stream=False)
    clock.advance(days=1)
    asked = operations.GetUserActivityRequest(date_="2026-11-21", api_key_hash=hash_)
    (row,) = (await manager.analytics.get_user_activity_async(request=asked)).data
    assert (row.model, row.requests, row.date_) == (MODEL, 1, str(date(2026, 11, 21)))


async def test_models_with_their_prices(manager: Sdk) -> None:
    listed = await manager.models.list_async()
    assert listed is not None
    prices = {model.id: model.pricing.completion for model in listed.result.data}
    assert prices[MODEL] == "0.000025"


async def test_refusals_are_the_errors_the_sdk_knows(manager: Sdk, openrouter_address: str) -> None:
    _, sdk = await agent(manager, openrouter_address, limit=0.000001)
    async with sdk:
        with pytest.raises(errors.ForbiddenResponseError):
            await sdk.api_keys.create_async(name="more")
        with pytest.raises(errors.BadRequestResponseError):
            await sdk.chat.send_async(model="nobody/nothing", messages=HELLO, stream=False)
        await sdk.chat.send_async(model=MODEL, messages=HELLO, stream=False)
        with pytest.raises(errors.PaymentRequiredResponseError) as spent:
            await sdk.chat.send_async(model=MODEL, messages=HELLO, stream=False)
    assert spent.value.data.error.metadata == {"limit_source": "openrouter_key_limit"}
    unknown = "sk-or-v1-nobody"
    async with Sdk(api_key=unknown, server_url=f"{openrouter_address}/api/v1") as nobody:
        with pytest.raises(errors.UnauthorizedResponseError):
            await nobody.api_keys.list_async()


async def test_faults_are_the_errors_the_sdk_knows(manager: Sdk, openrouter_address: str) -> None:
    faults = [
        {"method": "POST", "path_prefix": "/keys", "kind": "rate_limit", "seconds": 1},
        {"method": "POST", "path_prefix": "/keys", "kind": "server_error"},
    ]
    headers = {"Authorization": f"Bearer {MANAGEMENT_KEY}"}
    async with httpx.AsyncClient(base_url=openrouter_address, headers=headers) as http:
        await http.put("/_emulator/faults", json=faults)
    with pytest.raises(errors.TooManyRequestsResponseError) as limited:
        await manager.api_keys.create_async(name="a", retries=None)
    assert limited.value.headers["Retry-After"] == "1"
    with pytest.raises(errors.InternalServerResponseError):
        await manager.api_keys.create_async(name="a", retries=None)
