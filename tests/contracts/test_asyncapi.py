"""docs/asyncapi.json: every public event, valid AsyncAPI 3.0, with examples that are what it says."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

import clawdeploy_events
from clawdeploy_common.events import Envelope, registry, topic_of
from tests.contracts.added_later import ADDED_LATER
from tests.contracts.asyncapi_schema import asyncapi_validator
from tests.engines.requirements import MissingOnThisMachine, lacking

Json = dict[str, Any]
DOCUMENT: Json = json.loads((Path(__file__).parents[2] / "docs" / "asyncapi.json").read_text())
MESSAGES: Json = DOCUMENT["components"]["messages"]


@pytest.fixture(scope="module")
def judge() -> jsonschema_rs.Validator:
    try:
        return asyncapi_validator()
    except MissingOnThisMachine as error:
        lacking(str(error))


def test_it_is_valid_asyncapi(judge: jsonschema_rs.Validator) -> None:
    assert [str(error) for error in judge.iter_errors(DOCUMENT)] == []


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        (("channels", "clawdeploy.lifecycle", "bindings", "kafka", "partitions"), "many"),
        (("operations", "publish-lifecycle", "action"), "publish"),
        (("components", "schemas", "ServerCreated", "type"), "thing"),
        (("components", "messages", "server.created.v1", "traits"), {}),
    ],
    ids=["binding", "action", "schema", "traits"],
)
def test_the_judge_finds_a_planted_error(judge: jsonschema_rs.Validator, path: tuple[str, ...], wrong: object) -> None:
    planted = deepcopy(DOCUMENT)
    place = planted
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = wrong
    assert not judge.is_valid(planted)


def test_every_public_event_is_in_its_topic_and_no_internal_one_anywhere() -> None:
    """INVARIANT: internal events are not offered to subscribers."""
    assert clawdeploy_events.__all__
    ours = [event for event in registry.all() if event.__module__.startswith("clawdeploy_events.")]
    offered = {event.event_type: topic_of(event.producer) for event in ours if not event.internal}
    told = {name: topic for topic, channel in DOCUMENT["channels"].items() for name in channel["messages"]}
    assert told == offered
    assert set(MESSAGES) == set(offered)
    assert any(event.internal for event in ours)
    assert "operation.step_changed" not in json.dumps(DOCUMENT)


@pytest.mark.parametrize("event_type", sorted(MESSAGES))
def test_an_example_is_a_record_of_its_event(event_type: str) -> None:
    [example] = MESSAGES[event_type]["examples"]
    headers = {name: value.encode() for name, value in example["headers"].items()}
    envelope = Envelope.from_headers(headers, json.dumps(example["payload"]).encode())
    event_class = registry.find(envelope.type)
    assert envelope.type == event_type
    assert event_class is not None
    read = json.loads(envelope.read(event_class).model_dump_json())
    assert read == {**example["payload"], **ADDED_LATER.get(event_type, {})}
    components = {"components": DOCUMENT["components"]}
    for part in ("headers", "payload"):
        jsonschema_rs.Draft7Validator({**MESSAGES[event_type][part], **components}).validate(example[part])


def test_the_described_headers_are_those_that_travel() -> None:
    described = DOCUMENT["components"]["schemas"]["CloudEventHeaders"]["properties"]
    [example] = MESSAGES["server.created.v1"]["examples"]
    full = Envelope.from_headers(
        {
            **{name: value.encode() for name, value in example["headers"].items()},
            "ce_correlationid": example["headers"]["ce_id"].encode(),
            "ce_causationid": example["headers"]["ce_id"].encode(),
            "traceparent": b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        },
        b"{}",
    )
    assert {name for name, _ in full.headers()} == set(described)
