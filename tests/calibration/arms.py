"""Many arms: who may be the best, how sure that is, and what the winner scores afterwards."""

from __future__ import annotations

from math import exp
from random import Random

from headrace.evaluation.stats import ranking
from headrace.evaluation.stats.estimate import mean
from tests.calibration.study import Check, Study, noise, number

RUNS = 1000
EQUAL = (0.70,) * 6
LADDER = (0.62, 0.66, 0.70, 0.73, 0.77, 0.80)


def _level(rate: float) -> float:
    """The arm's skill at which lines of normal difficulty are passed at the given rate, by bisection."""
    low, high = -10.0, 10.0
    grid = [-4.0 + 0.1 * step for step in range(81)]
    weights = [exp(-z * z / 2.0) for z in grid]
    for _ in range(50):
        middle = (low + high) / 2.0
        passed = sum(w / (1.0 + exp(-middle - 1.5 * z)) for w, z in zip(weights, grid, strict=True)) / sum(
            weights
        )
        low, high = (middle, high) if passed < rate else (low, middle)
    return low


def matrix(random: Random, levels: tuple[float, ...], n: int) -> list[list[float]]:
    """Passes of arms on lines of different difficulty."""
    lines = [random.gauss(0.0, 1.5) for _ in range(n)]
    return [[float(random.random() < 1.0 / (1.0 + exp(-level - line))) for line in lines] for level in levels]


def best_set() -> Study:
    random = Random(41)
    rows, checks = [], []
    # Sizes on the ladder as they were found before.
    sizes = {50: 4.7, 100: 3.7, 200: 2.7, 500: 1.9}
    for name, rates in (("all .70", EQUAL), ("ladder .62 to .80", LADDER)):
        levels = tuple(map(_level, rates))
        for n, published in sizes.items():
            runs = RUNS if n < 500 else RUNS // 2
            held, total = 0, 0
            for _ in range(runs):
                p = ranking.best_set_p(matrix(random, levels, n), is_binary=True)
                inside = [value is not None and value > 0.05 for value in p]
                held += inside[-1]
                total += sum(inside)
            rows.append((name, str(n), number(held / runs), f"{total / runs:.1f}"))
            checks.append(
                Check(f"best set holds the best, {name}, {n} lines", held / runs, 0.95 - noise(0.05, runs))
            )
            if rates is LADDER:
                checks.append(
                    Check(
                        f"arms in the set, {name}, {n} lines", total / runs, published - 0.5, published + 0.5
                    )
                )
    return Study(
        "The best set",
        "How often the set of arms that may be the best holds the best one (wanted .95), and how many of six arms are in it.",
        ("arms", "lines", "holds the best", "size"),
        tuple(rows),
        tuple(checks),
    )


def winners() -> Study:
    random = Random(42)
    rows, checks = [], []
    for name, rates in (("all .70", EQUAL), ("ladder .62 to .80", LADDER)):
        levels = tuple(map(_level, rates))
        for n in (50, 200):
            plain = shrunken = covered = 0.0
            for run in range(RUNS):
                scores = matrix(random, levels, n)
                means = [mean(row) for row in scores]
                winner = means.index(max(means))
                found = ranking.shrink(scores, seed=run, draws=50)
                assert found is not None
                interval = found.intervals[winner]
                plain += means[winner] - rates[winner]
                shrunken += found.means[winner] - rates[winner]
                covered += interval is not None and interval.low <= rates[winner] <= interval.high
            rows.append(
                (name, str(n), f"{plain / RUNS:+.3f}", f"{shrunken / RUNS:+.3f}", number(covered / RUNS))
            )
            # Before: within .004 on a ladder; where all are equal, what is left is the spread that noise alone suggests.
            high = 0.02 if rates is EQUAL else 0.01
            checks.append(Check(f"shrunken winner, {name}, {n} lines", shrunken / RUNS, -0.012, high))
            checks.append(Check(f"taken back, {name}, {n} lines", shrunken / plain, high=0.4))
            checks.append(
                Check(f"interval of the winner, {name}, {n} lines", covered / RUNS, 0.93 - noise(0.05, RUNS))
            )
    return Study(
        "What the winner scores",
        f"Mean of the winner's score less its true rate, as observed and shrunken, and coverage of the 95 % interval of the latter; "
        f"six arms, {RUNS:,} simulations each.",
        ("arms", "lines", "observed", "shrunken", "coverage"),
        tuple(rows),
        tuple(checks),
    )


def chances() -> Study:
    random = Random(43)
    rows, checks = [], []
    published = {50: 0.018, 100: 0.016}
    for n in published:
        bins: dict[int, list[tuple[float, float]]] = {}
        for run in range(RUNS):
            rates = [random.gauss(0.72, 0.05) for _ in range(6)]
            levels = tuple(_LEVELS[min(99, max(1, round(100 * rate)))] for rate in rates)
            found = ranking.shrink(matrix(random, levels, n), seed=run, draws=400)
            assert found is not None
            best = levels.index(max(levels))
            shared = levels.count(max(levels))
            for arm, claimed in enumerate(found.p_best):
                is_best = levels[arm] == levels[best]
                bins.setdefault(min(9, int(10 * claimed)), []).append((claimed, is_best / shared))
        total = sum(map(len, bins.values()))
        error = (
            sum(abs(sum(c for c, _ in pairs) - sum(t for _, t in pairs)) for pairs in bins.values()) / total
        )
        rows.append((str(n), number(error), *(_bin(bins.get(tenth, [])) for tenth in (0, 2, 4, 6, 8, 9))))
        checks.append(Check(f"calibration error of the chance, {n} lines", error, high=published[n] + 0.015))
    return Study(
        "The chance of being the best",
        f"Six arms with rates around .72 (standard deviation .05), {RUNS:,} simulations each: the mean distance between claimed and "
        "true shares over tenths, and for some tenths what was claimed and what was true.",
        ("lines", "error", *(f"claims .{tenth}-" for tenth in (0, 2, 4, 6, 8, 9))),
        tuple(rows),
        tuple(checks),
    )


_LEVELS = {rate: _level(rate / 100) for rate in range(1, 100)}


def _bin(pairs: list[tuple[float, float]]) -> str:
    if not pairs:
        return "–"
    return f"{sum(c for c, _ in pairs) / len(pairs):.2f} / {sum(t for _, t in pairs) / len(pairs):.2f}"
