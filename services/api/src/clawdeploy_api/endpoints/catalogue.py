"""The catalogue: models, channels, providers and plans, with prices."""

from fastapi import APIRouter

from clawdeploy_api import catalogue
from clawdeploy_api.authentication import SignedIn
from clawdeploy_api.endpoints.documented import problems
from clawdeploy_api.gateway import TheGateway
from clawdeploy_api.places import places_of
from clawdeploy_api.prices import PriceBook
from clawdeploy_api.public.catalogue import ChannelItem, ModelItem, PlanItem, PlanPrice, ProviderItem
from clawdeploy_common.cursors import Page

router = APIRouter(prefix="/catalogue", tags=["catalogue"])


@router.get("/models", responses=problems(), summary="List models")
async def list_models(gateway: TheGateway, _: SignedIn) -> Page[ModelItem]:
    """What an agent can think with."""
    book = await gateway.prices.current()
    items = [
        ModelItem(
            id=model.id,
            name=model.name,
            aliases=list(model.aliases),
            openrouter_id=model.openrouter_id,
            currency=book.currency,
            prompt_micros_per_million_tokens=model.prompt_micros,
            completion_micros_per_million_tokens=model.completion_micros,
            charge_percent=book.llm_charge_percent,
        )
        for model in catalogue.MODELS
    ]
    return Page(items=items)


@router.get("/channels", responses=problems(), summary="List channels")
async def list_channels(_: SignedIn) -> Page[ChannelItem]:
    """What people talk to an agent through."""
    return Page(items=[ChannelItem(id=c.id, name=c.name, bot_token=c.token) for c in catalogue.CHANNELS])


@router.get("/providers", responses=problems(), summary="List providers")
async def list_providers(gateway: TheGateway, _: SignedIn) -> Page[ProviderItem]:
    """Where agents can run now; the first is where one runs that names no provider."""
    places = places_of(gateway.settings, await gateway.engines.known())
    return Page(
        items=[ProviderItem(id=p.id, name=p.name, regions=list(p.regions), emulated=p.emulated) for p in places.offered]
    )


@router.get("/plans", responses=problems(), summary="List plans")
async def list_plans(gateway: TheGateway, _: SignedIn) -> Page[PlanItem]:
    """How many instances an account has, how large they are, and what they are charged."""
    book = await gateway.prices.current()
    items = [
        PlanItem(
            id=plan.id,
            name=plan.name,
            aliases=list(plan.aliases),
            max_instances=plan.max_instances,
            memory_mb=plan.memory_mb,
            cpu_millis=plan.cpu_millis,
            prices=_prices(book, plan.id),
        )
        for plan in catalogue.PLANS
    ]
    return Page(items=items)


def _prices(book: PriceBook, plan: str) -> list[PlanPrice]:
    return [
        PlanPrice(
            provider=price["provider"],
            currency=book.currency,
            charge_micros_per_hour=price["charge_micros_per_hour"],
            price_version=book.version,
        )
        for price in book.prices
        if price["plan"] == plan
    ]
