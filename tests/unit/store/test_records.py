from __future__ import annotations

import json
from types import MappingProxyType

import pytest
from tests.support.runs import a_line, a_span, a_time

from headrace.domain.run import COMPLETED, NodeResult
from headrace.store.records import decode_spans, encode_json, encode_spans, encode_time, line_row


def test_json_is_compact_and_keeps_its_letters() -> None:
    assert encode_json({"ä": [1, "→"], "b": None}) == '{"ä":[1,"→"],"b":null}'


def test_any_mapping_is_an_object() -> None:
    assert encode_json(MappingProxyType({"a": MappingProxyType({"b": 1})})) == '{"a":{"b":1}}'


def test_what_is_not_plain_data_is_refused() -> None:
    with pytest.raises(TypeError, match="a set is not plain data"):
        encode_json({"a": {1, 2}})


def test_a_node_leaves_out_what_it_does_not_have() -> None:
    row = line_row(a_line(nodes=(NodeResult(node="ask", status=COMPLETED, output=1),)))
    assert json.loads(row["nodes"]) == [{"node": "ask", "status": "Completed", "output": 1}]


def test_spans_name_their_trace_once() -> None:
    spans = (a_span(1), a_span(2, trace_id=f"{1:032x}", parent_id=f"{1:016x}"), a_span(3))
    text = encode_spans(spans)
    assert text.count(f"{1:032x}") == 1
    assert decode_spans(text) == spans
    assert decode_spans(encode_spans(())) == ()


def test_the_order_of_time_texts_is_the_order_of_time() -> None:
    times = [a_time(), a_time().replace(microsecond=0), a_time(0.5), a_time(-60 * 24 * 365 * 20)]
    assert sorted(map(encode_time, times)) == [encode_time(time) for time in sorted(times)]
