"""Accounts: one's own, and, for operators, everybody's."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from clawdeploy_api import accounts, api_keys, audit, instance_rows
from clawdeploy_api.accounts import NewAccount
from clawdeploy_api.authentication import OperatorSignedIn, SignedIn
from clawdeploy_api.endpoints.contexts import reading_context
from clawdeploy_api.endpoints.documented import AccountId, Cursor, Limit, mutation_problems, problems
from clawdeploy_api.gateway import TheGateway
from clawdeploy_api.idempotency import Answer
from clawdeploy_api.instance_rows import Filters
from clawdeploy_api.mutations import TheMutation
from clawdeploy_api.public.account import Account, CreateAccount, Me, NewAccountWithKey, Quota
from clawdeploy_api.public.instance import Instance
from clawdeploy_common.cursors import Page, decode_id, encode_id
from clawdeploy_common.work import UnitOfWork

router = APIRouter(tags=["accounts"])


@router.get("/me", responses=problems(), summary="Show my account")
async def get_me(gateway: TheGateway, person: SignedIn) -> Me:
    """Its plan, its role and its quota."""
    async with gateway.database.web_transaction(person.account_id) as unit:
        row = await accounts.get(unit, person.account_id)
    return Me.model_validate(_fields(row))


@router.post(
    "/accounts",
    status_code=201,
    response_model=NewAccountWithKey,
    responses=mutation_problems(403),
    summary="Create an account",
)
async def create_account(body: CreateAccount, mutation: TheMutation, _: OperatorSignedIn) -> Response:
    """For operators. Answers the account's first API key, which is shown this once."""
    new = NewAccount(
        name=body.name,
        plan=body.plan or mutation.gateway.settings.default_plan,
        external_id=body.external_id,
        max_instances=body.max_instances,
    )

    async def effect(unit: UnitOfWork) -> Answer:
        account_id = await accounts.add(unit, new)
        key = api_keys.new_key()
        await api_keys.add(unit, key, account_id=account_id, label="first")
        await audit.write(unit, mutation.actor, "account.create", subject=account_id)
        fields = _all_fields(await accounts.get(unit, account_id))
        return Answer(
            status=201,
            body=NewAccountWithKey.model_validate({**fields, "api_key": key}),
            stored=NewAccountWithKey.model_validate({**fields, "api_key": None}),
        )

    return await mutation.run(effect, as_owner=True)


@router.get("/accounts", responses=problems(403), summary="List accounts")
async def list_accounts(
    gateway: TheGateway, _: OperatorSignedIn, limit: Limit = 50, cursor: Cursor = None
) -> Page[Account]:
    """For operators; the oldest first."""
    async with gateway.database.transaction() as unit:
        found = await accounts.page(unit, cursor=cursor, limit=limit)
    items = [Account.model_validate(_all_fields(row)) for row in found.items]
    return Page(items=items, next_cursor=found.next_cursor)


@router.get("/accounts/{account_id}/instances", responses=problems(403, 404), summary="List an account's instances")
async def list_account_instances(
    account_id: AccountId, gateway: TheGateway, operator: OperatorSignedIn, limit: Limit = 50, cursor: Cursor = None
) -> Page[Instance]:
    """For operators; the newest first."""
    async with gateway.database.transaction() as unit:
        await accounts.get(unit, account_id)
    context = await reading_context(gateway, operator)
    async with gateway.database.web_transaction(account_id) as unit:
        rows = await instance_rows.page(unit, account_id, Filters(), before=decode_id(cursor), limit=limit + 1)
    items = [context.show(row) for row in rows[:limit]]
    return Page(items=items, next_cursor=encode_id(items[-1].id) if len(rows) > limit else None)


def _fields(row: Any) -> dict[str, Any]:
    quota = Quota(max_instances=row.max_instances, used=row.used)
    return {"id": row.id, "name": row.name, "plan": row.plan, "role": row.role, "quota": quota}


def _all_fields(row: Any) -> dict[str, Any]:
    return {**_fields(row), "external_id": row.external_id, "created_at": row.created_at}
