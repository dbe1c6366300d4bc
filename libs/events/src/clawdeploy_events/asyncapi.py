"""Print the AsyncAPI 3.0 description of all public events: ``python -m clawdeploy_events.asyncapi``.

Read from the registry: an event that is there is described, an internal one is left out. Examples are the frozen samples.
Source of the document's shape: the AsyncAPI specification 3.0.0 and its Kafka bindings 0.5.0.
"""

import inspect
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

import clawdeploy_events
from clawdeploy_common.events import SOURCE_PREFIX, TOPICS, Event, registry, topic_of

SAMPLES = Path("tests/contracts/events")
"""The frozen samples, in the checkout that is the working directory."""
_BINDING = {"bindingVersion": "0.5.0"}
_SCHEMAS = "#/components/schemas/"
_ID = "0197b3a4-5c6d-7e8f-9a0b-1c2d3e4f5a6b"
_EXAMPLE_HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": "0197b3a4-6d7e-7f80-8a1b-2c3d4e5f6a7b",
    "ce_subject": _ID,
    "ce_sequence": "12",
    "ce_time": "2026-11-21T10:00:00+00:00",
    "ce_accountid": "0197b3a4-0000-7000-8000-000000000001",
    "ce_logepoch": "0",
    "content-type": "application/json",
}
_ABOUT = """What ClawDeploy's services tell each other and whoever subscribes: CloudEvents 1.0 over Kafka, binary content mode.

Order holds per source and key (`ce_sequence` has no gaps there), not across topics. Delivery is at least once: drop what you know by
`ce_sequence`. When the broker lost the tail of its log everything is published again under a higher `ce_logepoch`: read that partition
from its beginning. Be a tolerant reader: ignore types, fields and enumeration values you do not know; a breaking change is a new type.
Topics also carry records that are not offered here (internal events, which take numbers of the same sequences, and
`clawdeploy.tick.v1`, a mark of life without key and sequence): pass over them. Money is integer micro-units; times are UTC.
How to subscribe, also without Kafka: docs/events.md.
"""

Json = dict[str, Any]
_HEADERS: Json = {
    "type": "object",
    "required": ["ce_specversion", "ce_id", "ce_source", "ce_type", "ce_subject", "ce_sequence", "ce_time"],
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "format": "uuid", "description": "the event's own id (UUIDv7)"},
        "ce_source": {"type": "string", "description": "the producing service"},
        "ce_type": {"type": "string"},
        "ce_subject": {"type": "string", "format": "uuid", "description": "what the event tells of; the record's key"},
        "ce_sequence": {
            "type": "string",
            "pattern": "^[1-9][0-9]*$",
            "description": "version of the subject's stream at this source: 1, 2, 3 …, without gaps",
        },
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_accountid": {
            "type": "string",
            "format": "uuid",
            "description": "whose it is; missing on the platform's own",
        },
        "ce_correlationid": {"type": "string", "format": "uuid", "description": "the operation it belongs to"},
        "ce_causationid": {"type": "string", "format": "uuid", "description": "the event that led to it"},
        "ce_logepoch": {
            "type": "string",
            "pattern": "^[0-9]+$",
            "description": "rises when the log was lost and published again",
        },
        "traceparent": {"type": "string", "description": "W3C Trace Context"},
        "content-type": {"type": "string", "const": "application/json"},
    },
}


def asyncapi(samples: Mapping[str, Any]) -> Json:
    """The whole document; ``samples`` gives an example payload per event type."""
    events = [event for event in registry.all() if not event.internal and event.__module__ in _catalogue()]
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "ClawDeploy events", "version": "1", "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {topic_of(producer): _channel(producer, events) for producer in TOPICS},
        "operations": {f"publish-{topic}": _operation(producer) for producer, topic in TOPICS.items()},
        "components": {
            "messages": {event.event_type: _message(event, samples) for event in events},
            "messageTraits": {"cloudEvent": _trait()},
            "schemas": {"CloudEventHeaders": _HEADERS, **_payloads(events)},
        },
    }


def _catalogue() -> set[str]:
    return {f"{clawdeploy_events.__name__}.{module}" for module in clawdeploy_events.__all__}


def _server() -> Json:
    return {
        "host": "{bootstrap}",
        "protocol": "kafka",
        "description": "the platform's Kafka (CLAWDEPLOY_KAFKA_BOOTSTRAP_SERVERS)",
        "variables": {"bootstrap": {"description": "host:port", "examples": ["kafka.example.com:9092"]}},
    }


def _channel(producer: str, events: list[type[Event]]) -> Json:
    topic = topic_of(producer)
    own = {event.event_type: event for event in events if event.producer == producer}
    return {
        "address": topic,
        "summary": f"what `{producer}` tells",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in own},
        "bindings": {
            "kafka": {
                "topic": topic,
                "topicConfiguration": {"cleanup.policy": ["delete"], "retention.ms": -1, "retention.bytes": -1},
                **_BINDING,
            }
        },
    }


def _operation(producer: str) -> Json:
    channel = f"#/channels/{topic_of(producer)}"
    return {"action": "send", "channel": {"$ref": channel}, "summary": f"`{producer}` publishes; subscribe to receive"}


def _trait() -> Json:
    key = {"type": "string", "format": "uuid", "description": "the same as ce_subject"}
    return {"contentType": "application/json", "bindings": {"kafka": {"key": key, **_BINDING}}}


def _message(event: type[Event], samples: Mapping[str, Any]) -> Json:
    source = SOURCE_PREFIX + event.producer
    named = {"ce_type": {"const": event.event_type}, "ce_source": {"const": source}}
    text = _prose(inspect.getdoc(event) or "")
    headers = {**_EXAMPLE_HEADERS, "ce_type": event.event_type, "ce_source": source}
    return {
        "name": event.event_type,
        "title": event.__name__,
        "summary": re.split(r"(?<=\.) ", text, maxsplit=1)[0],
        "description": text,
        "headers": {"allOf": [{"$ref": f"{_SCHEMAS}CloudEventHeaders"}, {"properties": named}]},
        "payload": {"$ref": _SCHEMAS + event.__name__},
        "traits": [{"$ref": "#/components/messageTraits/cloudEvent"}],
        "examples": [{"headers": headers, "payload": _example(event, samples[event.event_type])}],
    }


def _example(event: type[Event], sample: Json) -> Json:
    """The sample, where a field's own example says more than the sample does."""
    told = {name: field.examples[0] for name, field in event.model_fields.items() if field.examples}
    return {**sample, **told}


def _payloads(events: list[type[Event]]) -> Json:
    template = _SCHEMAS + "{model}"
    _, schemas = models_json_schema([(event, "serialization") for event in events], ref_template=template)
    payloads: Json = schemas["$defs"]
    for schema in payloads.values():
        schema["description"] = _prose(schema.get("description", ""))
    return payloads


def _prose(docstring: str) -> str:
    """A docstring as CommonMark in one line."""
    return " ".join(docstring.split()).replace("``", "`")


def _read(folder: Path) -> dict[str, Any]:
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncapi(_read(SAMPLES)), indent=2, ensure_ascii=False) + "\n")
