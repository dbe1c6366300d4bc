"""The table of a run, also a Markdown one."""

from collections.abc import Sequence

from tests.bench.figures import AIMS, Figure


def printed(figures: Sequence[Figure]) -> str:
    """One line a figure."""
    head = ("figure", "where", "median", "spread", "aim", "", "made of")
    lines = [head, *(_line(figure) for figure in figures)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    rule = tuple("-" * width for width in widths)
    return "\n".join(_row(line, widths) for line in (head, rule, *lines[1:]))


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) + " |"


def _line(figure: Figure) -> tuple[str, ...]:
    aim = AIMS[figure.name]
    unit = f" {aim.unit}" if aim.unit else ""
    low, high = min(figure.rounds), max(figure.rounds)
    made_of = ", ".join(f"{name} {_number(value)}" for name, value in figure.facts.items())
    return (
        figure.name,
        figure.where,
        f"{_number(figure.value)}{unit}",
        f"{_number(low)} – {_number(high)}",
        f"{'≥' if aim.at_least else '≤'} {_number(aim.value)}",
        "met" if figure.is_met else "MISSED",
        made_of,
    )


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
