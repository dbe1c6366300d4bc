"""How long an answer asks to wait."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from clawdeploy_common.http import Response, retry_after


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("17", 17), (" 3 ", 3), ("0", 0), ("", 5), ("soon", 5), ("-4", 5), ("Sun, 06 Nov 1994 08:49:37 GMT", 0)],
)
def test_a_number_of_seconds_or_a_date_is_understood(said: str, seconds: float) -> None:
    assert retry_after(Response(429, headers={"Retry-After": said}), default=5) == seconds


def test_a_date_to_come_is_as_far_as_it_is() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 85 < retry_after(Response(503, headers={"Retry-After": date}), default=5) <= 90


def test_an_answer_that_does_not_say_means_the_default() -> None:
    assert retry_after(Response(429), default=5) == 5
