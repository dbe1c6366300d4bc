"""Where a new agent runs that names no place."""

import pytest

from clawdeploy_api.engines import Known
from clawdeploy_api.places import places_of
from clawdeploy_api.settings import ApiSettings
from clawdeploy_common.errors import InvalidInput


def settings(**changes: str) -> ApiSettings:
    required = {"database_url": "postgresql://x", "database_web_url": "postgresql://x", "internal_secret": "s" * 40}
    return ApiSettings.model_validate({**required, "kafka_bootstrap_servers": "x:1", **changes})


def offered(known: Known, **changes: str) -> list[str]:
    return [provider.id for provider in places_of(settings(**changes), known).offered]


def test_docker_comes_first_only_when_an_engine_has_the_image() -> None:
    assert offered(Known()) == ["process"]
    assert offered(Known(docker=True)) == ["process", "docker"]
    assert offered(Known(docker=True, docker_ready=True)) == ["docker", "process"]


def test_what_is_set_wins() -> None:
    assert offered(Known(docker=True, docker_ready=True), providers="process") == ["process"]
    assert offered(Known(), providers="docker,process") == ["docker", "process"]


def test_docker_hosts_are_its_regions_and_what_is_not_offered_is_refused() -> None:
    hosts = "local=unix:///var/run/docker.sock,attic=tcp://10.0.0.5:2376"
    places = places_of(settings(docker_hosts=hosts), Known(docker=True, docker_ready=True))
    assert places.choose(None).regions == ("local", "attic")
    with pytest.raises(InvalidInput):
        places_of(settings(), Known()).choose("docker")


@pytest.mark.parametrize(
    ("cloud", "variable"),
    [("hetzner", "HETZNER_API_TOKEN"), ("digitalocean", "DIGITALOCEAN_API_TOKEN"), ("ovh", "OVH_CONSUMER_KEY")],
)
def test_a_cloud_that_is_not_connected_says_how_it_is(cloud: str, variable: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        places_of(settings(), Known()).choose(cloud)
    reason = str(refusal.value)
    assert variable in reason
    assert "docs/cloud-accounts.md" in reason
    assert f"CLAWDEPLOY_EMULATED_CLOUDS={cloud}" in reason


def test_machines_of_the_operators_own_are_offered_last_and_only_when_there_are_any() -> None:
    known = Known(own_regions=("attic", "home"))
    assert offered(known) == ["process", "own"]
    assert offered(known, clouds="hetzner") == ["process", "hetzner", "own"]
    assert places_of(settings(), known).choose("own").regions == ("attic", "home")
    with pytest.raises(InvalidInput, match="claw servers add"):
        places_of(settings(), Known()).choose("own")
