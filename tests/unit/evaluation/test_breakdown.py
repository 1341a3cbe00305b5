"""Slices, interaction, ranking, margins and missing scores of a comparison."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.evaluation.builders import an_arm, an_observation, yes_no

from headrace.domain.comparison import MetricComparison
from headrace.domain.scores import ArmLines, LineFacts, MetricSpec
from headrace.evaluation.comparison import compare

ACCURACY = MetricSpec(name="accuracy")


def primary(arms: list[ArmLines], *, spec: MetricSpec = ACCURACY, **options) -> MetricComparison:
    found = compare(arms, baseline=arms[0].arm, metrics=[spec], **options).primary
    assert found is not None
    return found


def in_topics(topics: list[str]) -> dict[str, LineFacts]:
    return {f"line-{i}": LineFacts(slices={"topic": topic}) for i, topic in enumerate(topics)}


def test_slices_hold_their_lines_and_are_adjusted_together() -> None:
    # "new" wins 12 of 20 lines about x and loses nothing; about y the arms are the same.
    arms = [an_arm("base", yes_no(0, 20) + yes_no(10, 10)), an_arm("new", yes_no(12, 8) + yes_no(10, 10))]
    metric = primary(arms, facts=in_topics(["x"] * 20 + ["y"] * 20))
    first, second = metric.slices
    assert [(item.column, item.value, item.n_lines) for item in metric.slices] == [
        ("topic", "x", 20),
        ("topic", "y", 20),
    ]
    (in_x,), (in_y,) = first.effects, second.effects
    assert (in_x.wins, in_x.losses, in_x.ties) == (12, 0, 8)
    assert in_x.p_raw == pytest.approx(2**-12)  # mid-p of 12 wins in 12
    assert in_x.p_adjusted == pytest.approx(2 * 2**-12)  # two slices of one arm
    assert (in_x.verdict.word, in_y.verdict.word) == ("better", "inconclusive")
    assert first.scores[1].mean is not None
    assert first.scores[1].mean.value == 0.6
    assert metric.effects[0].p_adjusted == pytest.approx(2**-12)  # the slices do not touch the whole


def test_only_the_largest_slices_of_a_column_are_shown_and_it_is_said() -> None:
    arms = [an_arm("base", yes_no(30, 10)), an_arm("new", yes_no(30, 10))]
    topics = [f"t{i}" for i in range(30)] + ["big"] * 10
    found = compare(arms, baseline="base", metrics=[ACCURACY], facts=in_topics(topics))
    assert len(found.metrics[0].slices) == 20
    assert found.metrics[0].slices[0].value == "big"
    assert "Column topic has 31 values: the 20 with the most lines are shown." in found.warnings


def test_a_slice_of_few_lines_decides_nothing() -> None:
    arms = [an_arm("base", yes_no(0, 20)), an_arm("new", yes_no(20, 0))]
    metric = primary(arms, facts=in_topics(["x"] * 17 + ["y"] * 3))
    assert metric.slices[1].effects[0].verdict.reason.startswith("Cannot be decided, because only 3 lines")


def crossed(both: list[float]) -> list[ArmLines]:
    return [
        an_arm("plain/a", yes_no(10, 30), variant="plain", model="a"),
        an_arm("rich/a", yes_no(10, 30), variant="rich", model="a"),
        an_arm("plain/b", yes_no(10, 30), variant="plain", model="b"),
        an_arm("rich/b", both, variant="rich", model="b"),
    ]


def test_interaction_is_a_difference_of_differences() -> None:
    (effect,) = primary(crossed(yes_no(30, 10))).interaction
    assert (effect.variant, effect.model) == ("rich", "b")
    assert (effect.baseline_variant, effect.baseline_model) == ("plain", "a")
    assert effect.difference is not None
    assert effect.difference.value == 0.5
    assert effect.difference.interval is not None
    assert effect.difference.interval.excludes_zero
    assert effect.p_adjusted is not None
    assert effect.p_adjusted < 0.001


def test_arms_that_are_no_cross_have_no_interaction() -> None:
    assert primary(crossed(yes_no(30, 10))[:3]).interaction == ()
    assert primary([an_arm("a", [1.0]), an_arm("b", [1.0])]).interaction == ()
    (effect,) = primary(crossed(yes_no(10, 30))).interaction
    assert effect.difference is not None
    assert effect.difference.interval is not None
    assert effect.difference.interval.low < 0.0 < effect.difference.interval.high
    assert effect.p_adjusted == 1.0


def test_the_best_arm_is_shrunk_and_ranked() -> None:
    random = Random(3)
    arms = [
        an_arm(name, [float(random.random() < rate) for _ in range(200)])
        for name, rate in (("base", 0.5), ("good", 0.7), ("best", 0.75), ("bad", 0.2))
    ]
    scores = {score.arm: score for score in primary(arms).scores}
    chances = [score.p_best for score in scores.values()]
    assert sum(chance for chance in chances if chance is not None) == pytest.approx(1.0)
    top = max(scores.values(), key=lambda score: score.p_best or 0.0)
    assert top.arm in ("good", "best")
    assert top.in_best_set
    assert scores["bad"].in_best_set is False
    assert top.shrunken is not None
    assert top.mean is not None
    assert top.shrunken.value < top.mean.value  # the winner's score is drawn towards the others'
    assert scores["bad"].shrunken is not None
    assert scores["bad"].mean is not None
    assert scores["bad"].shrunken.value > scores["bad"].mean.value


def test_lower_scores_are_ranked_by_what_is_good() -> None:
    arms = [an_arm("base", yes_no(30, 10)), an_arm("few", yes_no(2, 38))]
    spec = MetricSpec(name="accuracy", direction="lower")
    base, few = primary(arms, spec=spec).scores
    assert (base.in_best_set, few.in_best_set) == (False, True)
    assert few.p_best is not None
    assert few.p_best > 0.99
    assert few.shrunken is not None
    assert few.shrunken.interval is not None
    assert 0.0 <= few.shrunken.interval.low < few.shrunken.value < few.shrunken.interval.high


def test_margins_turn_into_three_one_sided_tests() -> None:
    arms = [an_arm("base", yes_no(200, 200)), an_arm("same", yes_no(202, 198))]
    spec = MetricSpec(name="accuracy", margin=0.05)
    effect = primary(arms, spec=spec).effects[0]
    assert [(test.question, test.holds) for test in effect.margin_tests] == [
        ("superior", False),
        ("non-inferior", True),
        ("equivalent", True),
    ]
    assert effect.verdict.word == "equivalent"
    assert all(test.margin == 0.05 for test in effect.margin_tests)
    assert effect.difference is not None
    assert effect.difference.interval is not None
    assert effect.margin_tests[1].bound == pytest.approx(effect.difference.interval.low, abs=1e-6)


def test_bounds_have_the_sign_of_the_difference_where_less_is_better() -> None:
    arms = [an_arm("base", yes_no(200, 200)), an_arm("new", yes_no(210, 190))]
    spec = MetricSpec(name="accuracy", margin=0.1, direction="lower")
    effect = primary(arms, spec=spec).effects[0]
    _, non_inferior, _ = effect.margin_tests
    assert non_inferior.holds
    assert effect.difference is not None
    assert effect.difference.interval is not None
    assert non_inferior.bound == pytest.approx(effect.difference.interval.high, abs=1e-6)


def test_margin_tests_are_adjusted_over_the_arms() -> None:
    arms = [an_arm("base", yes_no(40, 40)), *(an_arm(f"n{i}", yes_no(41, 39)) for i in range(4))]
    spec = MetricSpec(name="accuracy", margin=0.05)
    for effect in primary(arms, spec=spec).effects:
        for test in effect.margin_tests:
            assert test.p_raw is not None
            assert test.p_adjusted is not None
            assert test.p_adjusted == pytest.approx(min(1.0, 4 * test.p_raw))


def test_missing_scores_are_tried_both_ways() -> None:
    arms = [an_arm("base", yes_no(5, 15)), an_arm("new", [1.0] * 12 + [None] * 4 + [0.0] * 4)]
    found = compare(arms, baseline="base", metrics=[ACCURACY])
    (effect,) = found.metrics[0].effects
    assert effect.n_pairs == 16
    assert effect.unscored == ("line-12", "line-13", "line-14", "line-15")
    assert effect.worst_case == pytest.approx((7 / 20, 11 / 20))
    assert primary([arms[0], an_arm("new", yes_no(6, 14))]).effects[0].worst_case is None


def test_a_verdict_that_missing_scores_could_turn_round_says_so() -> None:
    arms = [an_arm("base", yes_no(0, 30)), an_arm("new", [1.0] * 8 + [0.0] * 12 + [None] * 10)]
    found = compare(arms, baseline="base", metrics=[ACCURACY])
    assert found.metrics[0].effects[0].verdict.word == "better"
    assert not any("could change the verdict" in warning for warning in found.warnings)
    more = [an_arm("base", [0.0] * 20 + [None] * 10), arms[1]]
    found = compare(more, baseline="base", metrics=[ACCURACY])
    assert found.metrics[0].effects[0].verdict.word == "better"
    assert any("could change the verdict on new" in warning for warning in found.warnings)


def test_an_equivalence_that_missing_scores_could_end_says_so() -> None:
    spec = MetricSpec(name="accuracy", margin=0.1)

    def warnings_of(missing: int) -> tuple[str, ...]:
        scores = yes_no(50, 50)
        arms = [an_arm("base", scores), an_arm("new", [*scores[:-missing], *[None] * missing])]
        found = compare(arms, baseline="base", metrics=[spec])
        assert found.metrics[0].effects[0].verdict.word == "equivalent"
        return found.warnings

    assert not any("could change the verdict" in warning for warning in warnings_of(5))
    assert any("could change the verdict on new" in warning for warning in warnings_of(20))


def test_lines_of_one_arm_only_are_part_of_the_worst_case() -> None:
    arms = [an_arm("base", yes_no(5, 15)), an_arm("new", yes_no(5, 5))]
    (effect,) = primary(arms).effects
    assert effect.unmatched_against == tuple(f"line-{i}" for i in range(10, 20))
    assert effect.worst_case == pytest.approx((0.0, 0.5))


def test_the_relative_difference_is_one_of_the_same_lines() -> None:
    arms = [an_arm("base", [2.0, 4.0, 100.0]), an_arm("new", [3.0, 6.0])]
    assert primary(arms).effects[0].relative == pytest.approx(0.5)
    assert primary([an_arm("base", [0.0]), an_arm("new", [3.0])]).effects[0].relative is None


def test_the_spread_tells_lines_from_repeats() -> None:
    random = Random(1)
    easy = [random.gauss(0.0, 1.0) for _ in range(300)]
    arms = [
        an_arm(name, [[5 + e + random.gauss(0.0, 2.0) for _ in range(4)] for e in easy])
        for name in ("base", "new")
    ]
    metric = primary(arms)
    spread = metric.effects[0].spread
    assert metric.repeats == 4
    assert spread is not None
    assert spread.within_lines is not None
    assert spread.within_lines == pytest.approx(8.0, rel=0.1)  # 2² for each arm
    assert spread.between_lines < 0.5  # easy lines are easy for both
    assert spread.correlation is not None
    assert 0.3 < spread.correlation < 0.7


def test_repeats_that_never_differ_are_said() -> None:
    alike = [an_arm("base", [[1.0, 1.0], [0.0, 0.0]]), an_arm("new", [[1.0, 0.0], [0.0, 0.0]])]
    (warning,) = [
        w for w in compare(alike, baseline="base", metrics=[ACCURACY]).warnings if "All repeats" in w
    ]
    assert "for base:" in warning


def test_the_digest_tells_data_apart_and_nothing_else() -> None:
    def digest(arms: list[ArmLines]) -> str:
        return compare(arms, baseline="base", metrics=[ACCURACY]).provenance.data_digest

    arms = [an_arm("base", [1.0, 0.0, 0.5]), an_arm("new", [1.0, 1.0, 0.5])]
    assert len(digest(arms)) == 64
    assert digest(arms) == digest(arms[::-1])
    assert digest(arms) != digest([arms[0], an_arm("new", [1.0, 1.0, 0.25])])
    assert digest(arms) != digest([arms[0], an_arm("new", [1.0, 1.0, 0.5], failed=[2])])
    assert digest(arms) != digest([arms[0], an_arm("other", [1.0, 1.0, 0.5])])


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=40, max_size=40), st.booleans())
@settings(max_examples=150, deadline=None)
def test_forty_yes_or_no_lines_never_show_an_interval_of_no_width(pairs, is_clustered) -> None:
    arms = [an_arm("base", [float(a) for a, _ in pairs]), an_arm("new", [float(b) for _, b in pairs])]
    facts = {f"line-{i}": LineFacts(cluster=f"c{i // 4}" if is_clustered else None) for i in range(40)}
    metric = primary(arms, facts=facts)
    estimates = [*(score.mean for score in metric.scores), metric.effects[0].difference]
    for estimate in estimates:
        assert estimate is not None
        assert estimate.interval is not None
        assert estimate.interval.high - estimate.interval.low > 0.01


def test_equal_arms_are_seldom_told_apart() -> None:
    """120 experiments of 4 equal arms: an error rate of 5 % gives 6, and more than 14 once in 800 times."""
    random = Random(11)
    wrong = {"binary": 0, "graded": 0}
    for _ in range(60):
        rates = [random.betavariate(2.0, 1.0) for _ in range(40)]
        for kind in wrong:
            arms = [
                an_arm(
                    f"arm-{i}",
                    [
                        float(random.random() < rate)
                        if kind == "binary"
                        else min(1.0, max(0.0, random.gauss(rate, 0.2)))
                        for rate in rates
                    ],
                )
                for i in range(4)
            ]
            facts = {f"line-{i}": LineFacts(cluster=f"c{i // 4}") for i in range(40)}
            metric = primary(arms, facts=facts)
            wrong[kind] += any(effect.verdict.word != "inconclusive" for effect in metric.effects)
    assert sum(wrong.values()) <= 14


def test_an_arm_that_failed_on_every_line_and_one_without_lines_are_said() -> None:
    arms = [
        an_arm("base", yes_no(10, 10)),
        an_arm("dead", yes_no(10, 10), failed=range(20)),
        ArmLines(arm="empty", lines={}),
        ArmLines(arm="odd", lines={"elsewhere": (an_observation(1.0),)}),
    ]
    found = compare(arms, baseline="base", metrics=[ACCURACY])
    dead, empty, odd = found.metrics[0].effects
    assert dead.verdict.word == "worse"
    assert "Every line of dead failed: its score says that it does not run." in found.warnings
    assert not empty.verdict.is_judged
    assert empty.worst_case is not None
    assert not odd.verdict.is_judged
    assert odd.unmatched_arm == ("elsewhere",)
