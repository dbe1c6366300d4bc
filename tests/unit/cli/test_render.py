"""What a person reads."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clawdeploy_cli.render import waiting as waiting_module
from clawdeploy_cli.render.console import clean, print_json, print_table
from clawdeploy_cli.render.steps import StepsDisplay, elapsed
from clawdeploy_cli.render.waiting import waiting
from clawdeploy_cli.render.words import age, amount, as_of, duration, money, paid_for

STARTED = "2026-11-21T10:00:00Z"


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "$0.000000"), (1, "$0.000001"), (1_500_000, "$1.500000"), (-20_000, "-$0.020000"), (None, "-")],
)
def test_money_is_exact_to_the_micro_unit_and_lines_up(micros: int | None, text: str) -> None:
    assert money(micros) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-1, "0.0 s"),
        (0.44, "0.4 s"),
        (12.4, "12 s"),
        (185, "3 min 05 s"),
        (7800, "2 h 10 min"),
        (97200 * 4, "4 d 12 h"),
    ],
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_age_counts_from_then_to_now() -> None:
    assert age(STARTED, now=datetime(2026, 11, 21, 10, 0, 42, tzinfo=UTC)) == "42 s"
    assert age(None) == "-"


def test_a_reading_of_this_second_is_of_now() -> None:
    now = datetime(2026, 11, 21, 10, 0, 1, tzinfo=UTC)
    assert as_of(STARTED, now=now) == "now"
    assert as_of(STARTED, now=now + timedelta(seconds=60)) == "1 min 01 s ago"


def test_what_is_paid_for_after_its_end_is_told_until_then() -> None:
    now = datetime(2026, 11, 21, 10, 0, 1, tzinfo=UTC)
    assert paid_for("2026-12-22T00:00:00Z", now=now) == "terminating, paid until 2026-12-22"
    assert [paid_for(until, now=now) for until in (None, "2026-11-21T10:00:00Z")] == [None, None]


@pytest.mark.parametrize(
    ("quantity", "unit", "text"),
    [(4, "second", "4 s"), (724, "second", "12 min 04 s"), (26813, "usd_micros", "usage"), (3, "gb_hour", "3 gb hour")],
)
def test_quantities_are_told_in_words(quantity: int, unit: str, text: str) -> None:
    assert amount(quantity, unit) == text


def test_text_from_outside_cannot_steer_the_terminal() -> None:
    assert clean("\x1b[2Jhi\x07\r\n\tthere\u202e") == "[2Jhi\n\tthere"


def test_tables_on_a_pipe_are_plain_aligned_lines(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("NAME", "STATE"), [("a-rather-long-name" * 6, "running"), ("b", "stopped")])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [
        ["NAME", "STATE"],
        ["a-rather-long-name" * 6, "running"],
        ["b", "stopped"],
    ]
    assert len({line.rindex(word) for line, word in zip(lines, ("STATE", "running", "stopped"), strict=True)}) == 1


def test_json_keeps_every_letter(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"name": "Žofie 🦞"}, one_line=True)
    assert capsys.readouterr().out == '{"name": "Žofie 🦞"}\n'


def step(name: str, state: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "title": None,
        "state": state,
        "started_at": None,
        "finished_at": None,
        "message": None,
        **more,
    }


def test_on_a_pipe_what_a_step_says_and_how_it_settles_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    finished = step("mint_llm_key", "done", started_at=STARTED, finished_at="2026-11-21T10:00:02Z")
    with StepsDisplay("Deploying demo") as display:
        for state in ("running", "running", "failed", "failed"):
            display.update({"state": "running", "steps": [finished, step("install", state, message="disk full")]})
    told = capsys.readouterr().err.splitlines()
    assert told == ["Deploying demo", "  ✔ mint llm key  2.0 s", "  … install  disk full", "  ✘ install  disk full"]


def test_on_a_pipe_a_step_that_takes_long_is_told_before_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    with StepsDisplay("Deploying demo") as display:
        for age_s in (1, 3.5, 5, 16, 20):
            started = datetime.now(UTC) - timedelta(seconds=age_s)
            display.update({"state": "running", "steps": [step("start", "running", started_at=started.isoformat())]})
    told = capsys.readouterr().err.splitlines()
    assert told == ["Deploying demo", "  … start  3.5 s", "  … start  16 s"]


def test_that_nothing_takes_an_operation_on_is_told_once_and_not_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    with StepsDisplay("Deploying demo") as display:
        for age_s in (1, 11, 12):
            created = datetime.now(UTC) - timedelta(seconds=age_s)
            display.update({"state": "queued", "steps": [], "created_at": created.isoformat()})
    told = capsys.readouterr().err.splitlines()
    assert told[1:] == [
        "  it has not begun yet: nothing has taken it on (claw status shows whether the provisioner runs)"
    ]


def test_on_a_pipe_a_long_wait_is_told_and_a_short_one_is_not(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting_module, "TOLD_AFTER_S", 0.02)
    with waiting("Waiting for the answer"):
        time.sleep(0.3)
    with waiting("Waiting for nothing") as end:
        end()
        time.sleep(0.1)
    assert [line.rpartition(" … ")[0] for line in capsys.readouterr().err.splitlines()] == ["Waiting for the answer"]


def test_a_running_step_is_timed_until_now() -> None:
    now = datetime(2026, 11, 21, 10, 0, 5, tzinfo=UTC)
    assert elapsed(step("start", "running", started_at=STARTED), now=now) == "5.0 s"
    assert elapsed(step("start", "pending")) == ""
