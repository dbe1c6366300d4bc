"""What goes into a cell's files, and where its calls go."""

from pathlib import Path

import pytest

from clawdeploy_provisioner.providers.docker.profiles import LIGHT, OPENCLAW, profile_of
from clawdeploy_provisioner.providers.docker.record import env_file
from clawdeploy_provisioner.providers.docker.relay import as_seen_from, loopback_port
from clawdeploy_provisioner.providers.docker.settings import DockerHost, DockerSettings
from clawdeploy_provisioner.providers.docker.sight import moment
from clawdeploy_provisioner.providers.protocol import ConfigurationRejected


@pytest.mark.parametrize("value", ["plain", "it's", 'say "x"', "a#b = c", "a\\nb", "`'", "$HOME ${HOME}", " spaced "])
def test_a_value_is_quoted_whole_in_a_quote_it_does_not_hold(value: str) -> None:
    text = env_file({"NAME": value}).decode()
    quote = text[5]
    assert text == f"NAME={quote}{value}{quote}\n"
    assert quote not in value


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "'`\""])
def test_a_value_that_cannot_be_quoted_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(ConfigurationRejected, match="NAME: cannot be given to an agent in a container"):
        env_file({"NAME": value})


def test_only_loopback_addresses_go_through_the_relay() -> None:
    assert as_seen_from("172.18.0.1", "http://127.0.0.1:4000/api/v1") == "http://172.18.0.1:4000/api/v1"
    assert as_seen_from("172.18.0.1", "http://localhost/v1") == "http://172.18.0.1:80/v1"
    assert as_seen_from("172.18.0.1", "https://openrouter.ai/api/v1") == "https://openrouter.ai/api/v1"
    assert loopback_port("https://10.0.0.1/v1") is None


def test_an_image_is_light_by_its_label_or_its_name() -> None:
    assert profile_of("nginx:1.27", {}) is LIGHT
    assert profile_of("registry:5000/some/nginx@sha256:00", {}) is LIGHT
    assert profile_of("ghcr.io/openclaw/openclaw:2026.9.6", {}) is OPENCLAW
    assert profile_of("anything", {"clawdeploy.profile": "light"}) is LIGHT


def test_a_docker_host_is_a_name_and_a_url() -> None:
    host = DockerHost.parse("attic=tcp://10.0.0.5:2376")
    assert (host.name, host.is_local, host.address()) == ("attic", False, "10.0.0.5")
    assert DockerHost.parse("local=unix:///var/run/docker.sock").address() == "127.0.0.1"
    for wrong in ("unix:///x", "a=http://x", "A=unix:///x", "=unix:///x"):
        with pytest.raises(ValueError, match="NAME=URL"):
            DockerHost.parse(wrong)


def test_a_platforms_id_is_made_once(tmp_path: Path) -> None:
    ids = {DockerSettings(hosts=(), home=tmp_path / "home").platform for _ in range(3)}
    assert len(ids) == 1
    assert [file.name for file in (tmp_path / "home").iterdir()] == ["platform"]


def test_moments_of_the_engine_have_nanoseconds() -> None:
    seen = moment("2026-11-21T14:18:33.528701234Z")
    assert seen is not None
    assert seen.isoformat() == "2026-11-21T14:18:33.528701+00:00"
    assert moment("0001-01-01T00:00:00Z") is None
