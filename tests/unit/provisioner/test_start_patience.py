"""How long a start may take."""

from clawdeploy_provisioner.steps.patience import StartPatience


class Start:
    """A start with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.patience = StartPatience(seconds=90, clock=lambda: self.now)

    def ends_after(self, *, writes_until: float) -> float:
        """Seconds until it is given up, looked at every second; the agent writes a line each ten."""
        for second in range(1, 1000):
            self.now = 1000.0 + second
            lines = [f"line {int(min(second, writes_until) // 10)}"]
            if self.patience.is_due() and self.patience.is_over(lines):
                return second
        raise AssertionError("it was never given up")


def test_a_start_that_stands_still_gets_ninety_seconds() -> None:
    assert Start().ends_after(writes_until=50) == 90


def test_a_slow_start_gets_longer_while_it_gets_further() -> None:
    assert Start().ends_after(writes_until=170) == 210


def test_a_start_never_takes_for_ever() -> None:
    assert Start().ends_after(writes_until=10_000) == 360


def test_the_complaint_says_how_long_and_what_was_written_last() -> None:
    start = Start()
    start.now += 91
    assert start.patience.complaint(["loading"]) == "OpenClaw did not start within 91 s: loading"
