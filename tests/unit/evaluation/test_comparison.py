from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from math import ceil, inf, isfinite, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.evaluation.builders import an_arm, an_observation, yes_no

from headrace.domain.comparison import Comparison, PairedEffect, Tries
from headrace.domain.scores import ArmLines, HumanLabel, LineFacts, LineObservation, MetricSpec
from headrace.evaluation.comparison import compare
from headrace.evaluation.recommendation import ship_recommendation
from headrace.evaluation.stats.power import (
    detectable_binary_difference,
    discordance_upper_bound,
    lines_for_binary_difference,
)

ACCURACY = MetricSpec(name="accuracy")

MESSY_SCORES = st.one_of(
    st.none(),
    st.sampled_from([0.0, 1.0, 0.5, nan, inf, -inf, 1e308, -1e99, 5e-324, 10**400]),
    st.floats(0.0, 1.0),
)
OBSERVATIONS = st.builds(
    LineObservation,
    scores=st.fixed_dictionaries({}, optional={"accuracy": MESSY_SCORES}),
    is_failed=st.booleans(),
    duration_ms=st.one_of(st.just(nan), st.just(inf), st.floats(0.0, 1e5)),
    prompt_tokens=st.integers(0, 1000),
    completion_tokens=st.integers(0, 1000),
    cost_usd=st.one_of(st.none(), st.just(nan), st.floats(0.0, 1.0)),
)


def messy_arms() -> st.SearchStrategy[list[ArmLines]]:
    lines = st.dictionaries(
        st.sampled_from([f"line-{i}" for i in range(12)]),
        st.lists(OBSERVATIONS, max_size=3).map(tuple),
        max_size=12,
    )
    return st.lists(lines, min_size=1, max_size=4).map(
        lambda drawn: [ArmLines(arm=f"arm-{i}", lines=line) for i, line in enumerate(drawn)]
    )


def numbers_in(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from numbers_in(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from numbers_in(entry)
    elif isinstance(value, tuple):
        for entry in value:
            yield from numbers_in(entry)


def effect_of(comparison: Comparison, arm: str) -> PairedEffect:
    assert comparison.primary is not None
    effect = comparison.primary.effect_of(arm)
    assert effect is not None
    return effect


def two_arms(wins: int, losses: int, ties: int) -> list[ArmLines]:
    return [
        an_arm("base", [0.0] * wins + [1.0] * losses + [1.0] * ties),
        an_arm("new", [1.0] * wins + [0.0] * losses + [1.0] * ties),
    ]


def messy_facts() -> st.SearchStrategy[dict[str, LineFacts]]:
    facts = st.builds(
        LineFacts,
        cluster=st.one_of(st.none(), st.sampled_from([f"c{i}" for i in range(7)])),
        slices=st.fixed_dictionaries({}, optional={"topic": st.sampled_from(["x", "y", ""])}),
    )
    return st.dictionaries(st.sampled_from([f"line-{i}" for i in range(14)]), facts)


def messy_labels() -> st.SearchStrategy[list[HumanLabel]]:
    return st.lists(
        st.builds(
            HumanLabel,
            metric=st.sampled_from(["accuracy", "unheard-of"]),
            arm=st.sampled_from(["arm-0", "arm-1", "nobody"]),
            line_id=st.sampled_from([f"line-{i}" for i in range(14)]),
            value=st.sampled_from([0.0, 1.0, 0.5, -3.0]),
            is_random=st.booleans(),
        ),
        max_size=20,
    )


@given(
    messy_arms(),
    messy_facts(),
    messy_labels(),
    st.sampled_from(["baseline", "exploratory", "none"]),
    st.sampled_from(["higher", "lower"]),
)
@settings(max_examples=150, deadline=None)
def test_messy_data_never_crashes_or_gives_nan(arms, facts, labels, family, direction) -> None:
    arms = [replace(arm, variant=f"v{place % 2}", model=f"m{place // 2}") for place, arm in enumerate(arms)]
    specs = [
        MetricSpec(name="accuracy", margin=0.1, direction=direction, goal="non_inferiority"),
        MetricSpec(name="unheard-of", direction="lower"),
    ]
    comparison = compare(arms, baseline="arm-0", metrics=specs, family=family, facts=facts, labels=labels)
    assert all(isfinite(number) for number in numbers_in(comparison))
    assert ship_recommendation(comparison).reason
    for metric in comparison.metrics:
        assert len(metric.effects) == len(arms) - 1
        for effect in metric.effects:
            assert effect.verdict.reason


@given(messy_arms())
@settings(max_examples=100, deadline=None)
def test_every_line_is_paired_or_reported(arms: list[ArmLines]) -> None:
    comparison = compare(arms, baseline="arm-0", metrics=[ACCURACY])
    by_name = {arm.arm: {line for line, repeats in arm.lines.items() if repeats} for arm in arms}
    for arm in by_name.keys() - {"arm-0"}:
        effect = effect_of(comparison, arm)
        both = by_name[arm] & by_name["arm-0"]
        assert set(effect.unmatched_arm) == by_name[arm] - by_name["arm-0"]
        assert set(effect.unmatched_against) == by_name["arm-0"] - by_name[arm]
        assert effect.n_pairs + len(effect.unscored) == len(both)
        assert effect.n_pairs == effect.wins + effect.losses + effect.ties


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.3, 1.0]), st.sampled_from([0.0, 0.5, 1.0])), min_size=1, max_size=40
    ),
    st.sampled_from(["higher", "lower"]),
)
@settings(max_examples=100, deadline=None)
def test_swapping_the_arms_mirrors_everything(pairs: list[tuple[float, float]], direction) -> None:
    arms = [an_arm("a", [a for a, _ in pairs]), an_arm("b", [b for _, b in pairs])]
    spec = MetricSpec(name="accuracy", direction=direction)
    forth = effect_of(compare(arms, baseline="a", metrics=[spec]), "b")
    back = effect_of(compare(arms[::-1], baseline="b", metrics=[spec]), "a")
    assert forth.difference is not None
    assert back.difference is not None
    assert forth.difference.value == pytest.approx(-back.difference.value)
    assert (forth.wins, forth.losses, forth.ties) == (back.losses, back.wins, back.ties)
    assert forth.p_raw == pytest.approx(back.p_raw)
    assert forth.difference.interval is not None
    assert back.difference.interval is not None
    assert forth.difference.interval.low == pytest.approx(-back.difference.interval.high)
    assert forth.probability_better is not None
    assert back.probability_better is not None
    assert forth.probability_better + back.probability_better == pytest.approx(1.0)
    mirrored = {"better": "worse", "worse": "better"}
    assert back.verdict.word == mirrored.get(forth.verdict.word, forth.verdict.word)
    low, high = forth.difference.interval.low, forth.difference.interval.high
    assert low - 1e-12 <= forth.difference.value <= high + 1e-12


def test_pairing_is_by_line_id_and_not_by_position() -> None:
    scores = {f"line-{i}": (an_observation(float(i % 3 == 0)),) for i in range(30)}
    shuffled = dict(sorted(scores.items(), key=lambda item: hash(item[0]) % 7))
    arms = [ArmLines(arm="base", lines=scores), ArmLines(arm="same", lines=dict(reversed(shuffled.items())))]
    effect = effect_of(compare(arms, baseline="base", metrics=[ACCURACY]), "same")
    assert (effect.wins, effect.losses, effect.ties) == (0, 0, 30)


def test_binary_scores_use_tango_and_mid_p() -> None:
    effect = effect_of(compare(two_arms(16, 6, 139), baseline="base", metrics=[ACCURACY]), "new")
    # The published table of Cavo et al. (2012): 6 and 16 of 161.
    assert effect.difference is not None
    assert effect.difference.interval is not None
    assert effect.difference.interval.method == "Tango"
    assert effect.difference.interval.low == pytest.approx(0.0054, abs=6e-5)
    assert effect.difference.interval.high == pytest.approx(0.124, abs=6e-5)
    assert effect.method_p == "McNemar mid-p"
    assert effect.verdict.word == "better"


def test_graded_and_unbounded_scores_use_their_methods() -> None:
    for top, method in ((0.9, "t"), (90.0, "t")):
        arms = [
            an_arm("base", [top * (i % 7) / 7 for i in range(30)]),
            an_arm("new", [top * (i % 5) / 5 for i in range(30)]),
        ]
        effect = effect_of(compare(arms, baseline="base", metrics=[ACCURACY]), "new")
        assert effect.method_p == "sign-flip permutation"
        assert effect.difference is not None
        assert effect.difference.interval is not None
        assert effect.difference.interval.method == method


@pytest.mark.parametrize(("direction", "word"), [("higher", "better"), ("lower", "worse")])
def test_the_direction_turns_the_verdict_and_not_the_difference(direction, word: str) -> None:
    spec = MetricSpec(name="accuracy", direction=direction)
    effect = effect_of(compare(two_arms(20, 2, 18), baseline="base", metrics=[spec]), "new")
    assert effect.verdict.word == word
    assert effect.difference is not None
    assert effect.difference.value == pytest.approx(18 / 40)
    assert effect.wins == (20 if direction == "higher" else 2)


def test_a_small_difference_is_inconclusive_and_says_how_many_lines() -> None:
    effect = effect_of(compare(two_arms(6, 4, 30), baseline="base", metrics=[ACCURACY]), "new")
    assert effect.verdict.word == "inconclusive"
    assert not effect.verdict.is_borderline
    assert effect.n_for_observed is not None
    assert effect.n_for_observed > 40
    assert "more lines would resolve a difference of this size" in effect.verdict.reason


def test_forty_binary_lines_never_have_a_zero_width_interval() -> None:
    for wins, losses in ((0, 0), (40, 0), (0, 40), (1, 0)):
        effect = effect_of(
            compare(two_arms(wins, losses, 40 - wins - losses), baseline="base", metrics=[ACCURACY]), "new"
        )
        assert effect.difference is not None
        assert effect.difference.interval is not None
        assert effect.difference.interval.high - effect.difference.interval.low > 0.1


def test_all_ties_say_what_would_have_gone_unseen() -> None:
    effect = effect_of(compare(two_arms(0, 0, 40), baseline="base", metrics=[ACCURACY]), "new")
    assert effect.verdict.word == "inconclusive"
    assert "All 40 paired lines score the same" in effect.verdict.reason
    assert effect.detectable is not None
    assert 0.05 < effect.detectable < 0.5
    assert effect.p_adjusted == 1.0


def test_equivalence_needs_a_margin_and_an_interval_inside_it() -> None:
    arms = two_arms(3, 3, 394)
    words = [
        effect_of(
            compare(arms, baseline="base", metrics=[MetricSpec(name="accuracy", margin=margin)]), "new"
        ).verdict.word
        for margin in (None, 0.005, 0.05)
    ]
    assert words == ["inconclusive", "inconclusive", "equivalent"]


def test_a_proven_difference_inside_the_margin_is_still_said() -> None:
    spec = MetricSpec(name="accuracy", margin=0.5)
    effect = effect_of(compare(two_arms(30, 5, 165), baseline="base", metrics=[spec]), "new")
    assert effect.verdict.word == "better"
    assert "within the margin" in effect.verdict.reason


@pytest.mark.parametrize("n", [1, 3, 4])
def test_few_lines_cannot_decide(n: int) -> None:
    effect = effect_of(compare(two_arms(n, 0, 0), baseline="base", metrics=[ACCURACY]), "new")
    assert effect.verdict.word == "inconclusive"
    assert not effect.verdict.is_judged
    assert effect.verdict.reason.startswith(f"Cannot be decided, because only {n} line")
    assert effect.difference is not None
    assert effect.difference.value == 1.0


def test_adjustment_makes_the_verdict_borderline() -> None:
    # Raw p of 8 to 1 is .02: enough alone, not among six arms.
    arms = two_arms(8, 1, 31) + [an_arm(f"same-{i}", yes_no(31, 9)) for i in range(5)]
    effect = effect_of(compare(arms, baseline="base", metrics=[ACCURACY]), "new")
    assert effect.p_raw is not None
    assert effect.p_raw < 0.05
    assert effect.p_adjusted is not None
    assert effect.p_adjusted > 0.05
    assert effect.verdict.word == "inconclusive"
    assert effect.verdict.is_borderline
    assert effect.verdict.reason.startswith("Borderline")
    alone = effect_of(compare(arms, baseline="base", metrics=[ACCURACY], family="none"), "new")
    assert alone.verdict.word == "better"
    assert alone.p_adjusted == alone.p_raw


def test_failed_lines_count_as_zero_and_the_sensitivity_is_given() -> None:
    arms = [an_arm("base", yes_no(30, 10)), an_arm("new", yes_no(30, 10), failed=range(10))]
    comparison = compare(arms, baseline="base", metrics=[ACCURACY])
    metric = comparison.primary
    assert metric is not None
    assert metric.failed_count_as == 0.0
    score = metric.score_of("new")
    assert score.mean is not None
    assert score.mean.value == 0.5
    assert score.without_failed is not None
    assert score.without_failed.value == pytest.approx(20 / 30)
    assert metric.score_of("base").without_failed is None
    effect = effect_of(comparison, "new")
    assert effect.verdict.word == "worse"
    assert effect.without_failed is not None
    assert effect.without_failed.value == 0.0
    assert effect.without_failed.n == 30
    assert (
        "Failed lines count as 0 in accuracy (10 in new). Without them accuracy is 0.667 for new."
        in comparison.warnings
    )
    assert any("changes whether the interval" in w for w in comparison.warnings)


def test_a_baseline_that_only_fails_decides_nothing() -> None:
    arms = [an_arm("base", yes_no(20, 20), failed=range(40)), an_arm("new", yes_no(40, 0))]
    comparison = compare(arms, baseline="base", metrics=[ACCURACY])
    verdict = effect_of(comparison, "new").verdict
    assert verdict.word == "inconclusive"
    assert verdict.reason == "Cannot be decided, because every line of base failed."
    assert any("Every line of base failed" in w for w in comparison.warnings)
    assert ship_recommendation(comparison).arm is None


def test_missing_scores_are_reported_and_not_zero() -> None:
    arms = [an_arm("base", yes_no(5, 5)), an_arm("new", [1.0] * 8 + [None, nan])]
    comparison = compare(arms, baseline="base", metrics=[ACCURACY])
    metric = comparison.primary
    assert metric is not None
    score = metric.score_of("new")
    assert score.mean is not None
    assert (score.mean.value, score.mean.n, score.n_missing) == (1.0, 8, 2)
    assert effect_of(comparison, "new").unscored == ("line-8", "line-9")
    assert "2 lines of new without a usable accuracy: left out, not counted as zero." in comparison.warnings


def test_unmatched_lines_are_named_and_reported() -> None:
    arms = [an_arm("base", yes_no(6, 6)), an_arm("new", yes_no(6, 4))]
    comparison = compare(arms, baseline="base", metrics=[ACCURACY])
    effect = effect_of(comparison, "new")
    assert effect.unmatched_against == ("line-10", "line-11")
    assert effect.unmatched_arm == ()
    assert "2 lines of base without a partner in new: left out of that comparison." in comparison.warnings


def test_repeats_do_not_multiply_the_lines() -> None:
    once = [an_arm("base", yes_no(10, 10)), an_arm("new", yes_no(14, 6))]
    five = [
        an_arm(arm.arm, [[repeats[0].scores["accuracy"]] * 5 for repeats in arm.lines.values()])
        for arm in once
    ]
    first = effect_of(compare(once, baseline="base", metrics=[ACCURACY]), "new")
    comparison = compare(five, baseline="base", metrics=[ACCURACY])
    repeated = effect_of(comparison, "new")
    assert repeated.n_pairs == 20
    assert repeated.p_raw == first.p_raw
    assert repeated.difference == first.difference
    assert "Lines were run 5 times; repeats are averaged per line before any test." in comparison.warnings


def test_repeated_yes_or_no_scores_say_what_several_tries_are_worth() -> None:
    base = an_arm("base", [[1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0]])
    new = an_arm("new", [[1.0, 1.0, 0.0], [1.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    comparison = compare([base, new], baseline="base", metrics=[ACCURACY])
    ours, theirs = (comparison.metrics[0].score_of(arm).tries for arm in ("new", "base"))
    assert theirs == Tries(k=2, pass_at_k=0.75, pass_hat_k=0.25)
    # Of three tries with two passes one of the three pairs passes twice, and every pair once.
    assert ours is not None
    assert (ours.k, ours.pass_at_k) == (2, 1.0)
    assert ours.pass_hat_k == pytest.approx((1 / 3 + 2) / 4)
    assert "pass@k and pass^k" in comparison.provenance.methods
    flipped = compare([base, new], baseline="base", metrics=[MetricSpec(name="accuracy", direction="lower")])
    assert flipped.metrics[0].score_of("base").tries == Tries(k=2, pass_at_k=0.75, pass_hat_k=0.25)


@pytest.mark.parametrize(
    "scores",
    [[1.0, 0.0], [[1.0, 0.5], [1.0, 0.0]], [[1.0, 0.0], [1.0]], [[3.0, 1.0], [0.0, 0.0]], [None, None]],
)
def test_tries_are_not_counted_without_repeats_or_beside_yes_and_no(
    scores: Sequence[float | Sequence[float | None] | None],
) -> None:
    comparison = compare(
        [an_arm("base", [[1.0, 0.0], [1.0, 1.0]]), an_arm("new", scores)], baseline="base", metrics=[ACCURACY]
    )
    tries = [score.tries for score in comparison.metrics[0].scores]
    assert tries == ([Tries(k=2, pass_at_k=1.0, pass_hat_k=0.5), None] if None in scores else [None, None])


def test_worst_lines_are_the_largest_losses_first() -> None:
    arms = [an_arm("base", [0.9, 0.8, 0.7, 0.2, 0.5, 0.5]), an_arm("new", [0.0, 0.7, 0.3, 0.9, 0.5, 0.5])]
    effect = effect_of(compare(arms, baseline="base", metrics=[ACCURACY]), "new")
    assert [loss.line_id for loss in effect.worst_lines] == ["line-0", "line-2", "line-1"]
    assert effect.worst_lines[0].loss == pytest.approx(0.9)


def test_the_leaders_are_compared_where_two_arms_win() -> None:
    base = an_arm("base", yes_no(10, 50))
    good = an_arm("good", yes_no(40, 20))
    best = an_arm("best", yes_no(55, 5))
    metric = compare([base, good, best], baseline="base", metrics=[ACCURACY]).primary
    assert metric is not None
    assert metric.leaders is not None
    assert (metric.leaders.arm, metric.leaders.against) == ("best", "good")
    assert metric.leaders.verdict.word == "better"
    alone = compare([base, best], baseline="base", metrics=[ACCURACY]).primary
    assert alone is not None
    assert alone.leaders is None


def test_the_leaders_pay_for_having_been_picked() -> None:
    base = an_arm("base", yes_no(2, 58))
    rivals = [an_arm(f"arm-{yes}", yes_no(yes, 60 - yes)) for yes in (40, 46, 50)]
    metric = compare([base, *rivals], baseline="base", metrics=[ACCURACY]).primary
    assert metric is not None
    assert metric.leaders is not None
    assert (metric.leaders.arm, metric.leaders.against) == ("arm-50", "arm-46")
    assert metric.leaders.p_raw is not None
    assert metric.leaders.p_adjusted == pytest.approx(2 * metric.leaders.p_raw)


def test_planned_lines_allow_for_the_disagreement_being_underestimated() -> None:
    effect = effect_of(compare(two_arms(6, 3, 31), baseline="base", metrics=[ACCURACY]), "new")
    bound = discordance_upper_bound(9, 40)
    assert bound > 9 / 40
    assert effect.n_for_observed == ceil(lines_for_binary_difference(3 / 40, bound))
    assert effect.detectable == pytest.approx(detectable_binary_difference(40, bound))


def test_provenance_names_what_was_done() -> None:
    comparison = compare(two_arms(5, 5, 30), baseline="base", metrics=[ACCURACY], seed=7)
    assert comparison.provenance.seed == 7
    assert comparison.provenance.adjustment == "Holm"
    assert {"Tango", "Wilson", "McNemar mid-p"} <= set(comparison.provenance.methods)


def test_the_seed_makes_the_result_reproducible() -> None:
    # One line stands out among differences of no common unit: the signs are drawn.
    ours, theirs = [1.0, *(i % 11 / 77.7 for i in range(60))], [0.1, *(i % 7 / 55.5 for i in range(60))]
    arms = [an_arm("base", theirs), an_arm("new", ours)]
    first, again = (compare(arms, baseline="base", metrics=[ACCURACY], seed=3) for _ in range(2))
    other = compare(arms, baseline="base", metrics=[ACCURACY], seed=4)
    assert first == again
    assert effect_of(first, "new").p_raw != effect_of(other, "new").p_raw


def test_secondary_metrics_are_called_descriptive() -> None:
    comparison = compare(
        two_arms(5, 5, 30), baseline="base", metrics=[ACCURACY, MetricSpec(name="unheard-of")]
    )
    assert any(w.startswith("accuracy decides.") for w in comparison.warnings)
    assert "No line of any arm has a usable unheard-of." in comparison.warnings


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "nobody"}, "not among the arms"),
        ({"arms": [an_arm("base", [1.0]), an_arm("base", [1.0])]}, "arm appears twice"),
        ({"metrics": [ACCURACY, ACCURACY]}, "metric appears twice"),
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": nan}, "alpha"),
        ({"metrics": [MetricSpec(name="accuracy", margin=0.0)]}, "margin"),
        ({"metrics": [MetricSpec(name="accuracy", goal="equivalence")]}, "needs a margin"),
        ({"family": "all"}, "family"),
    ],
)
def test_impossible_requests_are_refused(change: dict, message: str) -> None:
    request = {"arms": two_arms(1, 1, 1), "baseline": "base", "metrics": [ACCURACY], **change}
    with pytest.raises(ValueError, match=message):
        compare(request.pop("arms"), **request)


def test_constant_scores_without_limits_show_no_spread() -> None:
    arms = [an_arm("base", [7.0] * 20), an_arm("new", [7.0] * 20)]
    effect = effect_of(compare(arms, baseline="base", metrics=[ACCURACY]), "new")
    assert effect.difference is not None
    assert effect.difference.interval is None
    assert not effect.verdict.is_judged
    assert "no spread" in effect.verdict.reason
    assert effect.detectable is None


def test_two_constant_arms_apart_are_judged_by_the_range_between_them() -> None:
    arms = [an_arm("base", [7.0] * 20), an_arm("new", [9.0] * 20)]
    effect = effect_of(compare(arms, baseline="base", metrics=[ACCURACY]), "new")
    assert effect.difference is not None
    assert effect.difference.value == 2.0
    assert effect.verdict.word == "better"


def test_a_huge_need_for_lines_is_not_spelled_out() -> None:
    arms = [an_arm("base", [0.5, 0.3] * 50), an_arm("new", [0.3 + 1e-7, 0.5] * 50)]
    effect = effect_of(compare(arms, baseline="base", metrics=[ACCURACY]), "new")
    assert "more than 100,000 more lines" in effect.verdict.reason


def test_a_handful_of_lines_cannot_say_what_would_go_unseen() -> None:
    arms = two_arms(0, 0, 5) + [an_arm(f"same-{i}", yes_no(5, 0)) for i in range(12)]
    effect = effect_of(compare(arms, baseline="base", metrics=[ACCURACY]), "new")
    assert effect.detectable is None
    assert effect.verdict.reason == "All 5 paired lines score the same on both arms."


def test_a_gain_over_a_negative_mean_is_a_gain_in_relation_too() -> None:
    arms = an_arm("base", [-4.0, -2.0, -3.0] * 10), an_arm("new", [-2.0, -1.0, -1.5] * 10)
    (effect,) = compare(arms, baseline="base", metrics=[ACCURACY]).metrics[0].effects
    assert effect.verdict.word == "better"
    assert effect.relative == pytest.approx(0.5)


def test_arms_are_not_ranked_by_fewer_lines_than_a_verdict_needs() -> None:
    for n, is_ranked in ((4, False), (5, True)):
        arms = an_arm("base", [0.0] * n), an_arm("new", [1.0] * n)
        for score in compare(arms, baseline="base", metrics=[ACCURACY]).metrics[0].scores:
            assert (score.p_best is not None) == is_ranked
            assert (score.in_best_set is not None) == is_ranked


def test_p_that_is_not_adjusted_is_not_called_so() -> None:
    arms = an_arm("base", yes_no(10, 30)), an_arm("new", yes_no(35, 5))
    for family, words in (("baseline", ", adjusted p < 0.001"), ("none", ", p < 0.001")):
        found = compare(arms, baseline="base", metrics=[ACCURACY], family=family)  # type: ignore[arg-type]
        assert words in found.metrics[0].effects[0].verdict.reason


def test_a_widened_interval_says_why() -> None:
    few = compare(
        [an_arm("base", [0.5] * 30), an_arm("new", [0.5] * 27 + [0.7] * 3)],
        baseline="base",
        metrics=[ACCURACY],
    )
    alike = compare(
        [an_arm("base", [0.5] * 30), an_arm("new", [0.7] * 30)], baseline="base", metrics=[ACCURACY]
    )
    assert any(text.startswith("Few lines differ in accuracy for new") for text in few.warnings)
    assert any(
        text.startswith("The differences in accuracy are few or alike for new") for text in alike.warnings
    )


def test_failures_of_repeats_are_counted_as_such() -> None:
    arms = an_arm("base", [[1.0, 1.0]] * 10), an_arm("new", [[1.0, 1.0]] * 10, failed=[0, 1, 2])
    warnings = compare(arms, baseline="base", metrics=[ACCURACY]).warnings
    assert any(text.startswith("Failed repeats count as 0 in accuracy (6 in new).") for text in warnings)
