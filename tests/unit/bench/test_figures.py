"""How figures are made of rounds."""

import pytest
from tests.bench.figures import AIMS, Figure, percentile, side_by_side
from tests.bench.table import printed


async def test_rounds_are_interleaved_and_who_goes_first_alternates() -> None:
    order: list[str] = []

    async def side(name: str, value: float) -> float:
        order.append(name)
        return value

    found = await side_by_side(lambda: side("ours", 2.0), lambda: side("bare", 4.0), rounds=2)
    assert order == ["bare", "ours", "bare", "ours", "ours", "bare"]
    assert found.ratios == [0.5, 0.5]


@pytest.mark.parametrize(("name", "value", "met"), [("relay_ratio", 0.5, True), ("redrop_s", 10.1, False)])
def test_an_aim_is_a_floor_or_a_ceiling(name: str, value: float, *, met: bool) -> None:
    assert AIMS[name].is_met(value) is met
    assert ("MISSED" in printed([Figure(name=name, rounds=[value])])) is not met


def test_a_percentile_is_one_of_the_values() -> None:
    assert percentile([float(number) for number in range(100)], 99) == 99.0
    assert percentile([3.0], 50) == 3.0
