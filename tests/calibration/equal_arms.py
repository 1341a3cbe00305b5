"""A/A: experiments of eight equal arms through the whole comparison, and how often it calls one better or worse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from random import Random

from headrace.domain.scores import ArmLines, LineFacts, LineObservation, MetricSpec
from headrace.evaluation.comparison import compare
from tests.calibration.study import Check, Study, number

#: For each of the four designs and two metrics.
RUNS = 500
ARMS = 8
METRICS = (MetricSpec(name="passed", kind="binary"), MetricSpec(name="grade", kind="graded"))


@dataclass(frozen=True)
class Design:
    """Lines, lines in a cluster, and repeats of an experiment; ``lean`` is how much arms differ on one cluster or line."""

    name: str
    lines: int
    size: int = 1
    repeats: int = 1
    lean: float = 0.0


DESIGNS = (
    Design("80 lines", 80),
    Design("80 lines in 20 clusters", 80, size=4, lean=0.15),
    Design("60 lines, 3 repeats", 60, repeats=3, lean=0.15),
    Design("60 lines in 15 clusters, 2 repeats", 60, size=4, repeats=2, lean=0.15),
)


def experiment(random: Random, design: Design) -> tuple[list[ArmLines], dict[str, LineFacts]]:
    """Arms with the same chance of success, drawn around each line's own."""
    ids = [f"line-{line}" for line in range(design.lines)]
    facts = {
        name: LineFacts(cluster=f"cluster-{line // design.size}") if design.size > 1 else LineFacts()
        for line, name in enumerate(ids)
    }
    # The leaning of an arm is that of a cluster, or of a line: as likely up as down, so that arms are equal on average.
    units = design.lines // design.size
    unit_rates = [random.uniform(0.35, 0.85) for _ in range(units)]
    arms = []
    for arm in range(ARMS):
        leans = [random.choice((-1.0, 1.0)) * design.lean for _ in range(units)]
        lines = {}
        for line, name in enumerate(ids):
            rate = unit_rates[line // design.size] + leans[line // design.size]
            lines[name] = tuple(_observation(random, rate) for _ in range(design.repeats))
        arms.append(ArmLines(arm=f"arm-{arm}", lines=lines))
    return arms, facts


def _observation(random: Random, rate: float) -> LineObservation:
    grade = min(4, max(0, round(4.0 * rate + random.gauss(0.0, 1.0)))) / 4.0
    return LineObservation(scores={"passed": float(random.random() < rate), "grade": grade})


def _false_verdicts(design: Design, runs: int, seed: int) -> dict[str, float]:
    random = Random(seed)
    counts = dict.fromkeys((spec.name for spec in METRICS), 0)
    for run in range(runs):
        arms, facts = experiment(random, design)
        # Each metric stands alone, as the one that decides.
        for spec in METRICS:
            found = compare(arms, baseline="arm-0", metrics=[spec], facts=facts, seed=run)
            effects = found.metrics[0].effects
            counts[spec.name] += any(effect.verdict.word in {"better", "worse"} for effect in effects)
    return {name: count / runs for name, count in counts.items()}


def study(design: Design, runs: int = RUNS) -> Study:
    found = _false_verdicts(design, runs, seed=51 + DESIGNS.index(design))
    noise = 3.0 * sqrt(0.05 * 0.95 / runs)
    return Study(
        "Equal arms",
        f"Eight equal arms through the whole comparison, {runs:,} experiments for each design and metric: the share in which any "
        "arm was called better or worse than the baseline (wanted at most .05).",
        ("design", *(f"a false verdict on {spec.name}" for spec in METRICS)),
        ((design.name, *(number(found[spec.name]) for spec in METRICS)),),
        tuple(
            Check(f"false verdicts, {design.name}, {name}", share, high=0.05 + noise)
            for name, share in found.items()
        ),
    )


def studies() -> dict[str, Callable[[], Study]]:
    return {
        "equal_arms": lambda: study(DESIGNS[0]),
        "equal_arms_clustered": lambda: study(DESIGNS[1]),
        "equal_arms_repeated": lambda: study(DESIGNS[2]),
        "equal_arms_clustered_repeated": lambda: study(DESIGNS[3]),
    }
