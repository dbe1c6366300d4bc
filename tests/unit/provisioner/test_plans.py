"""Which steps an operation takes."""

from clawdeploy_events.lifecycle import OperationKind
from clawdeploy_provisioner.operations.plans import DEPLOY, REMOVE, TITLES, steps_of


def redeploy(*, in_place: bool = False, keep_state: bool = False, llm_key: str = "minted") -> list[str]:
    kind = OperationKind.REDEPLOY
    return list(steps_of(kind, llm_key=llm_key, restarts=False, in_place=in_place, keep_state=keep_state))


def test_a_redeployment_removes_and_deploys() -> None:
    assert redeploy() == [*REMOVE, *DEPLOY]


def test_what_is_kept_is_saved_before_anything_is_destroyed_and_restored_before_it_is_configured() -> None:
    """INVARIANT: the platform's configuration and secrets are written over what was restored, never the other way round."""
    kept = redeploy(keep_state=True)
    assert [step for step in kept if "state" not in step] == redeploy()
    assert kept[0] == "save_state"
    assert kept[kept.index("restore_state") - 1 :][:3] == ["install", "restore_state", "write_configuration"]


def test_in_place_too() -> None:
    kept = redeploy(in_place=True, keep_state=True)
    assert kept[:2] == ["save_state", "rebuild_server"]
    assert [step for step in kept if "state" not in step] == redeploy(in_place=True)
    assert "create_server" not in kept


def test_a_users_own_key_is_not_minted() -> None:
    assert "mint_llm_key" not in redeploy(keep_state=True, llm_key="own")


def test_only_a_redeployment_keeps_a_state_and_every_step_has_a_title() -> None:
    for kind in set(OperationKind) - {OperationKind.UNKNOWN}:
        steps = steps_of(kind, llm_key="minted", restarts=True)
        assert not {"save_state", "restore_state"} & set(steps)
        assert set(steps) <= TITLES.keys()
    assert set(redeploy(in_place=True, keep_state=True)) <= TITLES.keys()
