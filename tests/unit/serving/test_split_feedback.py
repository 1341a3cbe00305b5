"""What feedback about requests that are split may say, and what is shown of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.endpoint import serving
from tests.support.split_flow import FLOW, traffic, wait_for

from headrace.domain.evidence import Feedback
from headrace.domain.span import SpanRecord
from headrace.errors import UsageError
from headrace.planning.feedback import read_feedback, without_unit

UNIT = "ada@home.example"


def test_the_span_of_feedback_does_not_say_whose_it_is(tmp_path: Path) -> None:
    spans: list[SpanRecord] = []
    with serving(tmp_path, FLOW | traffic(), [], traffic=["f/traffic.yaml"]) as endpoint:
        split: Any = endpoint.served.flows[""]
        split.version.flow.span_sink = spans.append
        endpoint.ask("POST", "/feedback", {"unit_id": UNIT, "thumbs": "up"})
        endpoint.ask("POST", "/feedback?flatten=true", {"unit_id": UNIT, "thumbs": "up"})
        endpoint.ask("POST", "/feedback", {"thumbs": "up"}, {"x-headrace-unit-id": UNIT})
        wait_for(endpoint, Feedback, 3)
    assert [span.attributes for span in spans if span.name == "promptflow-feedback"] == [
        {"feedback": '{"thumbs": "up"}'},
        {"feedback": '{"thumbs": "up"}', "thumbs": "up"},
        {"feedback": '{"thumbs": "up"}'},
    ]
    assert UNIT not in str(spans)


@pytest.mark.parametrize("body", [b"a text", b'{"thumbs":  "up"}', b"[1]", b"[" * 200_000])
def test_feedback_that_names_no_unit_is_shown_as_it_came(body: bytes) -> None:
    assert without_unit(body) == body


def test_what_else_feedback_says_is_shown() -> None:
    shown = without_unit(r'{"unit_id": "ada", "text": "schön \ud800", "rating": 2}'.encode())
    assert shown.decode() == '{"text": "schön ?", "rating": 2}'


@pytest.mark.parametrize("at", ["2400-01-01", "1969-12-31", -1, 1e10])
def test_feedback_of_a_time_that_cannot_be_kept_is_told_which_can(at: object) -> None:
    body = json.dumps({"unit_id": "u1", "thumbs": "up", "at": at}).encode()
    with pytest.raises(UsageError, match="a time from 1970 to 2262"):
        read_feedback(body, {}, "styles")
