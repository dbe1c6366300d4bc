"""What is chosen for an agent, and the file it becomes."""

from pathlib import PurePosixPath
from typing import Any

import pytest
from pydantic import ValidationError

from clawdeploy_common.ids import new_id
from clawdeploy_provisioner.openclaw.channels import Channel, plugin_spec
from clawdeploy_provisioner.openclaw.checking import fingerprint
from clawdeploy_provisioner.openclaw.config import AgentConfig, GatewayIdentity, ModelEntry
from clawdeploy_provisioner.openclaw.rendering import Placement, render

TOKENS = {"LLM_API_KEY", "TELEGRAM_BOT_TOKEN", "DISCORD_BOT_TOKEN"}


def config(**changes: Any) -> AgentConfig:
    fields: dict[str, Any] = {
        "identity": GatewayIdentity.for_instance(new_id()),
        "llm_base_url": "https://openrouter.ai/api/v1",
        "model": "openai/gpt-5.2",
        "channels": (Channel.TELEGRAM,),
    }
    return AgentConfig(**(fields | changes))


def placed(port: int = 21_000, folder: str = "/srv/one") -> Placement:
    return Placement(
        port=port,
        bind="loopback",
        trusted_proxies=("127.0.0.1",),
        allow_loopback=True,
        workspace=PurePosixPath(folder, "workspace"),
        log_file=PurePosixPath(folder, "openclaw.log"),
    )


def rendered(
    chosen: AgentConfig, *, variables: set[str] = TOKENS, placement: Placement | None = None
) -> dict[str, Any]:
    return render(chosen, placement=placement or placed(), variables=variables)


def test_what_spends_or_leaks_is_off_and_only_the_platform_gets_in() -> None:
    """INVARIANT: no token, one trusted proxy, one user, a header name of the instance's own."""
    chosen = config()

    document = rendered(chosen)

    assert document["gateway"]["auth"] == {
        "mode": "trusted-proxy",
        "trustedProxy": {
            "userHeader": chosen.identity.header,
            "allowUsers": [chosen.identity.user],
            "allowLoopback": True,
            "deviceAutoApprove": document["gateway"]["auth"]["trustedProxy"]["deviceAutoApprove"],
        },
    }
    assert document["gateway"]["mode"] == "local"
    assert document["gateway"]["terminal"] == {"enabled": False}
    assert document["gateway"]["controlUi"]["communityInvite"] is False
    assert document["gateway"]["http"] == {"endpoints": {"chatCompletions": {"enabled": True}}}
    assert document["agents"]["defaults"]["heartbeat"] == {"every": "0m"}
    assert document["discovery"] == {"mdns": {"mode": "off"}}
    assert document["update"] == {"checkOnStart": False, "auto": {"enabled": False}}
    assert document["telemetry"] == {"enabled": False}
    assert document["models"]["providers"]["openrouter"]["apiKey"] == "${LLM_API_KEY}"
    assert document["agents"]["defaults"]["model"] == {"primary": "openrouter/openai/gpt-5.2"}


def test_a_channel_without_its_token_is_left_out() -> None:
    document = rendered(config(channels=(Channel.TELEGRAM, Channel.DISCORD)), variables={"DISCORD_BOT_TOKEN"})

    assert list(document["channels"]) == ["discord"]
    assert document["plugins"]["allow"] == ["admin-http-rpc", "openrouter", "discord"]
    assert "channels" not in rendered(config(), variables=set())


def test_a_token_is_named_never_written() -> None:
    assert rendered(config())["channels"]["telegram"] == {
        "enabled": True,
        "botToken": "${TELEGRAM_BOT_TOKEN}",
        "dmPolicy": "pairing",
        "allowFrom": [],
    }


def test_the_full_set_of_plugins_has_no_list() -> None:
    lean, full = rendered(config())["plugins"], rendered(config(plugins="full"))["plugins"]

    assert lean["slots"] == {"memory": "none"}
    assert "allow" not in full
    assert "slots" not in full
    assert full["entries"] == {"admin-http-rpc": {"enabled": True}, "telegram": {"enabled": True}}


def test_overrides_add_but_never_take_away() -> None:
    chosen = config(
        overrides={
            "agents": {"defaults": {"thinkingDefault": "low", "heartbeat": {"every": "1m"}}},
            "tools": {"deny": ["exec"]},
        }
    )

    document = rendered(chosen)

    assert document["tools"] == {"deny": ["exec"]}
    assert document["agents"]["defaults"]["thinkingDefault"] == "low"
    assert document["agents"]["defaults"]["heartbeat"] == {"every": "0m"}


@pytest.mark.parametrize("section", ["gateway", "models", "plugins", "logging", "env", "channels"])
def test_sections_that_decide_who_gets_in_and_who_pays_are_closed(section: str) -> None:
    with pytest.raises(ValidationError, match=section):
        config(overrides={section: {}})


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "noprovider"},
        {"model": "two words"},
        {"llm_base_url": "not a url"},
        {"dm_policy": "open"},
        {"unknown": 1},
    ],
)
def test_what_openclaw_would_let_pass_is_refused_by_the_types(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        config(models=(ModelEntry(id="openai/gpt-5.2", name="GPT"),), **changes)


def test_two_instances_never_share_an_identity() -> None:
    assert len({GatewayIdentity.for_instance(new_id()).header for _ in range(100)}) == 100
    assert GatewayIdentity.for_instance(new_id()).header not in repr(GatewayIdentity.for_instance(new_id()))


def test_a_plugin_comes_in_openclaws_own_version() -> None:
    assert plugin_spec(Channel.DISCORD) == "npm:@openclaw/discord@2026.9.6"
    assert plugin_spec(Channel.TELEGRAM) is None


def test_configurations_that_differ_only_in_whose_they_are_have_one_shape() -> None:
    one = rendered(config(), placement=placed())
    two = rendered(config(model="google/gemini-3-flash"), placement=placed(22_000, "/srv/two"))

    assert fingerprint(one) == fingerprint(two)


@pytest.mark.parametrize(
    "other",
    [
        config(plugins="full"),
        config(channels=()),
        config(overrides={"tools": {"nonsense": 1}}),
        config(dm_policy="disabled"),
    ],
)
def test_every_other_difference_is_another_shape(other: AgentConfig) -> None:
    assert fingerprint(rendered(config())) != fingerprint(rendered(other))
