"""``python -m tests.bench.traffic [--rate R] [--rounds N] [--seconds S] [--workers N]``.

What splitting adds to a request: one trivial flow with and without ``--traffic``, both up at once, asked in turn at a fixed
rate, whatever becomes of the requests before. Figures are medians of the rounds. Then the same work of a request in this
process, without a server: choosing the arm and appending exposure and completion to a journal, while a thread moves it to SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from headrace.domain.evidence import Completion, Exposure, unit_digest
from headrace.formats.traffic import read_traffic
from headrace.operations.ab_revisions import settle_revision
from headrace.planning.asked_facts import AskedFacts
from headrace.serving.traffic_rules import TrafficRules
from headrace.store.journal import Journal, JournalMover
from headrace.store.opening import open_store
from tests.bench.serve import HEADRACE, Servers, in_turn

FLOW = {
    "flow.dag.yaml": """\
inputs: {text: {type: string}}
outputs: {words: {type: string, reference: "${say.output}"}}
nodes:
- {name: say, type: python, source: {type: code, path: say.py}, inputs: {text: "${inputs.text}"}}
""",
    "say.py": """\
from promptflow.core import tool

@tool
async def say(text: str):
    return text
""",
    "traffic.yaml": """\
name: bench
flow: .
unit: {header: x-user}
arms: [{name: one, weight: 0.5}, {name: two, weight: 0.5}]
metrics: [{name: latency_ms, range: [0, 1000]}]
decision: {every: 10s}
""",
}


def bench_servers(folder: Path, rate: float, rounds: int, seconds: float, workers: int) -> None:
    """Both servers, asked in turn."""
    (folder / "home").mkdir()
    with Servers(folder / "home", None) as servers:
        serve = [*HEADRACE, "flow", "serve", "--workers", str(workers)]
        found = [
            servers.serve("whole", "whole", [*serve, "--source", str(folder)], "--port"),
            servers.serve("split", "split", [*serve, "--traffic", str(folder / "traffic.yaml")], "--port"),
        ]
        words = ("--connections", "64", "--rate", str(rate), "--expects", '"words":')
        figures = in_turn(found, rounds, seconds, *words)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"a trivial flow at {rate:.0f} requests per second, {rounds} rounds of {seconds:g} s (load {load})")
    whole = figures["whole"]
    for name, one in figures.items():
        added = (
            f"{one['p50_ms'] - whole['p50_ms']:+.2f} ms p50, {one['p99_ms'] - whole['p99_ms']:+.2f} ms p99"
        )
        print(
            f"  {name:<6} {one['rps']:7.0f} rps  p50 {one['p50_ms']:6.2f} ms  p99 {one['p99_ms']:6.2f} ms"
            f"  {one['cpu_ms']:.2f} ms of processor  {added}"
        )


async def bench_work(folder: Path, rate: float, seconds: float) -> None:
    """The added work of a request, at the same rate."""
    traffic = read_traffic(folder / "traffic.yaml")
    store = open_store(str(folder / "work" / "headrace.sqlite"), folder, makes_folder=True)
    now = datetime.now(UTC)
    arms: Any = dict.fromkeys(("one", "two"))
    rules = TrafficRules(traffic, settle_revision(store, traffic, now), arms)
    mover = JournalMover(folder / "journal", store)
    journal = Journal(folder / "journal")
    took: list[float] = []
    due = time.perf_counter()
    end = due + seconds
    number = 0
    while due < end:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        due += 1 / rate
        number += 1
        began = time.perf_counter()
        work(rules, journal, f"request-{number}")
        took.append((time.perf_counter() - began) * 1e6)
    journal.close()
    is_moved = mover.flush(30.0)
    mover.close()
    n_kept = sum(1 for _ in store.read_arrivals("bench", limit=10 * number))
    store.close()
    quantiles = statistics.quantiles(took, n=100)
    print(
        f"choosing and recording alone, {number} requests: p50 {quantiles[49]:.0f} us, p99 {quantiles[98]:.0f} us, "
        f"{n_kept} records in the store{'' if is_moved else ', some still in the journal'}"
    )


def work(rules: TrafficRules, journal: Journal, request_id: str) -> None:
    """What splitting does for one request."""
    scope = {"headers": [(b"host", b"bench"), (b"x-user", request_id.encode())]}
    facts = AskedFacts(scope, b"{}", rules.traffic, request_id)
    chosen = rules.assign(facts)
    journal.append(
        Exposure(
            id=request_id,
            test="bench",
            revision=rules.revision.number,
            at_ns=time.time_ns(),
            unit=unit_digest("bench", chosen.unit),
            arm=chosen.arm,
            propensity=chosen.propensity,
            request_id=request_id,
        )
    )
    journal.append(
        Completion(
            exposure=request_id, test="bench", at_ns=time.time_ns(), answered_by=chosen.arm, latency_ms=1.0
        )
    )


def main() -> None:
    """Run both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--workers", type=int, default=1, help="processes of each server")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, text in FLOW.items():
            (folder / file).write_text(text)
        asyncio.run(bench_work(folder, options.rate, options.seconds))
        bench_servers(folder, options.rate, options.rounds, options.seconds, options.workers)


if __name__ == "__main__":
    main()
