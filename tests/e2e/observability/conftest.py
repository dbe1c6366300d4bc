"""One platform for the whole folder: the four services, a light provider, and whoever watches them."""

import shutil
from collections.abc import AsyncGenerator, Generator

import pytest

from clawdeploy_cli.engines.broker import CLIENT_SETTINGS
from tests.chaos.whole_platform import WholePlatform, whole_platform
from tests.e2e.local import open_folder
from tests.e2e.observability.collector import Collector, collecting
from tests.engines.wheels import RunningBroker, RunningPostgres

METRICS_TOKEN = "a-token-that-only-prometheus-knows"
COLLECTOR_TOKEN = "a-token-that-only-the-collector-knows"


@pytest.fixture(scope="package")
def collector_at() -> Generator[tuple[Collector, str]]:
    with collecting() as found:
        yield found


@pytest.fixture(scope="package")
def collector(collector_at: tuple[Collector, str]) -> Collector:
    return collector_at[0]


@pytest.fixture(scope="package")
async def platform(collector_at: tuple[Collector, str]) -> AsyncGenerator[WholePlatform]:
    folder = open_folder()
    postgres, broker = RunningPostgres(folder / "postgres"), RunningBroker(folder / "broker")
    more = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector_at[1],
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer {COLLECTOR_TOKEN}",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "CLAWDEPLOY_METRICS_TOKEN": METRICS_TOKEN,
    }
    try:
        await postgres.start()
        await broker.start()
        kafka = {**CLIENT_SETTINGS, "CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers}
        async with whole_platform(folder / "services", postgres=postgres, kafka=kafka, more=more) as platform:
            yield platform
    finally:
        broker.kill()
        postgres.remove()
        shutil.rmtree(folder)
