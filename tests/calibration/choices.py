"""The best of many candidates: what it seems to gain where it was chosen, and what it gains on lines held out."""

from __future__ import annotations

from math import sqrt
from random import Random

from headrace.domain.scores import ArmLines, LineObservation, MetricSpec
from headrace.evaluation.choice import choose_best
from headrace.evaluation.stats.estimate import mean
from headrace.evaluation.stats.paired import sign_counts, tango_interval
from tests.calibration.study import Check, Study, noise, number

RUNS = 1500
CANDIDATES = 9
HELD_OUT = 100
METRIC = MetricSpec(name="passed", kind="binary")
#: Standard deviation of the candidates' true gains, and the baseline's distance from their mean.
SPREADS = (
    ("all equal, no gain", 0.0, 0.0),
    ("all equal, gain of .10", 0.0, 0.10),
    ("gains of .10, sd .04", 0.04, 0.10),
)


def _passes(random: Random, rates: list[float], lean: float) -> list[float]:
    return [float(random.random() < min(1.0, max(0.0, rate + lean))) for rate in rates]


def _arm(name: str, scores: list[float]) -> ArmLines:
    return ArmLines(
        arm=name,
        lines={str(line): (LineObservation(scores={"passed": value}),) for line, value in enumerate(scores)},
    )


def choices() -> Study:
    random = Random(44)
    rows, checks = [], []
    for name, spread, gain in SPREADS:
        for n in (30, 60, 120):
            plain, shrunken, fresh, covered, held = [], [], [], 0, 0
            for _ in range(RUNS):
                leans = [random.gauss(gain, spread) for _ in range(CANDIDATES)]
                rates = [random.uniform(0.25, 0.65) for _ in range(n + HELD_OUT)]
                base = _passes(random, rates, 0.0)
                scores = [_passes(random, rates, lean) for lean in leans]
                arms = [_arm(str(place), row[:n]) for place, row in enumerate(scores)]
                found = choose_best(
                    [_arm("base", base[:n]), *arms],
                    baseline="base",
                    candidates=[arm.arm for arm in arms],
                    metric=METRIC,
                )
                assert found is not None
                assert found.shrunken is not None
                truth = leans[int(found.best)]
                differences = [a - b for a, b in zip(scores[int(found.best)][n:], base[n:], strict=True)]
                wins, losses, _ = sign_counts(differences)
                interval = tango_interval(wins, losses, HELD_OUT)
                plain.append(found.gain - truth)
                shrunken.append(found.shrunken.value - truth)
                fresh.append(mean(differences) - truth)
                covered += interval.low <= truth <= interval.high
                inside = found.shrunken.interval
                held += inside is not None and inside.low <= truth <= inside.high
            rows.append(
                (
                    name,
                    str(n),
                    f"{mean(plain):+.3f}",
                    f"{mean(shrunken):+.3f}",
                    number(held / RUNS),
                    f"{mean(fresh):+.3f}",
                    number(covered / RUNS),
                )
            )
            error = 3.0 * sqrt(2.0 * 0.25 / HELD_OUT / RUNS)
            checks += [
                Check(f"held out, {name}, {n} lines", mean(fresh), -error, error),
                Check(
                    f"interval held out, {name}, {n} lines", covered / RUNS, 0.95 - noise(0.05, RUNS) - 0.005
                ),
                Check(f"shrunken gain, {name}, {n} lines", mean(shrunken), -0.02, 0.03),
                Check(f"taken back, {name}, {n} lines", abs(mean(shrunken)) / mean(plain), high=0.35),
                Check(
                    f"interval of the shrunken gain, {name}, {n} lines", held / RUNS, 0.93 - noise(0.05, RUNS)
                ),
            ]
    return Study(
        "What a chosen candidate gains",
        f"The best of {CANDIDATES} candidates, chosen by some lines and measured on {HELD_OUT} others: mean of the gain less the "
        f"true one, as observed and shrunken on the lines of the choice and as observed on the others, and coverage of 95 % "
        f"intervals; {RUNS:,} simulations each.",
        ("candidates", "lines", "observed", "shrunken", "coverage", "held out", "coverage held out"),
        tuple(rows),
        tuple(checks),
    )
