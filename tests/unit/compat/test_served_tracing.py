from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest
from tests.support.tool_nodes import make_context

from headrace.compat.metrics import log_metric
from headrace.compat.tracing import ThreadPoolExecutorWithContext, start_trace, trace
from headrace.domain.span import SpanRecord
from headrace.tools.base import current_node


@trace
def inner(x: int) -> int:
    return x


@trace
def outer(x: int) -> int:
    return inner(x) + 1


@trace
async def later(x: int) -> int:
    return outer(x)


@trace()
def numbers(x: int) -> Any:
    yield inner(x)
    yield x + 1


@trace
async def later_numbers(x: int) -> Any:
    yield inner(x)
    yield x + 1


@trace
def failing() -> None:
    raise ValueError("secret value")


def spans_of(work: Any) -> tuple[Any, list[SpanRecord], str]:
    spans: list[SpanRecord] = []

    async def run() -> tuple[Any, str]:
        context = make_context(spans=spans)
        token = current_node.set(context)
        try:
            result = work()
            if inspect.iscoroutine(result):
                result = await result
            if hasattr(result, "__aiter__"):
                result = [item async for item in result]
            return list(result) if hasattr(result, "__next__") else result, context.span.span_id
        finally:
            current_node.reset(token)

    result, node = asyncio.run(run())
    return result, spans, node


def test_calls_nest_as_spans_below_the_node() -> None:
    result, (first, second, third), node = spans_of(lambda: later(1))
    assert result == 2
    assert [span.name for span in (first, second, third)] == ["inner", "outer", "later"]
    assert (first.parent_id, second.parent_id, third.parent_id) == (second.span_id, third.span_id, node)


@pytest.mark.parametrize("function", [numbers, later_numbers])
def test_generators_are_spans_from_first_to_last_item(function: Any) -> None:
    result, spans, node = spans_of(lambda: function(1))
    assert result == [1, 2]
    assert [span.name for span in spans] == ["inner", function.__name__]
    assert [span.parent_id for span in spans] == [node, node]


def test_a_failure_is_marked_without_its_words() -> None:
    spans: list[SpanRecord] = []

    async def run() -> None:
        current_node.set(make_context(spans=spans))
        failing()

    with pytest.raises(ValueError, match="secret value"):
        asyncio.run(run())
    assert (spans[0].status, spans[0].attributes["error.type"]) == ("error", "ValueError")
    assert "secret" not in str(spans[0])


def test_a_thread_pool_keeps_the_node() -> None:
    def work() -> list[int]:
        with ThreadPoolExecutorWithContext(2) as pool:
            return list(pool.map(inner, [1, 2]))

    result, spans, node = spans_of(work)
    assert result == [1, 2]
    assert [span.parent_id for span in spans] == [node, node]


def test_outside_a_node_functions_run_as_they_are() -> None:
    start_trace(collection="c", resource_attributes={"a": "b"}, session="s")
    assert outer(1) == 2
    assert list(numbers(1)) == [1, 2]
    assert asyncio.run(later(1)) == 2
    assert outer.__name__ == "outer"
    log_metric("m", 1)


class Half:
    def __float__(self) -> float:
        return 0.5


def test_the_last_metric_of_a_key_wins() -> None:
    async def run() -> dict[str, Any]:
        context = make_context()
        current_node.set(context)
        log_metric("a", 1)
        log_metric("a", 2.5, variant_id="v")
        log_metric("b", Half())
        log_metric("c", {"not": "a number"})
        return context.metrics

    assert asyncio.run(run()) == {"a": 2.5, "b": 0.5, "c": {"not": "a number"}}
