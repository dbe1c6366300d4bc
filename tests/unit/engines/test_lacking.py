"""What a machine lacks must be seen."""

import pytest
from tests.engines.requirements import lacking


@pytest.mark.parametrize("value", ["true", "1"])
def test_a_lack_fails_in_ci(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.fail.Exception, match="no java"):
        lacking("no java")


@pytest.mark.parametrize("value", ["", "false"])
def test_a_lack_is_a_named_skip_elsewhere(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("CI", value)
    with pytest.raises(pytest.skip.Exception, match="no java"):
        lacking("no java")
