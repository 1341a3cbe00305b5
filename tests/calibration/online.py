"""Tests with live traffic, played through the analysis that decides them: false verdicts, splits, rollbacks, power."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from math import sqrt
from random import Random
from statistics import fmean, median

from headrace.domain.evidence import Arrival, Completion, Evidence, Exposure
from headrace.domain.traffic import AllocationRule, BucketRange, DecisionRule, Revision, Traffic
from headrace.evaluation.online.allocation import thompson_weights
from headrace.evaluation.online.analysis import OnlineAnalysis
from tests.calibration.study import Check, Study, noise, number
from tests.support.live_traffic import (
    NAME,
    NO_FAILURES,
    SECOND,
    START,
    revision_of,
    said,
    thumbs,
    traffic_of,
)

HALVES = {"old": 0.5, "new": 0.5}
CANARY = {"old": 0.9, "new": 0.1}


class Stream:
    """An analysis and the records that it is given, one after the other."""

    def __init__(self, traffic: Traffic, *revisions: Revision) -> None:
        self.analysis = OnlineAnalysis(traffic)
        for revision in revisions:
            self.analysis.take_revision(revision)
        self._place = 0

    def take(self, record: Evidence) -> None:
        self._place += 1
        self.analysis.take((Arrival(place=self._place, evidence=record),))

    def ask(
        self, name: str, arm: str, share: float, at_ns: int, *, revision: int = 1, unit: str = ""
    ) -> None:
        self.take(
            Exposure(
                id=name,
                test=NAME,
                revision=revision,
                at_ns=at_ns,
                unit=unit or name,
                arm=arm,
                propensity=share,
            )
        )

    def answer(self, name: str, at_ns: int, *, fails: bool) -> None:
        problem = "T401" if fails else ""
        self.take(Completion(exposure=name, test=NAME, at_ns=at_ns, answered_by="", problem=problem))


def requests(
    random: Random, weights: dict[str, float], rates: dict[str, float], n: int, traffic: Traffic | None = None
) -> Iterator[tuple[Stream, str, bool]]:
    """Requests without a unit, of which some fail; after each one may look."""
    stream = Stream(traffic or traffic_of(weights), revision_of(1, weights))
    share = weights["new"]
    for place in range(n):
        arm = "new" if random.random() < share else "old"
        fails = random.random() < rates[arm]
        name, at_ns = str(place), START + place * SECOND // 100
        stream.ask(name, arm, weights[arm], at_ns)
        stream.answer(name, at_ns, fails=fails)
        yield stream, arm, fails


def plain(rate: float, n: int) -> Callable[[Random], bool]:
    """Equal arms; whether a look after some request calls them different."""

    def play(random: Random) -> bool:
        return any(
            stream.analysis.decided()
            for stream, _, _ in requests(random, HALVES, {"old": rate, "new": rate}, n)
        )

    return play


def naive(rate: float, n: int) -> Callable[[Random], bool]:
    """The same with the z test that is not to be looked at: after 50 units of either arm, at 1.96."""

    def play(random: Random) -> bool:
        counts, sums = {"old": 0, "new": 0}, {"old": 0, "new": 0}
        for _ in range(n):
            arm = "new" if random.random() < 0.5 else "old"
            counts[arm] += 1
            sums[arm] += random.random() < rate
            if min(counts.values()) >= 50:
                pooled = sum(sums.values()) / sum(counts.values())
                spread = pooled * (1.0 - pooled) * (1.0 / counts["old"] + 1.0 / counts["new"])
                gap = sums["new"] / counts["new"] - sums["old"] / counts["old"]
                if spread > 0.0 and abs(gap) > 1.96 * sqrt(spread):
                    return True
        return False

    return play


def sticky(n: int) -> Callable[[Random], bool]:
    """People who come back, agree with themselves and answer late: one unit each, thumbs within ten minutes."""

    def play(random: Random) -> bool:
        stream = Stream(traffic_of(HALVES, [thumbs(600.0)]), revision_of(1, HALVES))
        people = [(random.choice(("old", "new")), random.betavariate(1.4, 0.6)) for _ in range(n)]
        late: list[tuple[int, str, float]] = []
        for place in range(2 * n):
            person = min(n - 1, int(random.expovariate(1.0) * n / 40) + place // 2)
            arm, rate = people[person]
            name, at_ns = str(place), START + place * SECOND
            stream.ask(name, arm, 0.5, at_ns, unit=f"person {person}")
            if random.random() < 0.4:
                late.append((place + random.randrange(500), name, float(random.random() < rate)))
            if place % 10 == 0:
                late.sort(reverse=True)
                while late and late[-1][0] <= place:
                    at, about, value = late.pop()
                    stream.take(said(about, value, at_s=float(at)))
            if stream.analysis.decided():
                return True
        return False

    return play


def ramped(n: int) -> Callable[[Random], bool]:
    """People who come back while more and more of them take part: 10, 25, 50 and 100 %."""
    steps = (0.1, 0.25, 0.5, 1.0)

    def ranges(coverage: float) -> dict[str, tuple[BucketRange, ...]]:
        width = round(5000 * coverage)
        return {"old": ((0, width),), "new": ((5000, 5000 + width),)}

    def play(random: Random) -> bool:
        revisions = [
            replace(revision_of(number, HALVES), ranges=ranges(coverage))
            for number, coverage in enumerate(steps, start=1)
        ]
        stream = Stream(traffic_of(HALVES), *revisions)
        people = [random.randrange(10_000) for _ in range(n)]
        for place in range(2 * n):
            step = place * len(steps) // (2 * n)
            person = random.randrange(n)
            bucket, width = people[person], round(5000 * steps[step])
            if bucket % 5000 >= width:
                continue
            arm = "old" if bucket < 5000 else "new"
            name, at_ns = str(place), START + place * SECOND // 100
            stream.ask(name, arm, 0.5, at_ns, revision=step + 1, unit=str(person))
            stream.answer(name, at_ns, fails=random.random() < 0.3)
            if stream.analysis.decided():
                return True
        return False

    return play


def thompson(n: int, rates: dict[str, float], every: int = 500) -> Callable[[Random], bool]:
    """Shares that a bandit moves, while the rate of all arms falls: the worst case for plain means."""
    traffic = traffic_of(HALVES, allocation=AllocationRule(method="thompson"))

    def play(random: Random) -> bool:
        stream, weights, revision = Stream(traffic, revision_of(1, HALVES)), dict(HALVES), 1
        for place in range(n):
            if place and place % every == 0:
                report = stream.analysis.look(START)
                weights = thompson_weights(traffic, report)
                revision += 1
                made = revision_of(revision, weights, reason="allocated")
                stream.analysis.take_revision(made)
                weights = {arm: made.propensity(arm) for arm in weights}
            arm = "new" if random.random() < weights["new"] else "old"
            name, at_ns = str(place), START + place * SECOND // 100
            stream.ask(name, arm, weights[arm], at_ns, revision=revision)
            stream.answer(name, at_ns, fails=random.random() < rates[arm] * (1.0 + place / n) / 1.5)
            if stream.analysis.decided():
                return True
        return False

    return play


def planned(rate: float, n: int) -> Callable[[Random], bool]:
    """Equal arms under a fixed horizon."""
    traffic = traffic_of(HALVES, decision=DecisionRule(horizon="fixed", n_units=n, looks=5))

    def play(random: Random) -> bool:
        return any(
            stream.analysis.decided()
            for stream, _, _ in requests(random, HALVES, {"old": rate, "new": rate}, n, traffic)
        )

    return play


def share_of(play: Callable[[Random], bool], runs: int, seed: int) -> float:
    random = Random(seed)
    return sum(play(random) for _ in range(runs)) / runs


def verdicts_of(name: str, play: Callable[[Random], bool], runs: int, seed: int) -> Study:
    """One row of the table of false verdicts."""
    share = share_of(play, runs, seed)
    is_naive = name.startswith("z test")
    # Boundaries of planned looks err exactly as often as they may; bets err less.
    most = 0.05 + noise(0.05, runs) if "planned" in name else 0.05
    low, high = (0.3, 1.0) if is_naive else (0.0, most)
    return Study(
        "Live traffic: equal arms called different",
        "A look after every request, alpha .05: how often equal arms are ever called better or worse. The z test stands here "
        "to show what looking does to a test that was made for one look.",
        ("traffic", "requests", "simulations", "ever called different"),
        ((*name.split(" | "), f"{runs:,}", number(share)),),
        (Check(f"false verdicts, {name}", share, low, high),),
    )


def splits(runs: int = 400, n: int = 10_000) -> Study:
    """How often a fair split raises an alarm, and after how many units one of 46 to 54 does."""
    random = Random(72)
    traffic = traffic_of(HALVES, [])

    def alarm(share: float, most: int) -> int | None:
        stream = Stream(traffic, revision_of(1, HALVES))
        for place in range(most):
            stream.ask(str(place), "new" if random.random() < share else "old", 0.5, START)
            if stream.analysis.is_mismatch:
                return place + 1
        return None

    false = sum(alarm(0.5, n) is not None for _ in range(runs)) / runs
    found = [alarm(0.46, 20_000) for _ in range(max(20, runs // 10))]
    sizes = [size for size in found if size is not None]
    checks = (
        Check("false alarms of the split", false, high=0.005),
        Check("46/54 found", len(sizes) / len(found), low=1.0),
    )
    rows = (
        ("50 to 50", f"{n:,}", f"{runs:,}", number(false), ""),
        ("46 to 54", "20,000", f"{len(found):,}", number(len(sizes) / len(found)), f"{fmean(sizes):,.0f}"),
    )
    return Study(
        "Live traffic: splits that are not as the weights say",
        "Looked at after every unit, alpha .001.",
        ("split", "units", "simulations", "alarms", "mean units to the alarm"),
        rows,
        checks,
    )


def rollback_after(random: Random, bad: float, n: int) -> int | None:
    """Canary requests until a rollback is due; ``None`` where none ever is.

    Requests that succeed say nothing to this guardrail and are left out, so that many tests can be played.
    """
    stream = Stream(traffic_of(CANARY, guardrails=[NO_FAILURES]), revision_of(1, CANARY))
    canary = 0
    for place in range(n):
        arm = "new" if random.random() < CANARY["new"] else "old"
        canary += arm == "new"
        if random.random() >= {"old": 0.01, "new": bad}[arm]:
            continue
        name, at_ns = str(place), START + place * SECOND // 100
        stream.ask(name, arm, CANARY[arm], at_ns)
        stream.answer(name, at_ns, fails=True)
        if stream.analysis.breached():
            return canary
    return None


def false_rollbacks(runs: int = 2000, n: int = 20_000) -> Study:
    share = sum(rollback_after(Random(7300 + run), 0.01, n) is not None for run in range(runs)) / runs
    return _rollbacks(
        ("1 %", f"{n:,}", f"{runs:,}", number(share), ""), Check("false rollbacks", share, high=0.01)
    )


def rollbacks(bad: float, most: float, runs: int = 2000) -> Study:
    random = Random(74)
    found = [rollback_after(random, bad, 40_000) for _ in range(runs)]
    sizes = [size for size in found if size is not None]
    middle = median(sizes)
    row = (
        f"{bad:.0%}".replace("%", " %"),
        "40,000",
        f"{runs:,}",
        number(len(sizes) / runs),
        f"{middle:,.0f}",
    )
    return _rollbacks(row, Check(f"canary requests to a rollback, errors of {bad:.0%}", middle, high=most))


def _rollbacks(row: tuple[str, ...], check: Check) -> Study:
    return Study(
        "Live traffic: rollbacks of a canary",
        "A canary has 10 % of the requests, the baseline fails in 1 % of its own; guardrail on failures, alpha .01, looked at "
        "after every request.",
        (
            "errors of the canary",
            "requests at most",
            "simulations",
            "rolled back",
            "median canary requests before",
        ),
        (row,),
        (check,),
    )


def stops(
    rates: dict[str, float], traffic: Traffic, runs: int, seed: int, n: int = 10_000
) -> tuple[float, float]:
    """Share of the simulations that find the better arm, and mean requests until then or the end."""
    random = Random(seed)
    found, sizes = 0, []
    for _ in range(runs):
        size = n
        for place, (stream, _, _) in enumerate(requests(random, HALVES, rates, n, traffic), start=1):
            if stream.analysis.decided():
                comparison = stream.analysis.look(START).comparison("new", "failures")
                found += comparison is not None and comparison.word == "better"
                size = place
                break
        sizes.append(size)
    return found / runs, fmean(sizes)


def power(runs: int = 60) -> Study:
    anytime = traffic_of(HALVES)
    fixed = traffic_of(HALVES, decision=DecisionRule(horizon="fixed", n_units=10_000, looks=5))
    rates = {"old": 0.30, "new": 0.25}
    rows, checks = [], []
    for name, traffic, least, most in (
        ("always", anytime, 0.95, 3700.0),
        ("5 planned looks", fixed, 0.97, 5600.0),
    ):
        share, size = stops(rates, traffic, runs, 75)
        rows.append((name, f"{runs:,}", number(share), f"{size:,.0f}"))
        checks.append(Check(f"found, {name}", share, low=least))
        checks.append(Check(f"mean requests, {name}", size, high=most))
    return Study(
        "Live traffic: how soon a better arm is found",
        "An arm that succeeds in 75 % of its requests beside one that does in 70 %, half of the requests each, at most 10,000. "
        "A single look that is planned needs about 2,500 to find it in 80 % of the cases.",
        ("looks", "simulations", "found", "mean requests"),
        tuple(rows),
        tuple(checks),
    )


def studies() -> dict[str, Callable[[], Study]]:
    """All of them, by name."""
    made: dict[str, Callable[[], Study]] = {}
    scenes: tuple[tuple[str, str, Callable[[Random], bool], int], ...] = (
        ("z", "z test, success .70 | 10,000", naive(0.3, 10_000), 300),
        ("plain", "success .70 | 10,000", plain(0.3, 10_000), 120),
        ("rare", "success .98 | 20,000", plain(0.02, 20_000), 80),
        ("sticky", "people who come back, thumbs within 10 minutes | 8,000", sticky(4000), 80),
        ("ramp", "people who come back, ramp 10 to 100 % | 16,000", ramped(8000), 60),
        (
            "thompson",
            "Thompson sampling, rates that drift | 10,000",
            thompson(10_000, {"old": 0.3, "new": 0.3}),
            60,
        ),
        ("planned", "success .70, 5 planned looks | 4,000", planned(0.3, 4000), 400),
    )
    for seed, (key, name, play, runs) in enumerate(scenes, start=710):
        made[f"online_{key}"] = partial(verdicts_of, name, play, runs, seed)
    made["online_splits"] = splits
    made["online_false_rollbacks"] = false_rollbacks
    made["online_rollbacks_tenfold"] = partial(rollbacks, 0.10, 60.0)
    made["online_rollbacks_threefold"] = partial(rollbacks, 0.03, 500.0)
    made["online_power"] = power
    return made
