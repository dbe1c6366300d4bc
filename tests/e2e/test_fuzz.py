"""Generated requests against the whole platform: no 5xx, nothing that the OpenAPI document does not tell."""

# schemathesis leaves its decorators and cases partly untyped; what they hand over is checked by running.
# pyright: reportUnknownMemberType=false, reportUntypedFunctionDecorator=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUnknownParameterType=false

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.e2e.local import Local, open_folder

schema = schemathesis.openapi.from_path(Path(__file__).parents[2] / "docs" / "openapi.json")

# Endless by nature; tests/integration/api reads them.
STREAMS = ["/v1/stream"]
# With an operator's key these would deploy real agents, or make every later request wait for a replay.
COSTLY = ["/v1/instances", "/v1/admin/services/{service}/replay"]
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
AnyCase = Case[Any]
FEW = settings(
    max_examples=8,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)


class Fuzzed(Local):
    """A platform without limits on requests, and the keys of two kinds of account."""

    @property
    def environment(self) -> dict[str, str]:
        """Lift the limits: this test is about answers."""
        return {**super().environment, "CLAWDEPLOY_MUTATIONS_PER_MINUTE": "0", "CLAWDEPLOY_DEPLOYS_PER_MINUTE": "0"}

    @property
    def url(self) -> str:
        """Where the gateway answers."""
        return f"http://127.0.0.1:{self.port}"

    def user_key(self) -> str:
        """The key of a new account whose plan allows no instance."""
        made = self.claw("api", "POST", "/v1/accounts", "--data", json.dumps({"name": "fuzz", "plan": "free"}))
        return json.loads(made.stdout)["api_key"]


@pytest.fixture(scope="module")
def platform() -> Generator[Fuzzed]:
    running = Fuzzed(open_folder() / "fuzz")
    up = running.claw("up")
    assert up.returncode == 0, up.stderr
    yield running
    running.claw("clean", "--yes")


@pytest.fixture(scope="module")
def user_key(platform: Fuzzed) -> str:
    return platform.user_key()


@pytest.fixture(scope="module")
def admin_key(platform: Fuzzed) -> str:
    return platform.claw("auth", "token").stdout.strip()


@schema.exclude(path=STREAMS).parametrize()
@FEW
def test_a_person_meets_only_documented_answers(case: AnyCase, platform: Fuzzed, user_key: str) -> None:
    check(case, platform, user_key)


@schema.exclude(path=[*STREAMS, *COSTLY]).parametrize()
@FEW
def test_an_operator_meets_only_documented_answers(case: AnyCase, platform: Fuzzed, admin_key: str) -> None:
    check(case, platform, admin_key)


def check(case: AnyCase, platform: Fuzzed, key: str) -> None:
    """Send and judge by the document; that a valid request may be refused for a reason of state is no fault."""
    headers: dict[str, Any] = {"Authorization": f"Bearer {key}"}
    case.call_and_validate(base_url=platform.url, headers=headers, checks=CHECKS, timeout=30)
