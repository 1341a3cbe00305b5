"""Races: how many answers they need, how often they miss the winner of the full grid, and whether they keep their word."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp
from random import Random

from headrace.domain.race import RaceMode
from headrace.evaluation.stats.racing import race
from tests.calibration.study import Check, Study, noise, number

Matrix = list[list[float]]

LADDER = tuple(0.62 + 0.036 * step for step in range(6))
SPREAD = 2.0
"""Of the difficulty of lines on the logistic scale: arms agree on lines with a correlation of .36."""


def _level(rate: float) -> float:
    """The arm's skill at which lines of normal difficulty are passed at the given rate, by bisection."""
    low, high = -15.0, 15.0
    grid = [-4.0 + 0.1 * step for step in range(81)]
    weights = [exp(-z * z / 2.0) for z in grid]
    for _ in range(50):
        middle = (low + high) / 2.0
        passed = sum(w / (1.0 + exp(-middle - SPREAD * z)) for w, z in zip(weights, grid, strict=True))
        low, high = (middle, high) if passed < rate * sum(weights) else (low, middle)
    return low


def passes(random: Random, rates: Sequence[float], n: int) -> Matrix:
    """Passes of arms on lines of different difficulty."""
    lines = [random.gauss(0.0, SPREAD) for _ in range(n)]
    levels = [_LEVELS[rate] for rate in rates]
    return [[float(random.random() < 1.0 / (1.0 + exp(-level - line))) for line in lines] for level in levels]


EQUAL = (0.72,) * 6
CLEAR = (0.80, *(0.70,) * 5)
TWELVE = tuple(0.58 + 0.02 * step for step in range(12))
_LEVELS = {rate: _level(rate) for rate in {*LADDER, *EQUAL, *CLEAR, *TWELVE}}


def _run(
    random: Random, make: Callable[[Random], Matrix], runs: int, batch: int, mode: RaceMode = "winner"
) -> tuple[list[float], float, float]:
    """Share of the answers in each race; how often another arm won than over all lines; how often arm 0 was dropped."""
    shares, missed, first_dropped = [], 0, 0
    for _ in range(runs):
        matrix = make(random)
        n = len(matrix[0])
        order = random.sample(range(n), n)
        replay = race(matrix, order, batch=batch, mode=mode)
        totals = [sum(row) for row in matrix]
        shares.append(replay.calls / replay.full_grid_calls)
        missed += totals[replay.winner] < max(totals) - 1e-9
        first_dropped += replay.dropped_at.get(0, n) < n
    return sorted(shares), missed / runs, first_dropped / runs


def costs() -> Study:
    random = Random(61)
    rows, checks = [], []
    most = {50: 0.85, 100: 0.75, 200: 0.60, 500: 0.45, 1000: 0.34}
    batches = {50: 5, 100: 10, 200: 10, 500: 20, 1000: 25}
    designs = (
        *(("six arms .62 to .80", LADDER, n, most[n]) for n in most),
        ("one clear best: .80, five of .70", CLEAR, 200, 0.60),
        ("twelve arms .58 to .80", TWELVE, 200, 0.60),
        ("six equal arms .72", EQUAL, 200, 0.92),
    )
    for name, rates, n, limit in designs:
        runs = 1200 if n <= 200 else 600
        shares, missed, _ = _run(random, lambda r, rates=rates, n=n: passes(r, rates, n), runs, batches[n])  # type: ignore[misc]
        share = sum(shares) / runs
        ninth = shares[int(0.9 * runs)]
        rows.append((name, str(n), str(batches[n]), f"{share:.0%}", f"{ninth:.0%}", f"{1 - missed:.1%}"))
        checks.append(Check(f"answers, {name}, {n} lines", share, high=limit))
        floor = 0.99 - noise(0.01, runs)
        checks.append(Check(f"same winner, {name}, {n} lines", 1 - missed, floor))
    return Study(
        "What a race costs",
        "Mode winner, alpha .05: share of the answers of the full grid (mean, and the race in ten that takes most), and how "
        "often the race ends with the winner over all lines. Lines differ in difficulty, so that arms agree with a "
        "correlation of .36; 1,200 simulations, 600 from 500 lines on.",
        ("arms", "lines", "block", "answers", "of the dearest tenth", "same winner"),
        tuple(rows),
        tuple(checks),
    )


def _one_ahead(n: int, discordant: int) -> Callable[[Random], Matrix]:
    """Two arms that differ on some lines, the first being one line ahead at the end."""

    def make(random: Random) -> Matrix:
        first = [1.0] * (discordant // 2 + 1) + [0.0] * (discordant // 2) + [1.0] * (n - discordant)
        second = [1.0 - value for value in first[:discordant]] + [1.0] * (n - discordant)
        return [first, second]

    return make


def _crowd(n_arms: int, n_bad: int, n: int) -> Callable[[Random], Matrix]:
    """Arms that pass equally many lines, but for the first, which passes one more, and some that are far behind."""

    def row(random: Random, n_passed: int) -> list[float]:
        passed = set(random.sample(range(n), n_passed))
        return [float(line in passed) for line in range(n)]

    def make(random: Random) -> Matrix:
        passed = round(0.72 * n)
        counts = [passed + 1, *[passed] * (n_arms - 1), *[passed - n // 5] * n_bad]
        return [row(random, count) for count in counts]

    return make


def _grades(n: int) -> Callable[[Random], Matrix]:
    """Two arms with the same grades on other lines, the first being one grade ahead at the end."""

    def make(random: Random) -> Matrix:
        grades = [random.choice((0.0, 0.25, 0.5, 0.75, 0.75, 1.0)) for _ in range(n)]
        first, second = random.sample(grades, n), random.sample(grades, n)
        raised = next(place for place, grade in enumerate(first) if grade < 1.0)
        first[raised] += 0.25
        return [first, second]

    return make


def near_ties() -> Study:
    random = Random(62)
    rows, checks = [], []
    runs = 3000
    designs: tuple[tuple[str, Callable[[Random], Matrix], int, int], ...] = (
        ("two arms, 81 of 100 lines differ", _one_ahead(100, 81), 100, 10),
        ("two arms, 41 of 200 lines differ", _one_ahead(200, 41), 200, 1),
        ("two arms, 41 of 200 lines differ", _one_ahead(200, 41), 200, 10),
        ("two arms, 101 of 500 lines differ", _one_ahead(500, 101), 500, 25),
        ("six arms within one line", _crowd(6, 0, 200), 200, 10),
        ("three within one line, three bad ones", _crowd(3, 3, 200), 200, 10),
        ("two arms, grades", _grades(200), 200, 10),
    )
    for name, make, n, batch in designs:
        n_runs = runs if n <= 200 else runs // 2
        _, _, dropped = _run(random, make, n_runs, batch)
        rows.append((name, str(n), str(batch), number(dropped)))
        checks.append(Check(f"winner dropped, {name}, block {batch}", dropped, high=0.05))
    return Study(
        "Races that are nearly tied",
        "The worst case for the lead rule: one arm wins over all lines by a single line or grade. How often it is dropped "
        "(at most .05 promised); 3,000 simulations, 1,500 at 500 lines.",
        ("arms", "lines", "block", "winner dropped"),
        tuple(rows),
        tuple(checks),
    )


def populations() -> Study:
    random = Random(63)
    rows, checks = [], []
    designs = (
        ("two equal arms .72", (0.72, 0.72), 500, 1, 1200),
        ("two equal arms .72", (0.72, 0.72), 500, 10, 1200),
        ("six equal arms .72", EQUAL, 200, 10, 1200),
        ("one clear best: .80, five of .70", CLEAR, 500, 20, 400),
        ("six arms .62 to .80", LADDER[::-1], 200, 10, 600),
        ("six arms .62 to .80", LADDER[::-1], 500, 20, 400),
        ("six arms .62 to .80", LADDER[::-1], 1000, 25, 200),
    )
    for name, rates, n, batch, runs in designs:
        shares, _, dropped = _run(
            random,
            lambda r, rates=rates, n=n: passes(r, rates, n),  # type: ignore[misc]
            runs,
            batch,
            "population",
        )
        rows.append((name, str(n), str(batch), f"{sum(shares) / runs:.0%}", number(dropped)))
        checks.append(Check(f"best dropped, {name}, {n} lines, block {batch}", dropped, high=0.05))
    return Study(
        "Races about the population",
        "Mode population, alpha .05: share of the answers, and how often an arm that is best over all lines like these is "
        "dropped, which would be a false claim (at most .05 promised).",
        ("arms", "lines", "block", "answers", "best dropped"),
        tuple(rows),
        tuple(checks),
    )
