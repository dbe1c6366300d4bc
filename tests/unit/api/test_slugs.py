"""Slugs, and text from outside."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawdeploy_api.public.instance import SLUG
from clawdeploy_api.public.texts import MAX_DEPTH, bounded_json, display_text
from clawdeploy_api.slugs import slug_of, with_suffix


@given(st.text(max_size=300))
def test_every_name_has_a_slug_that_may_reach_a_command(name: str) -> None:
    """INVARIANT: user input that reaches a command or a path matches the slug's pattern."""
    assert re.fullmatch(SLUG, slug_of(name))
    assert re.fullmatch(SLUG, with_suffix(slug_of(name)))


@pytest.mark.parametrize("text", ["a\nb", "a\0", "\x1b[31mred", "\u2028", "  ", "\ud800"])
def test_control_characters_are_no_display_text(text: str) -> None:
    with pytest.raises(ValueError, match="must not"):
        display_text(text)


def test_json_has_a_depth() -> None:
    nested: dict[str, object] = {}
    for _ in range(MAX_DEPTH + 1):
        nested = {"a": nested}
    with pytest.raises(ValueError, match="levels"):
        bounded_json(nested)


@pytest.mark.parametrize("value", [{"a": "\0"}, {"\0": 1}, {"a": ["\ud800"]}, {"a": float("nan")}, {"a": float("inf")}])
def test_json_holds_nothing_a_database_cannot_keep(value: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must not"):
        bounded_json(value)
