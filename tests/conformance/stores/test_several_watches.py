"""Servers and watches of several processes that move the traffic of one test: each has a connection of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from tests.support.evidence import a_traffic, a_trial
from tests.support.new_stores import new_postgresql, new_sqlite
from tests.support.runs import a_time

from headrace.domain.traffic import OnlineGuardrail, OnlineMetric, RampStep
from headrace.operations.ab_revisions import settle_revision
from headrace.operations.watch_ab import Watch
from headrace.store.base import RunStore
from headrace.store.opening import open_store

RAMP = (RampStep(after_s=0, coverage=0.5), RampStep(after_s=60, coverage=1.0))


@pytest.fixture(params=[new_sqlite, new_postgresql], ids=["sqlite", "postgresql"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[RunStore]]:
    location = request.param(request)
    with ExitStack() as stack:
        yield [stack.enter_context(closing(open_store(location, tmp_path))) for _ in range(4)]


def test_whatever_they_do_at_once_is_one_row_of_revisions(stores: list[RunStore]) -> None:
    traffic = a_traffic(
        ramp=RAMP,
        metrics=(OnlineMetric(name="failures", source="failures", direction="lower"),),
        guardrails=(OnlineGuardrail(metric="failures", max_ratio=1.0),),
    )
    heard: list[str] = []
    watches = [Watch(store, ["checkout"], lambda text, _: heard.append(text)) for store in stores]
    with ThreadPoolExecutor(len(stores)) as pool:
        list(pool.map(lambda store: settle_revision(store, traffic, a_time()), stores))
        list(pool.map(lambda watch: watch.step(a_time(1)), watches))
        stores[0].append_evidence(a_trial(60, failing=3))
        list(pool.map(lambda watch: watch.step(a_time(5)), watches))

    history = stores[0].list_revisions("checkout")
    assert [(item.number, item.reason) for item in history] == [
        (1, "started"),
        (2, "ramped"),
        (3, "rolled back"),
    ]
    assert [view.report.arm("b").failures for watch in watches for view in watch.views()] == [20] * len(
        watches
    )
    assert not [text for text in heard if "waits" in text]
