"""Which of an agent's last lines is told to a person."""

import pytest

from clawdeploy_provisioner.providers.protocol import ExitedBeforeReady, telling_line

REASON = "[openclaw] Reason: another gateway instance is already listening"
ADVICE = ["[openclaw] The CLI command failed.", "[openclaw] Try: openclaw doctor", "[openclaw] Help: openclaw --help"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ([], None),
        (["", "boom"], "boom"),
        ([REASON, *ADVICE], "another gateway instance is already listening"),
        (["the disk is full", *ADVICE], "the disk is full"),
        (ADVICE, None),
        (["the port is taken", "[gateway] SECURITY WARNING: deviceAutoApprove.scopes"], "the port is taken"),
    ],
)
def test_the_reason_is_told_before_general_advice(lines: list[str], told: str | None) -> None:
    assert telling_line(lines) == told


def test_an_exit_without_lines_still_reads_well() -> None:
    assert str(ExitedBeforeReady(1, [])) == "OpenClaw ended before it was ready (exit code 1)"
