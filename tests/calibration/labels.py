"""People's labels of a few answers with a judge's scores of all."""

from __future__ import annotations

from random import Random

from headrace.evaluation.stats import estimate, labelled
from tests.calibration.study import Check, Study, noise, number, reproduces

RUNS = 1500
ANSWERS = 1000


def _answers(random: Random, n: int) -> tuple[list[float], list[float]]:
    labels = [float(random.random() < 0.7) for _ in range(n)]
    return labels, [float(random.random() < (0.92 if label else 0.3)) for label in labels]


def labelled_rate() -> Study:
    random = Random(31)
    # Before: people alone, PPI++ with z; below 100 labels with two pseudo-answers; widths of the latter two.
    published = {
        50: (0.957, 0.930, 0.963, 0.213),
        100: (0.936, 0.945, 0.958, 0.147),
        200: (0.946, 0.946, 0.953, 0.105),
    }
    rows, checks = [], []
    for n, wanted in published.items():
        hits, width, alone, judge_hits = [0, 0, 0], 0.0, 0.0, 0
        for _ in range(RUNS):
            labels, judged = _answers(random, n)
            rest = _answers(random, ANSWERS - n)[1]
            ours = labelled.labelled_mean(labels, judged, rest)
            assert ours is not None
            people = estimate.wilson_interval(sum(labels), n)
            plain = labelled.plain_labelled_mean(labels, judged, rest)
            judge = estimate.wilson_interval(sum(judged) + sum(rest), ANSWERS)
            hits[0] += people.low <= 0.7 <= people.high
            hits[1] += plain.interval.low <= 0.7 <= plain.interval.high
            hits[2] += ours.interval.low <= 0.7 <= ours.interval.high
            judge_hits += judge.low <= 0.7 <= judge.high
            width += ours.interval.high - ours.interval.low
            alone += people.high - people.low
        shares = [hit / RUNS for hit in hits]
        rows.append(
            (
                str(n),
                number(judge_hits / RUNS),
                *map(number, shares),
                number(alone / RUNS),
                number(width / RUNS),
            )
        )
        checks += [
            reproduces(f"people alone, {n} labels", shares[0], wanted[0], runs=RUNS, slack=0.01),
            reproduces(f"PPI++ z, {n} labels", shares[1], wanted[1], runs=RUNS, slack=0.01),
            Check(f"labels and judge, {n} labels", shares[2], 0.95 - noise(0.05, RUNS)),
        ]
        if n < labelled.PLAIN_LABELS:
            checks.append(Check(f"width, {n} labels", width / RUNS, wanted[3] - 0.01, wanted[3] + 0.01))
        checks.append(Check(f"narrower than people alone, {n} labels", width / alone, high=0.95))
        checks.append(reproduces(f"judge alone, {n} labels", judge_hits / RUNS, 0.32, runs=RUNS, slack=0.03))
    return Study(
        "A judge put right by labels",
        f"Coverage of 95 % intervals for a rate of .70 over {ANSWERS:,} answers, with a judge that passes 92 % of the good and 30 % "
        f"of the bad ones, {RUNS:,} simulations each; and mean widths.",
        (
            "random labels",
            "judge alone",
            "labels alone (Wilson)",
            "PPI++ with z",
            "as used here",
            "width, labels alone",
            "width, as used here",
        ),
        tuple(rows),
        tuple(checks),
    )


def labelled_difference() -> Study:
    """Two arms of which the judge likes one for its style."""
    random = Random(32)
    rows, checks = [], []
    for n in (60, 150):
        covered = judge_covered = 0
        for _ in range(RUNS):
            draws = [_styled(random) for _ in range(600)]
            ours = labelled.labelled_mean(
                [truth for truth, _ in draws[:n]],
                [judged for _, judged in draws[:n]],
                [judged for _, judged in draws[n:]],
                middle=0.0,
            )
            judge = estimate.bounded_difference_interval([judged for _, judged in draws])
            assert ours is not None
            assert judge is not None
            covered += ours.interval.low <= 0.05 <= ours.interval.high
            judge_covered += judge.low <= 0.05 <= judge.high
        rows.append((str(n), number(judge_covered / RUNS), number(covered / RUNS)))
        checks.append(Check(f"difference, {n} labels", covered / RUNS, 0.95 - noise(0.05, RUNS) - 0.005))
        checks.append(Check(f"difference, judge alone, {n} labels", judge_covered / RUNS, high=0.05))
    return Study(
        "A biased judge between two arms",
        f"Coverage of 95 % intervals for a difference of +.05 where the judge passes 20 % of the other arm's bad answers for their "
        f"style, over 600 lines, {RUNS:,} simulations each.",
        ("random labels", "judge alone", "labels and judge"),
        tuple(rows),
        tuple(checks),
    )


def _styled(random: Random) -> tuple[float, float]:
    line = random.random()
    first = float(0.5 * line + 0.5 * random.random() < 0.55)
    second = float(0.5 * line + 0.5 * random.random() < 1.0 - 0.2275**0.5)  # .545, five points below .595
    first_judged = float(random.random() < (0.9 if first else 0.1))
    second_judged = float(random.random() < (0.95 if second else 0.4))
    return first - second, first_judged - second_judged
