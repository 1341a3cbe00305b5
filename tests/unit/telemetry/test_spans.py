from __future__ import annotations

import random
import re

from headrace.domain.span import SpanRecord
from headrace.telemetry.spans import ActiveSpan, new_span_id, new_trace_id


def begin(sink: list[SpanRecord], **arguments: object) -> ActiveSpan:
    return ActiveSpan("root", trace_id="ab" * 16, parent_id=None, sink=sink.append, **arguments)  # type: ignore[arg-type]


def test_ids_are_w3c_ids_and_do_not_follow_a_seed_of_the_flow() -> None:
    random.seed(1)
    first = (new_trace_id(), new_span_id())
    random.seed(1)
    assert first != (new_trace_id(), new_span_id())
    assert all(re.fullmatch("[0-9a-f]{32}", new_trace_id()) for _ in range(100))
    assert all(re.fullmatch("[0-9a-f]{16}", new_span_id()) for _ in range(100))


def test_a_span_is_handed_over_once_when_it_ends() -> None:
    ended: list[SpanRecord] = []
    span = begin(ended, kind="client", attributes={"a": 1}, start_ns=10)
    span.attributes["b"] = 2
    span.add_event("tick", {"n": 1})
    assert ended == []
    span.end(25)
    span.end(30)
    record = ended[0]
    assert len(ended) == 1
    assert (record.name, record.kind, record.start_ns, record.end_ns) == ("root", "client", 10, 25)
    assert (record.attributes, record.status, record.parent_id) == ({"a": 1, "b": 2}, "unset", None)
    assert [(name, attributes) for name, _, attributes in record.events] == [("tick", {"n": 1})]


def test_a_child_shares_the_trace_and_names_its_parent() -> None:
    ended: list[SpanRecord] = []
    root = begin(ended)
    child = root.child("child", attributes={"x": True})
    child.end()
    root.end()
    root.child("outlives").end()
    assert [record.name for record in ended] == ["child", "root", "outlives"]
    assert ended[0].parent_id == ended[2].parent_id == ended[1].span_id
    assert len({record.trace_id for record in ended}) == 1
    assert len({record.span_id for record in ended}) == 3


def test_attributes_are_copied_from_the_caller() -> None:
    given = {"a": 1}
    ended: list[SpanRecord] = []
    span = begin(ended, attributes=given)
    span.attributes["b"] = 2
    span.end()
    assert given == {"a": 1}


def test_a_failed_span_says_why() -> None:
    ended: list[SpanRecord] = []
    span = begin(ended)
    span.fail("tool-failed", "E601 tool-failed")
    span.end()
    assert (ended[0].status, ended[0].status_text) == ("error", "E601 tool-failed")
    assert ended[0].attributes == {"error.type": "tool-failed"}
