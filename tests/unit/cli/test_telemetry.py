"""What of a person's telemetry settings reaches the services."""

from pathlib import Path

import pytest

from clawdeploy_cli.settings import CliSettings


def test_standard_variables_of_the_environment_and_of_the_file_reach_the_services(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / ".env"
    file.write_text("OTEL_EXPORTER_OTLP_ENDPOINT=http://file:4318\nOTEL_TRACES_SAMPLER=always_on\n")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://environment:4318")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "one-name-for-all")
    passed = CliSettings(_env_file=file).telemetry  # pyright: ignore[reportCallIssue] - pydantic-settings' own argument
    assert passed["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://environment:4318"
    assert passed["OTEL_TRACES_SAMPLER"] == "always_on"
    assert "OTEL_SERVICE_NAME" not in passed
