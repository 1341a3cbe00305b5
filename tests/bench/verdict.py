"""``python -m tests.bench.verdict``: 12 arms over 1,000 lines, twice each, on 5 metrics, compared and rendered.

Prints seconds of this process and the largest memory that it took.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from random import Random

from headrace.domain.report import ReportContext
from headrace.domain.scores import ArmLines, LineFacts, LineObservation, MetricSpec
from headrace.evaluation.comparison import compare
from headrace.evaluation.report.html import render_html
from headrace.evaluation.report.markdown import render_markdown

N_ARMS, N_LINES, N_REPEATS = 12, 1_000, 2
METRICS = (
    MetricSpec(name="correct", margin=0.05),
    MetricSpec(name="valid"),
    MetricSpec(name="f1", margin=0.05),
    MetricSpec(name="grade"),
    MetricSpec(name="words", direction="lower", margin=5.0),
)


def make_arms() -> list[ArmLines]:
    """Four variants crossed with three models that share what is easy and differ by up to 11 points."""
    random = Random(5)  # noqa: S311 - made-up scores
    ease = [random.gauss(0.0, 1.0) for _ in range(N_LINES)]
    arms = []
    for number in range(N_ARMS):
        lines = {
            f"line-{i}": tuple(_observe(random, 0.6 + 0.2 * ease[i], 0.01 * number) for _ in range(N_REPEATS))
            for i in range(N_LINES)
        }
        arms.append(
            ArmLines(arm=f"arm-{number}", lines=lines, variant=f"v{number % 4}", model=f"m{number // 4}")
        )
    return arms


def _observe(random: Random, ease: float, gain: float) -> LineObservation:
    chance = min(1.0, max(0.0, ease + gain))
    return LineObservation(
        scores={
            "correct": float(random.random() < chance),
            "valid": float(ease + gain > 0.3),
            "f1": min(1.0, max(0.0, chance + random.gauss(0.0, 0.1))),
            "grade": round(4.0 * min(1.0, max(0.0, chance + random.gauss(0.0, 0.2)))) / 4.0,
            "words": 100.0 + 20.0 * ease + random.gauss(0.0, 10.0),
        },
        duration_ms=random.uniform(100.0, 150.0),
        prompt_tokens=100,
        completion_tokens=random.randrange(50),
        cost_usd=0.001 * random.uniform(1.0, 2.0),
    )


def make_facts(*, clusters: bool, slices: bool) -> Mapping[str, LineFacts]:
    """A hundred clusters of ten lines, and five slices."""
    return {
        f"line-{i}": LineFacts(
            cluster=f"c{i // 10}" if clusters else None, slices={"topic": f"t{i % 5}"} if slices else {}
        )
        for i in range(N_LINES)
    }


def main() -> None:
    """Measure and print."""
    arms = make_arms()
    context = ReportContext(title="bench", flow="bench", dataset="made up", created_at=datetime.now(UTC))
    print(f"\n{N_ARMS} arms, {N_LINES:,} lines, {N_REPEATS} repeats, {len(METRICS)} metrics")
    for title, clusters, slices in (
        ("compare", False, False),
        ("compare, five slices", False, True),
        ("compare, clusters and five slices", True, True),
    ):
        facts = make_facts(clusters=clusters, slices=slices)
        began = time.process_time()
        comparison = compare(arms, baseline="arm-0", metrics=METRICS, facts=facts)
        print(f"  {title:<34} {time.process_time() - began:8.2f} s")
    for title, render in (("render as HTML", render_html), ("render as Markdown", render_markdown)):
        began = time.process_time()
        text = render(comparison, context)
        print(f"  {title:<34} {time.process_time() - began:8.2f} s  {len(text.encode()) / 1e6:.2f} MB")
    print(f"  largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
