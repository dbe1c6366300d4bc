"""Where output goes: answers to stdout, everything said about them to stderr."""

import json
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clawdeploy_cli.errors import ClawError

STATUS_STYLES = {
    **dict.fromkeys(("running", "ready", "succeeded", "done", "ok"), "green"),
    **dict.fromkeys(
        ("creating", "pending", "starting", "deleting", "queued", "needs_token", "unknown", "not seen yet"), "yellow"
    ),
    **dict.fromkeys(("error", "failed", "failing", "unhealthy", "missing", "compensating"), "red"),
    **dict.fromkeys(("stopped", "paused", "suspended", "deleted", "disabled", "skipped"), "bright_black"),
}


class _Answers(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the program, which ends quietly (rich would end it with a failure)."""
        raise BrokenPipeError


@cache
def stdout() -> Console:
    """The console answers are printed on."""
    return _Answers(highlight=False, markup=False, soft_wrap=True)


@cache
def stderr() -> Console:
    """The console for progress, notes and errors."""
    return Console(stderr=True, highlight=False, markup=False, soft_wrap=True)


@cache
def live_console() -> Console:
    """The console of live displays: lines are cut at the terminal's width, so that the display can be redrawn in place."""
    return Console(stderr=True, highlight=False, markup=False)


def print_json(value: Any, *, one_line: bool = False) -> None:
    """One JSON value on stdout, and nothing else."""
    text = json.dumps(value, ensure_ascii=False, indent=None if one_line else 2, default=str)
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def print_list(items: Sequence[Any], *, next_cursor: str | None = None) -> None:
    """A list as every list of the platform is answered."""
    print_json({"items": list(items), "next_cursor": next_cursor})


def print_line(text: str = "", *, style: str = "") -> None:
    """One line of an answer."""
    stdout().print(Text(clean(text), style=style))


def say(text: str = "", *, style: str = "") -> None:
    """One line about what is going on."""
    stderr().print(Text(clean(text), style=style))


def say_error(error: ClawError) -> None:
    """What went wrong and what to do about it."""
    stderr().print(Text.assemble(("Error: ", "bold red"), clean(error.message)))
    if error.hint:
        stderr().print(Text(clean(error.hint), style="bright_black"))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows under headings; on a pipe aligned columns that never wrap or lose text."""
    cleaned = [[clean(cell) for cell in row] for row in rows]
    if not stdout().is_terminal:
        _print_aligned([list(columns), *cleaned])
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cleaned:
        table.add_row(*(Text(cell, style=STATUS_STYLES.get(cell.rpartition(", ")[2], "")) for cell in row))
    _Answers(highlight=False, markup=False).print(table)


def clean(text: str) -> str:
    """Text without control characters: what an agent or a name says must not steer the terminal."""
    return "".join(character for character in text if character.isprintable() or character in "\n\t")


def _print_aligned(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write("  ".join(cells).rstrip() + "\n")
