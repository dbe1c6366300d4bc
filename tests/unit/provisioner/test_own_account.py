"""What the platform does not do to a machine of the operator's own."""

from datetime import UTC, datetime

import pytest

from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.providers.cloud.account import CloudAccount, Machine
from clawdeploy_provisioner.providers.own.account import NotOursToDo, OwnAccount
from clawdeploy_provisioner.providers.own.machines import OwnMachines
from clawdeploy_provisioner.providers.protocol import ServerState

MACHINE = Machine(
    server_id=new_id(),
    instance_id=None,
    ref="r",
    state=ServerState.RUNNING,
    host="nas.test",
    created_at=datetime.now(UTC),
)


@pytest.fixture
def account() -> CloudAccount:
    return OwnAccount(OwnMachines.__new__(OwnMachines))  # no database: what is refused asks nobody


async def test_it_is_neither_switched_nor_wiped(account: CloudAccount) -> None:
    with pytest.raises(NotOursToDo, match="nobody but its owner can switch"):
        await account.power_on(MACHINE)
    with pytest.raises(NotOursToDo, match="not heard of"):
        await account.power_off(MACHINE)
    with pytest.raises(NotOursToDo, match="redeploy it without --in-place"):
        await account.rebuild(MACHINE, None)


async def test_a_reference_that_is_no_servers_is_not_held(account: CloudAccount) -> None:
    assert not await account.holds("4711")
    assert await account.trouble("4711") is None
    assert await account.belongings() == []
