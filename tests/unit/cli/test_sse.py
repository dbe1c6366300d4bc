"""Server-sent events as the HTML standard defines them."""

from clawdeploy_cli.client.sse import ServerEvent, parse_events


def test_events_carry_type_data_and_id() -> None:
    lines = ["id: 7", "event: deployment.requested.v1", 'data: {"a":', "data: 1}", ""]
    assert list(parse_events(lines)) == [ServerEvent(type="deployment.requested.v1", data='{"a":\n1}', id="7")]


def test_the_last_id_stays_and_the_type_does_not() -> None:
    lines = ["id: 1", "event: line", "data: x", "", "data: y", ""]
    assert [(event.type, event.id) for event in parse_events(lines)] == [("line", "1"), ("message", "1")]


def test_comments_unknown_fields_and_events_without_data_are_skipped() -> None:
    assert list(parse_events([": keep-alive", "", "retry: 10", "", "event: nothing", ""])) == []


def test_an_event_cut_off_by_the_end_of_the_stream_is_not_delivered() -> None:
    assert list(parse_events(["data: half"])) == []


def test_only_one_leading_space_belongs_to_the_syntax() -> None:
    assert [event.data for event in parse_events(["data:  a", "", "data:b", ""])] == [" a", "b"]
