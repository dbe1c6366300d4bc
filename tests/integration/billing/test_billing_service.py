"""Billing's schema, its wall, and its start without a management key."""

from uuid import uuid4

import httpx
from sqlalchemy import text
from tests.integration.billing.books import Books
from tests.integration.billing.life import Life

from clawdeploy_billing.main import build
from clawdeploy_billing.models import metadata
from clawdeploy_common.migrating import differences
from clawdeploy_common.tables import projections_of


async def test_migrations_and_models_agree(books: Books) -> None:
    assert await differences(books.settings.database_url.get_secret_value(), schema="billing", metadata=metadata) == []


def test_every_table_says_whether_it_is_owned_or_a_projection() -> None:
    """INVARIANT: every table is declared owned or projection; of billing's none may be thrown away."""
    assert {table.info.get("kind") for table in metadata.tables.values()} == {"owned"}
    assert projections_of(metadata) == []


async def test_a_replay_re_charges_nothing(books: Books) -> None:
    """INVARIANT: a replay of the whole log re-charges and re-tells nothing."""
    life, server, deploy = Life(), uuid4(), uuid4()
    records = [life.created(server, deploy), life.succeeded(server, deploy), life.destroyed(server, hours=1)]
    await books.receive(*records)
    lines, told = await books.lines(), await books.rows("SELECT event_id FROM outbox ORDER BY id")
    async with books.service.database.transaction() as unit:
        await books.service.inbox.replay(unit, records)
    assert await books.lines() == lines
    assert await books.rows("SELECT event_id FROM outbox ORDER BY id") == told


async def test_the_web_role_sees_one_accounts_lines(books: Books) -> None:
    """INVARIANT: a tenant is a wall."""
    lives = [Life(), Life()]
    for life in lives:
        server, deploy = uuid4(), uuid4()
        await books.receive(
            life.created(server, deploy), life.succeeded(server, deploy), life.destroyed(server, hours=1)
        )
    for account, expected in ((lives[0].account_id, 2), (uuid4(), 0), (None, 0)):
        async with books.service.database.web_transaction(account) as unit:
            rows = (await unit.session.execute(text("SELECT account_id FROM ledger_lines"))).all()
        assert [row.account_id for row in rows] == [account] * expected


async def test_health_answers_without_a_management_key(books: Books) -> None:
    service, app = build(books.settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://billing") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok", "service": "billing"}
    await service.database.close()
