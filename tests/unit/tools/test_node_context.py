from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from headrace.domain.run import Usage
from headrace.domain.variant import Price
from headrace.telemetry.spans import ActiveSpan, new_trace_id
from headrace.tools.base import NodeContext


def a_context(price: Price | None = None) -> NodeContext:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    return NodeContext(
        node="n",
        line_number=0,
        span=ActiveSpan("n", trace_id=new_trace_id(), parent_id=None, sink=lambda _: None),
        open_client=refuse,  # type: ignore[arg-type]
        loop=asyncio.new_event_loop(),
        price=price,
    )


@pytest.fixture
def quick_switches() -> object:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_calls_from_many_threads_are_all_counted(quick_switches: object) -> None:
    context = a_context()

    def call() -> None:
        for _ in range(500):
            context.add_usage(Usage(calls=1, prompt_tokens=2, completion_tokens=1))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    context.loop.close()
    assert context.usage == Usage(calls=4000, prompt_tokens=8000, completion_tokens=4000, cost_usd=None)


def test_a_price_makes_a_cost_and_one_unknown_cost_makes_it_unknown() -> None:
    context = a_context(Price(input_usd=1.0, output_usd=2.0))
    context.add_usage(Usage(calls=1, prompt_tokens=1_000_000, completion_tokens=500_000))
    assert context.usage.cost_usd == pytest.approx(2.0)
    context.price = None
    context.add_usage(Usage(calls=1, prompt_tokens=1))
    assert context.usage.cost_usd is None
    context.loop.close()
