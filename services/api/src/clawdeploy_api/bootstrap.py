"""The first account: an administrator whose key the platform's owner brings."""

import asyncio

import structlog
from pydantic import SecretStr

from clawdeploy_api import accounts, api_keys
from clawdeploy_api.accounts import NewAccount
from clawdeploy_api.api_keys import ApiKeys
from clawdeploy_common.database import Database
from clawdeploy_common.errors import TemporaryError
from clawdeploy_events.deployments import BOOTSTRAP_ACCOUNT

log = structlog.get_logger()

LABEL = "bootstrap"


class Bootstrap:
    """Makes sure, after every start, that the owner's key opens the bootstrap account and no earlier one does."""

    def __init__(self, database: Database, keys: ApiKeys, *, key: SecretStr | None, max_instances: int) -> None:
        self._database = database
        self._keys = keys
        self._key = key
        self._max_instances = max_instances
        self._done = asyncio.Event()

    async def run(self) -> None:
        """Ensure once; stays, because a loop that returns is started again."""
        await self.ensure()
        await asyncio.Event().wait()

    async def ensure(self) -> None:
        """Idempotent: create what is missing, replace the key when it changed."""
        if self._key is not None:
            new = NewAccount(name="admin", plan="enterprise", role="admin", max_instances=self._max_instances)
            async with self._database.transaction() as unit:
                await accounts.add(unit, new, account_id=BOOTSTRAP_ACCOUNT)
                await api_keys.replace(unit, self._key.get_secret_value(), account_id=BOOTSTRAP_ACCOUNT, label=LABEL)
            self._keys.forget()
            log.info("account.bootstrapped", account_id=str(BOOTSTRAP_ACCOUNT))
        self._done.set()

    async def wait(self, seconds: float = 5.0) -> None:
        """Return once the schema is there and the first key opens; raises TemporaryError when that takes longer."""
        if self._done.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._done.wait()
        except TimeoutError:
            raise TemporaryError("The gateway is starting.", retry_after=2) from None
