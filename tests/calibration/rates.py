"""One rate, and the difference of two paired ones: enumerated, without chance."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import sqrt

from headrace.domain.comparison import Interval
from headrace.evaluation.stats import estimate, paired, paired_rates
from tests.calibration.study import Check, Study, number
from tests.support import enumeration

DISCORDANCES = (0.05, 0.1, 0.2, 0.4)
SHARES = (0.0, 0.25, 0.5, 0.9)


def _ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def _wald(k: int, n: int) -> tuple[float, float]:
    half = 1.959963984540054 * sqrt(k / n * (1.0 - k / n) / n)
    return k / n - half, k / n + half


def one_rate() -> Study:
    methods: dict[str, Callable[[int, int], tuple[float, float]]] = {
        "textbook (Wald)": _wald,
        "Wilson": lambda k, n: _ends(estimate.wilson_interval(k, n)),
        "Clopper-Pearson": lambda k, n: _ends(estimate.clopper_pearson_interval(k, n)),
        "Beta(1, 1)": lambda k, n: _ends(estimate.beta_interval(k, n)),
    }
    rows, checks = [], []
    published = {10: (0.954, 0.945), 30: (0.952, 0.960), 100: (0.950, 0.950), 300: (0.950, 0.950)}
    for name, method in methods.items():
        cells = [name]
        for n in (10, 30, 100, 300):
            mean, high, lowest = _rate_summary(cache(method), n)
            cells.append(f"{mean:.3f} / {high:.3f} / {lowest:.3f}")
            if name == "Wilson":
                checks += [
                    Check(f"Wilson, {n} lines, mean", mean, published[n][0] - 0.003, published[n][0] + 0.003),
                    Check(f"Wilson, {n} lines, high", high, published[n][1] - 0.004, published[n][1] + 0.004),
                ]
                if n == 30:
                    checks.append(Check("Wilson, 30 lines, lowest", lowest, 0.92))
        rows.append(tuple(cells))
    return Study(
        "One rate",
        "Exact coverage of 95 % intervals: the mean over rates from .005 to .995, the mean over .90 to .99, the lowest over .02 "
        "to .98.",
        ("interval", "10 lines", "30 lines", "100 lines", "300 lines"),
        tuple(rows),
        tuple(checks),
    )


def _rate_summary(method: Callable[[int, int], tuple[float, float]], n: int) -> tuple[float, float, float]:
    coverage = {step: enumeration.rate_coverage(method, n, step / 200) for step in range(1, 200)}
    high = [value for step, value in coverage.items() if 180 <= step <= 198]
    inner = [value for step, value in coverage.items() if 4 <= step <= 196]
    return sum(coverage.values()) / len(coverage), sum(high) / len(high), min(inner)


def paired_difference() -> Study:
    methods: dict[str, Callable[[int, int, int], tuple[float, float]]] = {
        "textbook (Wald)": lambda w, lo, n: _ends(paired_rates.wald_interval(w, lo, n)),
        "Bonett-Price": lambda w, lo, n: _ends(paired_rates.bonett_price_interval(w, lo, n)),
        "Tango": lambda w, lo, n: _ends(paired.tango_interval(w, lo, n)),
    }
    published = {10: 0.991, 20: 0.979, 30: 0.970, 50: 0.962, 100: 0.953, 300: 0.950}
    rows, checks = [], []
    for name, method in methods.items():
        cells = [name]
        for n in published:
            cached = cache(method)
            found = [
                enumeration.difference_coverage(cached, n, discordance, share * discordance)
                for discordance in DISCORDANCES
                for share in SHARES
            ]
            mean, lowest = sum(c for c, _ in found) / len(found), min(c for c, _ in found)
            width = sum(w for _, w in found) / len(found)
            cells.append(f"{mean:.3f} / {lowest:.3f} / {width:.2f}")
            if name == "Tango":
                checks.append(Check(f"Tango, {n} lines, lowest", lowest, 0.94))
                checks.append(
                    Check(f"Tango, {n} lines, mean", mean, published[n] - 0.005, published[n] + 0.005)
                )
        rows.append(tuple(cells))
    return Study(
        "Difference of two paired rates",
        "Exact coverage of 95 % intervals over 16 scenarios (5, 10, 20 and 40 % of lines on which the arms disagree; a "
        "difference of 0, 25, 50 and 90 % of that): mean, lowest, and mean width.",
        ("interval", *(f"{n} lines" for n in published)),
        tuple(rows),
        tuple(checks),
    )


def paired_tests() -> Study:
    tests = {
        "mid-p": cache(paired.mcnemar_mid_p),
        "exact": cache(paired_rates.mcnemar_exact_p),
        "asymptotic": cache(paired_rates.mcnemar_asymptotic_p),
    }
    sizes = (10, 30, 50, 100, 200, 300)
    power = {50: 0.328, 100: 0.618, 200: 0.903}
    rows, checks = [], []
    for name, test in tests.items():
        errors = [max(enumeration.rejection(test, n, d, 0.0) for d in DISCORDANCES) for n in sizes]
        found = [enumeration.rejection(test, n, 0.2, 0.1) for n in power]
        rows.append((name, *map(number, errors), *map(number, found)))
        if name == "mid-p":
            checks += [
                Check(f"mid-p errs, {n} lines", error, high=0.055)
                for n, error in zip(sizes, errors, strict=True)
            ]
            checks += [
                Check(f"mid-p finds, {n} lines", value, wanted - 0.001, wanted + 0.001)
                for (n, wanted), value in zip(power.items(), found, strict=True)
            ]
    return Study(
        "Tests of two paired rates",
        "Exact chance to call equal arms different at .05, the largest over the same disagreements; and to find a difference of "
        ".10 where the arms disagree on 20 % of the lines.",
        ("McNemar's test", *(f"errs, {n} lines" for n in sizes), *(f"finds, {n} lines" for n in power)),
        tuple(rows),
        tuple(checks),
    )
