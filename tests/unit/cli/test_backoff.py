"""When a process is started again."""

from clawdeploy_cli.supervisor.backoff import Backoff


def test_each_exit_within_a_minute_doubles_the_wait_up_to_fifteen_seconds() -> None:
    backoff = Backoff()
    assert [backoff.exited(second) for second in range(9)] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]


def test_a_process_has_failed_after_five_exits_within_a_minute() -> None:
    backoff = Backoff()
    for second in range(4):
        backoff.exited(second)
    assert not backoff.has_failed(4)
    backoff.exited(5)
    assert backoff.has_failed(5)


def test_exits_are_forgotten_after_a_minute() -> None:
    backoff = Backoff()
    for second in range(5):
        backoff.exited(second)
    assert not backoff.has_failed(61.5)
    assert backoff.exited(200) == 0.2
