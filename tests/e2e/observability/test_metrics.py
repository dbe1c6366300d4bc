"""Metrics, alerts and the dashboard against a real Prometheus that scrapes the running platform."""

import json
import shutil
from collections.abc import AsyncGenerator, Iterable
from contextlib import suppress
from typing import Any

import httpx
import pytest
import yaml
from infra.grafana import dashboard

from tests.chaos.whole_platform import SERVICES, WholePlatform, eventually
from tests.e2e.local import open_folder
from tests.e2e.observability.conftest import METRICS_TOKEN
from tests.engines.prometheus import INFRA, Prometheus, promtool, require_prometheus

RULES = INFRA / "prometheus" / "rules" / "clawdeploy.yml"


@pytest.fixture(scope="module")
async def prometheus(platform: WholePlatform) -> AsyncGenerator[Prometheus]:
    """A Prometheus that has seen a deploy and a destroy."""
    require_prometheus()
    folder = open_folder()
    prometheus = Prometheus(folder / "prometheus", token=METRICS_TOKEN)
    prometheus.watch({name: platform.url(name).removeprefix("http://") for name in SERVICES})
    try:
        prometheus.start()
        await eventually(lambda: _up(prometheus))
        asked = await platform.deploy("measured")
        await platform.reaches(asked["id"], "running")
        yield prometheus
    finally:
        prometheus.stop()
        shutil.rmtree(folder)


async def _up(prometheus: Prometheus) -> bool:
    with suppress(httpx.TransportError, json.JSONDecodeError):
        return len(prometheus.query('up{job="clawdeploy"} == 1')) == len(SERVICES)
    return False


def expressions() -> Iterable[tuple[str, str]]:
    """Every query of the dashboard with its legend."""
    return [query for panels in dashboard.ROWS.values() for panel in panels for query in panel.queries]


def alerts() -> list[dict[str, Any]]:
    """Every alert."""
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


async def test_every_query_of_the_dashboard_answers_with_data_after_a_deploy(prometheus: Prometheus) -> None:
    empty: list[str] = []

    async def all_answer() -> bool:
        empty[:] = [query for query, _ in expressions() if not prometheus.query(query)]
        return not empty

    with suppress(TimeoutError):
        await eventually(all_answer)
    assert not empty


async def test_every_alert_can_be_asked_and_none_fires_on_a_platform_that_is_well(prometheus: Prometheus) -> None:
    for alert in alerts():
        prometheus.query(alert["expr"])
    groups = prometheus.ask("rules")["groups"]
    states = {rule["name"]: (rule["health"], rule["state"]) for group in groups for rule in group["rules"]}
    assert states.keys() == {alert["alert"] for alert in alerts()}
    assert not [name for name, (_, state) in states.items() if state == "firing"]


async def test_a_service_that_is_gone_is_noticed(prometheus: Prometheus, platform: WholePlatform) -> None:
    platform.kill("monitor")

    async def noticed() -> bool:
        return [s["metric"]["service"] for s in prometheus.query('up{job="clawdeploy"} == 0')] == ["monitor"]

    await eventually(noticed)
    platform.start("monitor")
    await eventually(lambda: _up(prometheus))


async def test_promtool_finds_nothing_to_say_about_the_metrics(prometheus: Prometheus, platform: WholePlatform) -> None:
    """INVARIANT: names follow Prometheus' conventions."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {METRICS_TOKEN}"}) as http:
        for name in SERVICES:
            text = (await http.get(f"{platform.url(name)}/metrics")).text
            assert "clawdeploy_http_request_duration_seconds" in text
            checked = promtool("check", "metrics", stdin=text)
            assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", ""), name


async def test_no_label_holds_an_id(prometheus: Prometheus, platform: WholePlatform) -> None:
    """INVARIANT: the number of series does not grow with instances, accounts or events."""
    uuid = "[0-9a-f]{8}-[0-9a-f]{4}-.*"
    for label in prometheus.ask("labels"):
        assert not prometheus.query(f'{{{label}=~".*{uuid}"}}'), label


async def test_metrics_are_for_those_who_have_the_token(platform: WholePlatform) -> None:
    async with httpx.AsyncClient() as http:
        for name in SERVICES:
            assert (await http.get(f"{platform.url(name)}/metrics")).status_code == 401
            wrong = {"Authorization": "Bearer something-else"}
            assert (await http.get(f"{platform.url(name)}/metrics", headers=wrong)).status_code == 401


def test_the_configuration_and_the_rules_are_valid_and_every_alert_is_tried() -> None:
    """Each alert has a case in which it fires, one in which it does not, and a section in the runbooks."""
    require_prometheus()
    syntax = promtool("check", "config", "--syntax-only", INFRA / "prometheus" / "prometheus.yml")
    assert syntax.returncode == 0, syntax.stderr
    assert promtool("check", "rules", RULES).returncode == 0
    cases = INFRA / "prometheus" / "tests" / "clawdeploy.yml"
    tried = promtool("test", "rules", cases)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    names = {case["name"] for case in yaml.safe_load(cases.read_text())["tests"]}
    runbooks = (INFRA.parent / "docs" / "runbooks.md").read_text().splitlines()
    for alert in alerts():
        name = alert["alert"]
        assert {f"{name} fires", f"{name} stays quiet"} <= names
        assert alert["annotations"]["runbook"] == f"docs/runbooks.md#{name.lower()}"
        assert f"## {name}" in runbooks
