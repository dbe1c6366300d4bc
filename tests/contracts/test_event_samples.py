"""Frozen samples of every event version: what was published once must stay readable for ever.

A new event type gets a sample when it is added; an existing sample is never edited, a field added later is told in ``ADDED_LATER``,
a breaking change is a new version.
"""

import json
import re
from pathlib import Path

import pytest

import clawdeploy_events
from clawdeploy_common.events import TOPICS, registry
from tests.contracts.added_later import ADDED_LATER

CATALOGUE = [event for event in registry.all() if event.__module__.startswith(clawdeploy_events.__name__)]
"""Without the throwaway events that other tests declare."""

SAMPLES = sorted((Path(__file__).parent / "events").glob("*.json"))
GRAMMAR = r"^[a-z]+(_[a-z]+)*\.[a-z]+(_[a-z]+)*\.v[1-9][0-9]*$"


def test_every_event_has_a_sample_and_every_sample_an_event() -> None:
    assert clawdeploy_events.__all__
    assert [path.stem for path in SAMPLES] == [event.event_type for event in CATALOGUE]


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_frozen_sample_keeps_parsing(path: Path) -> None:
    """INVARIANT: what a producer of this version wrote is read without loss."""
    event_class = registry.find(path.stem)
    assert event_class is not None
    sample = json.loads(path.read_text())
    read = event_class.model_validate(sample)
    assert json.loads(read.model_dump_json()) == {**sample, **ADDED_LATER.get(path.stem, {})}


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_newer_producer_may_add_fields(path: Path) -> None:
    """INVARIANT: consumers are tolerant readers."""
    event_class = registry.find(path.stem)
    assert event_class is not None
    event_class.model_validate({**json.loads(path.read_text()), "added_by_a_newer_version": {"nested": 1}})


def test_types_keep_the_grammar_and_have_a_topic() -> None:
    for event_class in CATALOGUE:
        assert re.match(GRAMMAR, event_class.event_type)
        assert event_class.producer in TOPICS
        assert event_class.__doc__
