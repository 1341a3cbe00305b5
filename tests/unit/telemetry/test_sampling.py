from __future__ import annotations

from random import Random
from typing import Any

import pytest
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from tests.support.runs import a_span

from headrace.domain.span import SpanRecord
from headrace.errors import UsageError
from headrace.telemetry.sampling import TailRule, TailSampler, head_sampler, tail_rule
from headrace.telemetry.spans import is_in_share

S = 10**9


def trace(number: int, *, took_s: float = 1.0, **root: Any) -> list[SpanRecord]:
    trace_id = f"{number:032x}"
    first = a_span(2 * number, trace_id=trace_id, start_ns=0, end_ns=round(took_s * S), **root)
    return [
        a_span(2 * number + 1, trace_id=trace_id, parent_id=first.span_id, start_ns=0, end_ns=S // 2),
        first,
    ]


@pytest.mark.parametrize(
    ("sampler", "share", "caller", "expected"),
    [
        ("", "", None, True),
        ("", "", False, False),
        ("always_off", "", True, False),
        ("parentbased_always_off", "", True, True),
        ("parentbased_always_off", "", None, False),
        ("traceidratio", "0", True, False),
        ("parentbased_traceidratio", "1", None, True),
        ("ALWAYS_ON", "", False, True),
    ],
)
def test_the_head_decides_as_opentelemetry_says(
    sampler: str, share: str, caller: bool | None, expected: bool
) -> None:
    found = head_sampler({"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": share})
    assert found.keeps("ab" * 16, caller) is expected


def test_a_share_is_the_one_of_opentelemetrys_sdk() -> None:
    theirs, draw = TraceIdRatioBased(0.3), Random(3)  # noqa: S311, ids of a test
    ids = [draw.getrandbits(128) for _ in range(2000)]
    expected = [theirs.should_sample(None, item, "x").decision is Decision.RECORD_AND_SAMPLE for item in ids]
    assert [is_in_share(f"{item:032x}", 0.3) for item in ids] == expected
    assert 450 < sum(expected) < 750


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_SAMPLER": "jaeger_remote"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "x"},
    ],
)
def test_a_sampler_that_does_not_exist_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        head_sampler(environment)


@pytest.mark.parametrize("text", ["slow", "slow=x", "share=2", "errors=1", "all"])
def test_a_rule_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        tail_rule({"HEADRACE_TRACE_KEEP": text})


def test_a_rule_is_read() -> None:
    assert tail_rule({}) is None
    found = tail_rule({"HEADRACE_TRACE_KEEP": "errors, slow=2s, share=0.25"})
    assert found == TailRule(errors=True, slow_s=2.0, share=0.25)


def test_the_tail_keeps_what_failed_and_what_was_slow() -> None:
    sampler = TailSampler(TailRule(errors=True, slow_s=3.0))
    fast = [sampler.add(span) for span in trace(1)]
    slow = [sampler.add(span) for span in trace(2, took_s=3.0)]
    failed = [sampler.add(span) for span in trace(3, status="error")]
    assert fast == [[], []]
    assert [len(found) for found in slow + failed] == [0, 2, 0, 2]
    assert sampler.n_left_out == 2


def test_a_late_span_follows_its_trace() -> None:
    sampler = TailSampler(TailRule(slow_s=3.0))
    for span in [*trace(1), *trace(2, took_s=5)]:
        sampler.add(span)
    late = [a_span(99, trace_id=f"{number:032x}", parent_id="ab" * 8) for number in (1, 2)]
    assert [sampler.add(span) for span in late] == [[], [late[1]]]
    assert sampler.flush() == []
    assert sampler.n_left_out == 3


def test_every_request_of_a_callers_trace_is_decided() -> None:
    sampler = TailSampler(TailRule(errors=True))
    calls = []
    for number, status in ((1, "unset"), (2, "error"), (3, "unset")):
        root = a_span(10 * number, trace_id="ab" * 16, kind="server", parent_id="ef" * 8, status=status)
        calls.append(a_span(10 * number + 1, trace_id="ab" * 16, parent_id=root.span_id))
        calls.append(root)
    assert [len(sampler.add(span)) for span in calls] == [0, 0, 0, 2, 1, 1]
    assert sampler.n_left_out == 2


def test_what_has_no_root_is_decided_in_the_end() -> None:
    sampler = TailSampler(TailRule(errors=True))
    lost = a_span(7, trace_id="ab" * 16, parent_id="cd" * 8, status="error")
    assert sampler.add(lost) == []
    assert sampler.flush() == [lost]


def test_what_is_held_has_a_limit() -> None:
    sampler = TailSampler(TailRule(share=1.0), max_spans=10)
    leaving = []
    for number in range(1, 101):
        leaving += sampler.add(a_span(number, trace_id=f"{number:032x}", parent_id="cd" * 8))
    assert len(leaving) == 90
    assert len(sampler.flush()) == 10


def test_a_trace_that_takes_too_long_is_decided() -> None:
    sampler = TailSampler(TailRule(share=1.0))
    old = a_span(1, trace_id="ab" * 16, parent_id="cd" * 8, start_ns=0, end_ns=S)
    new = a_span(2, trace_id="cd" * 16, parent_id="cd" * 8, start_ns=500 * S, end_ns=501 * S)
    assert sampler.add(old) == []
    assert sampler.add(new) == [old]
