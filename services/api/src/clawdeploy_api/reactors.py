"""Events in, owned rows out: the account's feed, and what an instance's end gives back."""

from clawdeploy_api import accounts, resealed_secrets, sealed_secrets
from clawdeploy_common.events import Envelope, registry
from clawdeploy_common.handlers import Reactors
from clawdeploy_common.work import UnitOfWork
from clawdeploy_events.lifecycle import InstanceDestroyed, SecretResealed

reactors = Reactors()


@reactors.on_every
async def keep_in_feed(envelope: Envelope, uow: UnitOfWork) -> None:
    """Give every event of an account its position; a type this code does not know yet is not offered to subscribers."""
    if envelope.account_id is not None:
        known = registry.find(envelope.type)
        uow.feed.add(envelope, account_id=envelope.account_id, internal=known is None or known.internal)


@reactors.on(InstanceDestroyed)
async def on_instance_destroyed(event: InstanceDestroyed, uow: UnitOfWork) -> None:
    """Note the end of an instance, give its place back (once) and erase its secrets."""
    if await accounts.mark_instance_deleted(uow, uow.cause.key, at=event.destroyed_at):
        await sealed_secrets.forget(uow, uow.cause.key)


@reactors.on(SecretResealed)
async def on_secret_resealed(event: SecretResealed, uow: UnitOfWork) -> None:
    """Fetch what the provisioner sealed again, so that the old key can go."""
    await resealed_secrets.fetch_later(uow, event)
