"""Which arm a request gets, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace.domain.traffic import (
    BucketRange,
    Condition,
    Namespace,
    Operator,
    Revision,
    Traffic,
    TrafficArm,
    UnitPlace,
    UnitSource,
)
from headrace.domain.variant import Arm
from headrace.planning.assignment import Assigner, bucket, is_in_namespace
from headrace.planning.ranges import first_ranges, moved_ranges

USER = UnitSource(place="header", name="x-user")
COUNTRY = UnitSource(place="header", name="x-country")


@dataclass(frozen=True)
class Request:
    """A request with headers only."""

    headers: Mapping[str, str] = field(default_factory=dict)
    forced: str | None = None
    request_id: str = "r-1"

    def find(self, source: UnitSource) -> str | None:
        return self.headers.get(source.name) if source.place == "header" else None


CRITICAL = {1: 10.828, 2: 13.816}
"""Degrees of freedom to the value that chi-square exceeds with a chance of .001."""


def chi_square(found: Sequence[float], expected: Sequence[float]) -> float:
    return sum((n - wanted) ** 2 / wanted for n, wanted in zip(found, expected, strict=True))


def chi_square_of_independence(table: Sequence[Sequence[int]]) -> float:
    """Of a table of two rows and two columns."""
    rows = [sum(row) for row in table]
    columns = [sum(column) for column in zip(*table, strict=True)]
    cells = [n for row in table for n in row]
    return chi_square(cells, [row * column / sum(rows) for row in rows for column in columns])


def user(name: str, **more: str) -> Request:
    return Request(headers={"x-user": name, **more})


def make_traffic(weights: Mapping[str, float], **rules: Any) -> Traffic:
    arms = tuple(TrafficArm(name=name, arm=Arm(name=name), weight=weight) for name, weight in weights.items())
    return Traffic(
        **{
            "name": "test",
            "path": "traffic.yaml",
            "arms": arms,
            "baseline": arms[0].name,
            "digest": "d",
            "units": (USER,),
            "seed": "seed",
            **rules,
        }
    )


def make_revision(
    ranges: Mapping[str, tuple[BucketRange, ...]], answering: str = "base", **more: Any
) -> Revision:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Revision(
        test="test",
        number=1,
        at=at,
        reason="started",
        ranges=ranges,
        answering=answering,
        digest="d",
        **more,
    )


HALVES = {"base": 0.5, "canary": 0.5}


def make_assigner(weights: Mapping[str, float] = HALVES, coverage: float = 1.0, **rules: Any) -> Assigner:
    return Assigner(make_traffic(weights, **rules), make_revision(first_ranges(weights, coverage)))


def arms(assigner: Assigner, n: int, prefix: str = "user-") -> list[str]:
    return [assigner.assign(user(f"{prefix}{number}")).arm for number in range(n)]


def test_100_000_assignments_fit_the_weights() -> None:
    weights = {"base": 0.5, "canary": 0.1, "third": 0.4}
    counts = Counter(arms(make_assigner(weights), 100_000))
    found = [counts[name] for name in weights]
    assert chi_square(found, [share * 100_000 for share in weights.values()]) < CRITICAL[2]


def test_tests_with_two_seeds_are_independent() -> None:
    one, other = make_assigner(seed="one"), make_assigner(seed="other")
    pairs = Counter(zip(arms(one, 50_000), arms(other, 50_000), strict=True))
    table = [[pairs[a, b] for b in HALVES] for a in HALVES]
    assert chi_square_of_independence(table) < CRITICAL[1]


@pytest.mark.parametrize("rules", [{"holdout": 0.5}, {"namespace": Namespace(name="n", start=0.0, end=0.5)}])
def test_units_that_a_question_leaves_in_the_test_are_still_split_evenly(rules: dict[str, Any]) -> None:
    found = [
        answer.arm
        for answer in map(make_assigner(**rules).assign, map(user, map(str, range(40_000))))
        if answer.role == "assigned"
    ]
    assert abs(len(found) / 40_000 - 0.5) < 0.02
    assert chi_square(list(Counter(found).values()), [len(found) / 2] * 2) < CRITICAL[1]


def test_a_unit_keeps_its_arm() -> None:
    assert arms(make_assigner(), 1000) == arms(make_assigner(), 1000)


def test_changed_weights_move_only_the_units_that_must_move() -> None:
    before = first_ranges({"base": 0.9, "canary": 0.1}, 1.0)
    change = moved_ranges(before, {"base": 0.7, "canary": 0.3}, 1.0)
    rules = make_traffic({"base": 0.7, "canary": 0.3})
    was = arms(Assigner(rules, make_revision(before)), 20_000)
    now = arms(Assigner(rules, make_revision(change.ranges)), 20_000)
    moves = Counter((a, b) for a, b in zip(was, now, strict=True) if a != b)
    assert set(moves) == {("base", "canary")}
    assert abs(moves["base", "canary"] / 20_000 - change.moves[0].share) < 0.01


def test_an_assignment_says_its_propensity_and_bucket() -> None:
    assigner = make_assigner({"base": 0.75, "canary": 0.25}, coverage=0.4)
    found = [assigner.assign(user(str(number))) for number in range(200)]
    for answer in found:
        if answer.role == "assigned":
            assert answer.propensity == pytest.approx(0.75 if answer.arm == "base" else 0.25, abs=1e-9)
            assert answer.bucket == bucket("seed", answer.unit)
        else:
            assert (answer.role, answer.arm, answer.settled_by) == ("outside", "base", "bucket")
            assert answer.propensity == 1.0


def test_the_first_place_that_has_a_unit_counts() -> None:
    session = UnitSource(place="header", name="x-session")
    assigner = make_assigner(units=(USER, session))
    assert assigner.assign(user("ann", **{"x-session": "s"})).unit == "ann"
    assert assigner.assign(Request(headers={"x-session": "s", "x-user": ""})).unit == "s"


def test_a_request_without_a_unit_is_a_unit_of_its_own() -> None:
    assigner = make_assigner()
    found = [assigner.assign(Request(request_id=f"r-{number}")) for number in range(2000)]
    assert {answer.unit for answer in found} == {""}
    assert 900 < Counter(answer.arm for answer in found)["canary"] < 1100


class TestOrderOfQuestions:
    """Over, forced, conditions, namespace, holdout, bucket."""

    nowhere = Namespace(name="n", start=1.0, end=1.0)
    nobody = Condition(attribute=COUNTRY, operator="is", value="XX")

    def settled(self, request: Request, **rules: Any) -> tuple[str, str, str]:
        found = make_assigner(**rules).assign(request)
        return found.settled_by, found.role, found.arm

    def test_a_forced_arm_goes_before_all_else(self) -> None:
        request = Request(headers={"x-user": "u"}, forced="canary")
        rules = {"target": (self.nobody,), "namespace": self.nowhere, "holdout": 1.0}
        assert self.settled(request, forced_by="x-arm", **rules) == ("forced", "forced", "canary")

    def test_nobody_forces_where_the_rules_do_not_say_so(self) -> None:
        request = Request(headers={"x-user": "u"}, forced="canary")
        assert self.settled(request, holdout=1.0) == ("holdout", "holdout", "base")

    def test_a_mirror_cannot_be_forced(self) -> None:
        mirror = TrafficArm(name="mirror", arm=Arm(name="mirror"), shadow_share=1.0)
        rules = make_traffic(HALVES, forced_by="x-arm")
        assigner = Assigner(
            replace(rules, arms=(*rules.arms, mirror)), make_revision(first_ranges(HALVES, 1.0))
        )
        assert assigner.assign(Request(forced="mirror")).role == "assigned"

    def test_conditions_go_before_the_namespace(self) -> None:
        rules = {"target": (self.nobody,), "namespace": self.nowhere, "holdout": 1.0}
        assert self.settled(user("u"), **rules) == ("condition", "outside", "base")

    def test_the_namespace_goes_before_the_holdout(self) -> None:
        rules = {"namespace": self.nowhere, "holdout": 1.0}
        assert self.settled(user("u"), **rules) == ("namespace", "outside", "base")

    def test_the_holdout_goes_before_the_bucket(self) -> None:
        assert self.settled(user("u"), holdout=1.0) == ("holdout", "holdout", "base")


def test_everybody_gets_the_promoted_arm_of_a_test_that_is_over() -> None:
    rules = make_traffic(HALVES, holdout=1.0, forced_by="x-arm")
    revision = make_revision(first_ranges(HALVES, 1.0), answering="canary", is_over=True)
    found = Assigner(rules, revision).assign(Request(forced="base"))
    assert (found.arm, found.role, found.settled_by) == ("canary", "outside", "over")


def test_buckets_of_arms_that_the_rules_do_not_have_are_nobodys() -> None:
    assigner = Assigner(
        make_traffic({"base": 1.0}), make_revision(first_ranges(HALVES, 1.0), answering="gone")
    )
    found = [assigner.assign(user(str(number))) for number in range(200)]
    assert {(answer.arm, answer.role, answer.propensity) for answer in found} == {
        ("base", "assigned", 1.0),
        ("base", "outside", 1.0),
    }


def test_mirrors_have_shares_of_their_own() -> None:
    rules = make_traffic(HALVES)
    mirrors = tuple(
        TrafficArm(name=name, arm=Arm(name=name), shadow_share=share)
        for name, share in (("some", 0.3), ("all", 1.0), ("none", 0.0))
    )
    assigner = Assigner(
        replace(rules, arms=(*rules.arms, *mirrors)), make_revision(first_ranges(HALVES, 1.0))
    )
    found = [assigner.assign(user(str(number))) for number in range(10_000)]
    counts = Counter(name for answer in found for name in answer.shadows)
    assert counts["all"] == 10_000
    assert counts["none"] == 0
    assert abs(counts["some"] - 3000) < 200
    both = Counter((answer.arm, "some" in answer.shadows) for answer in found)
    table = [[both[arm, seen] for seen in (True, False)] for arm in HALVES]
    assert chi_square_of_independence(table) < CRITICAL[1]


def test_nobody_outside_the_test_is_mirrored() -> None:
    rules = make_traffic({"base": 1.0}, holdout=1.0)
    mirror = TrafficArm(name="mirror", arm=Arm(name="mirror"), shadow_share=1.0)
    assigner = Assigner(replace(rules, arms=(*rules.arms, mirror)), make_revision({"base": ((0, 10_000),)}))
    assert assigner.assign(user("u")).shadows == ()


@pytest.mark.parametrize(
    ("operator", "value", "met", "unmet"),
    [
        ("is", "DE", ["DE"], ["de", "", None]),
        ("is", 3, ["3", "3.0"], ["4", "three", None]),
        ("is", True, ["true"], ["True", "1", None]),
        ("in", ["DE", 4], ["DE", "4"], ["FR", None]),
        ("not_in", ["DE", 4], ["FR", None, ""], ["DE", "4.0"]),
        ("at_least", 3, ["3", "10"], ["2.9", "many", "nan", None]),
        ("at_most", 3, ["3", "-1"], ["3.1", "few", None]),
        ("matches", "^v[12]", ["v1.5", "v2"], ["v3", "av1", None]),
        ("exists", True, ["", "x"], [None]),
        ("exists", False, [None], ["", "x"]),
    ],
)
def test_conditions(
    operator: Operator, value: Any, met: Sequence[str | None], unmet: Sequence[str | None]
) -> None:
    condition = Condition(attribute=COUNTRY, operator=operator, value=value)
    assigner = make_assigner(target=(condition,))

    def is_in(found: str | None) -> bool:
        request = user("u") if found is None else user("u", **{"x-country": found})
        return assigner.assign(request).role == "assigned"

    assert [is_in(found) for found in met] == [True] * len(met)
    assert [is_in(found) for found in unmet] == [False] * len(unmet)


def test_a_unit_that_a_condition_looks_at_is_not_among_what_is_recorded() -> None:
    staff = Condition(attribute=USER, operator="matches", value="^staff-")
    found = make_assigner(target=(staff,)).assign(user("staff-7"))
    assert (found.role, found.attributes) == ("assigned", {})


def test_an_assignment_says_what_conditions_looked_at_and_cuts_what_is_long() -> None:
    condition = Condition(attribute=COUNTRY, operator="exists", value=True)
    absent = Condition(attribute=UnitSource(place="cookie", name="c"), operator="exists", value=False)
    assigner = make_assigner(target=(condition, absent))
    assert assigner.assign(user("u", **{"x-country": "DE"})).attributes == {"header:x-country": "DE"}
    long = assigner.assign(user("u", **{"x-country": "D" * 5000})).attributes
    assert long == {"header:x-country": "D" * 200}


@pytest.mark.parametrize("place", ["header", "cookie", "field", "session"])
def test_a_unit_may_stand_anywhere(place: UnitPlace) -> None:
    @dataclass(frozen=True)
    class Anywhere:
        request_id: str = "r"
        forced: str | None = None

        def find(self, source: UnitSource) -> str | None:
            return "ann" if source == UnitSource(place=place, name="who") else None

    found = make_assigner(units=(UnitSource(place=place, name="who"),)).assign(Anywhere())
    assert (found.unit, found.bucket) == ("ann", bucket("seed", "ann"))


def test_tests_in_disjoint_ranges_of_a_namespace_share_no_unit() -> None:
    one, other = Namespace(name="n", start=0.0, end=0.4), Namespace(name="n", start=0.4, end=1.0)
    units = [f"user-{number}" for number in range(5000)]
    assert all(is_in_namespace(one, unit) is not is_in_namespace(other, unit) for unit in units)
