"""Who Prometheus may scrape on this platform, in the format of its file_sd (docs/observability.md)."""

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from clawdeploy_cli.home import Home
from clawdeploy_cli.secret_store import write_private
from clawdeploy_cli.supervisor.environment import SERVICES
from clawdeploy_cli.supervisor.spec import ProcessSpec


def write_targets(home: Home, specs: Sequence[ProcessSpec]) -> None:
    """Write one group for each of our services, labelled with its name."""
    groups = [
        {"targets": [urlsplit(spec.address).netloc], "labels": {"service": spec.name}}
        for spec in specs
        if spec.name in SERVICES and spec.address
    ]
    write_private(home.prometheus_targets, json.dumps(groups, indent=2) + "\n")
