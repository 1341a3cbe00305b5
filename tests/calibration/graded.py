"""Differences of graded scores: Student's t, the sparse guard and the sign-flip test; and repeats."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from headrace.evaluation.stats import estimate, paired
from tests.calibration.study import Check, Study, noise, number, reproduces

RUNS = 3000
SIZES = (10, 20, 30, 50, 100)

Draw = Callable[[Random], float]


def _clip(value: float) -> float:
    return min(1.0, max(-1.0, value))


def _grades(random: Random) -> float:
    line = random.random()
    return (_grade(random, line) - _grade(random, line)) / 4.0


def _grade(random: Random, line: float) -> int:
    return min(4, max(0, round(4 * line + random.gauss(0.0, 1.0))))


#: Name, true mean, draws: of scores in [0, 1] the differences.
SHAPES: dict[str, tuple[float, Draw]] = {
    "grades 1 to 5": (0.0, _grades),
    "even": (0.0, lambda random: random.random() - random.random()),
    "half ties": (0.0, lambda random: random.choice((0.0, random.uniform(-0.5, 0.5)))),
    "skewed": (0.05, lambda random: random.betavariate(1.0, 3.0) - 0.2),
    "losses on 5 % of lines, ties else": (-0.05, lambda random: -float(random.random() < 0.05)),
    "small wins, losses of .9 on 5 %": (
        0.95 * 0.05 - 0.05 * 0.9,
        lambda random: -0.9 if random.random() < 0.05 else random.uniform(0.02, 0.08),
    ),
}
FAIR = ("grades 1 to 5", "even", "half ties", "skewed")
RARE = "losses on 5 % of lines, ties else"
UNSEEN = "small wins, losses of .9 on 5 %"


def graded_difference() -> Study:
    random = Random(13)
    rows, checks = [], []
    for name, (truth, draw) in SHAPES.items():
        plain, guarded = [], []
        for n in SIZES:
            hits = [_covers([draw(random) for _ in range(n)], truth) for _ in range(RUNS)]
            plain.append(sum(hit for hit, _ in hits) / RUNS)
            guarded.append(sum(hit for _, hit in hits) / RUNS)
        rows.append((name, "t", *map(number, plain)))
        rows.append((name, "t with sparse guard", *map(number, guarded)))
        checks += _graded_checks(name, plain, guarded)
    return Study(
        "Paired difference of graded scores",
        f"Coverage of 95 % intervals, {RUNS:,} simulations each. The last shape is the one that no interval from the data can "
        "see through: where large losses are rare among small wins, most small samples hold none. The report therefore names "
        "the largest losses that were seen.",
        ("differences", "interval", *(f"{n} lines" for n in SIZES)),
        tuple(rows),
        tuple(checks),
    )


def _covers(differences: list[float], truth: float) -> tuple[bool, bool]:
    plain = estimate.t_interval(differences)
    guarded = estimate.bounded_difference_interval(differences)
    assert guarded is not None
    return (
        plain is not None and plain.low <= truth <= plain.high,
        guarded.low <= truth <= guarded.high,
    )


def _graded_checks(name: str, plain: list[float], guarded: list[float]) -> list[Check]:
    sizes = list(zip(SIZES, plain, guarded, strict=True))
    if name in FAIR:
        return [Check(f"{name}, {n} lines", value, 0.93 - noise(0.05, RUNS)) for n, _, value in sizes]
    if name == RARE:
        found = [Check(f"{name}, {n} lines", value, 0.95 - noise(0.05, RUNS)) for n, _, value in sizes]
        published = {10: 0.40, 20: 0.55, 30: 0.72, 50: 0.87}
        found += [
            reproduces(f"{name}, t, {n} lines", value, published[n], runs=RUNS, slack=0.1)
            for n, value, _ in sizes
            if n in published
        ]
        return found
    published = {20: 0.64, 30: 0.79, 50: 0.91}
    return [
        reproduces(f"{name}, t, {n} lines", value, published[n], runs=RUNS, slack=0.02)
        for n, value, _ in sizes
        if n in published
    ]


def graded_tests() -> Study:
    random = Random(14)
    runs = 2000
    sizes = (30, 50, 100, 200)
    shapes: dict[str, Draw] = {
        "grades 1 to 5": _grades,
        "even": SHAPES["even"][1],
        "half ties": SHAPES["half ties"][1],
        # Mean zero, but nothing symmetric about it: what a test of ranks gets wrong.
        "many small wins, few large losses": lambda random: (
            -random.uniform(0.3, 0.5) if random.random() < 0.2 else random.uniform(0.05, 0.15)
        ),
    }
    rows, checks = [], []
    for name, draw in shapes.items():
        cells = []
        for n in sizes:
            errors = sum(
                paired.sign_flip_p([draw(random) for _ in range(n)], seed=run) <= 0.05 for run in range(runs)
            )
            cells.append(errors / runs)
            high = 0.05 + noise(0.05, runs) + (0.015 if name.startswith("many") else 0.0)
            checks.append(Check(f"sign-flip, {name}, {n} lines", errors / runs, high=high))
        rows.append((name, *map(number, cells)))
    return Study(
        "Sign-flip test of graded scores",
        f"Chance to call equal arms different at .05, {runs:,} simulations each.",
        ("differences", *(f"{n} lines" for n in sizes)),
        tuple(rows),
        tuple(checks),
    )


def repeated_answers() -> Study:
    random = Random(15)
    runs = 1000
    rows, checks = [], []
    for n, repeats, spread in ((50, 10, 0.1), (50, 10, 0.2), (30, 5, 0.2)):
        pooled = averaged = 0
        for _ in range(runs):
            counts = [_repeated_line(random, repeats, spread) for _ in range(n)]
            wins, losses = sum(w for w, _, _ in counts), sum(lo for _, lo, _ in counts)
            pooled += paired.mcnemar_mid_p(wins, losses) <= 0.05
            averaged += paired.sign_flip_p([d for _, _, d in counts]) <= 0.05
        rows.append(
            (f"{n} lines, {repeats} repeats, {spread}", number(pooled / runs), number(averaged / runs))
        )
        checks.append(
            Check(f"averaged, {n} x {repeats}, {spread}", averaged / runs, high=0.05 + noise(0.05, runs))
        )
        checks.append(
            Check(f"pooled, {n} x {repeats}, {spread}", pooled / runs, 0.05 + noise(0.05, runs) / 3.0)
        )
    return Study(
        "Repeats",
        f"Chance to call equal arms different at .05, {runs:,} simulations each: with every repeat counted as a line, as should "
        "not be done, and with repeats averaged first. The last number of a design is how much the arms differ on single "
        "lines (standard deviation of a line's effect).",
        ("design", "repeats as lines", "repeats averaged"),
        tuple(rows),
        tuple(checks),
    )


def _repeated_line(random: Random, repeats: int, spread: float) -> tuple[int, int, float]:
    base = random.uniform(0.3, 0.9)
    effect = random.gauss(0.0, spread) / 2.0
    first, second = (min(1.0, max(0.0, base + sign * effect)) for sign in (1.0, -1.0))
    tries = [(random.random() < first, random.random() < second) for _ in range(repeats)]
    wins, losses = sum(a and not b for a, b in tries), sum(b and not a for a, b in tries)
    return wins, losses, (wins - losses) / repeats
