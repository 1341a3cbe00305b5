"""Evidence about live traffic, one unit after the other; published values stand in tests/conformance/stats."""

from __future__ import annotations

from math import log
from random import Random

import pytest

from headrace.evaluation.stats.bandit import Posterior, best_chances, with_floor
from headrace.evaluation.stats.betting import OneSidedBets, TwoSidedBets, mean_log_e
from headrace.evaluation.stats.group_sequential import obrien_fleming_boundaries
from headrace.evaluation.stats.rare_events import RareEvents
from headrace.evaluation.stats.sample_ratio import SampleRatioTest
from headrace.evaluation.stats.sequential import Contrast, sequence_half_width


def contrast(
    rates: tuple[float, float], n: int, *, shares: tuple[float, ...] = (0.5,), margin: float | None = None
) -> Contrast:
    random, found = Random(7), Contrast(margin)
    for place in range(n):
        share = shares[place * len(shares) // n]
        is_arm = random.random() < share
        found.add(float(random.random() < rates[is_arm]), share, is_arm=is_arm)
    return found


def test_bets_one_by_one_are_worth_what_they_are_worth_together() -> None:
    leads = [0.3, -0.2, 1.0, 0.0, 0.7]
    one_sided, two_sided = OneSidedBets(), TwoSidedBets()
    for lead in leads:
        one_sided.add(lead)
        two_sided.add(lead)
    assert one_sided.log_e == pytest.approx(mean_log_e(leads))
    assert two_sided.log_e_above == pytest.approx(mean_log_e(leads))
    assert two_sided.log_e_below == pytest.approx(mean_log_e([-lead for lead in leads]))


def test_bets_stay_finite_whatever_is_won_or_lost() -> None:
    bets = OneSidedBets()
    for x in [1.0] * 5000:
        bets.add(x)
    assert bets.log_e == bets.highest == pytest.approx(690.8, abs=0.1)
    lost = OneSidedBets()
    for x in [-1.0] * 200_000:
        lost.add(x)
    assert lost.log_e == pytest.approx(-690.8, abs=0.1)
    assert lost.highest == 0.0


def test_what_was_won_beyond_all_numbers_can_be_lost_again() -> None:
    bets, one_sided = TwoSidedBets(), OneSidedBets()
    for lead in [1.0] * 5000 + [-1.0] * 5000:
        bets.add(lead)
        one_sided.add(lead)
    assert bets.log_e_above < 0
    assert one_sided.log_e < 0
    assert one_sided.highest == pytest.approx(log(1e300))


@pytest.mark.parametrize(("share", "max_ratio"), [(0.01, 1.5), (0.05, 1.0), (0.1, 1.5), (0.5, 3.0)])
def test_evidence_of_an_arm_that_always_fails_stays_a_number(share: float, max_ratio: float) -> None:
    test = RareEvents(max_ratio, 0.2)
    for _ in range(3000):
        test.add(share, is_arm=True)
    assert test.log_e == test.highest == pytest.approx(log(1e300))
    test.add(share, is_arm=False)
    assert test.log_e <= test.highest


def test_the_highest_evidence_is_kept_when_it_falls_again() -> None:
    bets = OneSidedBets()
    for x in [1.0] * 20 + [-1.0] * 20:
        bets.add(x)
    assert bets.highest > 5.0 > bets.log_e


def test_a_difference_is_found_on_its_side() -> None:
    found = contrast((0.5, 0.7), 2000)
    assert found.bets.log_e > 10.0
    assert found.bets.log_e_above > 10.0 > 0.0 > found.bets.log_e_below
    interval = found.interval(0.05)
    assert interval is not None
    assert interval.low > 0.0
    assert found.effect == pytest.approx(0.2, abs=0.06)


def test_shares_that_change_neither_bias_the_effect_nor_fake_evidence() -> None:
    random, found = Random(3), Contrast()
    for place in range(40_000):
        is_late = place >= 20_000
        share, rate = (0.9, 0.9) if is_late else (0.1, 0.3)
        is_arm = random.random() < share
        found.add(float(random.random() < rate), share, is_arm=is_arm)
    arm, other = found.arm.mean, found.other.mean
    assert arm is not None
    assert other is not None
    assert arm - other > 0.3, "plain means would claim a large effect"
    assert found.effect == pytest.approx(0.0, abs=0.03)
    interval = found.interval(0.05)
    assert interval is not None
    assert interval.low < 0.0 < interval.high
    assert found.bets.log_e < 3.0


def test_units_that_could_get_one_arm_only_say_nothing() -> None:
    found = Contrast()
    assert found.add(1.0, 1.0, is_arm=True) is None
    assert found.add(1.0, 0.0, is_arm=False) is None
    assert (found.n, found.effect, found.interval(0.05)) == (0, None, None)


def test_equal_arms_are_shown_to_differ_by_less_than_the_margin() -> None:
    found = contrast((0.6, 0.6), 20_000, margin=0.05)
    assert found.above is not None
    assert found.below is not None
    assert found.above.log_e > 4.0
    assert found.below.log_e > 4.0
    worse = contrast((0.6, 0.5), 20_000, margin=0.05)
    assert worse.above is not None
    assert worse.above.log_e < 0.0


def test_the_sequence_is_wider_than_a_single_look_and_narrows() -> None:
    widths = [sequence_half_width(1.0 / n**0.5, n, 0.05) for n in (100, 1000, 10_000)]
    assert widths == sorted(widths, reverse=True)
    assert widths[1] > 1.96 / 1000**0.5


def test_bad_events_in_proportion_to_the_traffic_are_no_evidence() -> None:
    fair, bad = RareEvents(), RareEvents()
    for place in range(100):
        fair.add(0.1, is_arm=place % 10 == 0)
        bad.add(0.1, is_arm=place % 2 == 0)
    assert fair.log_e < 0.0
    assert bad.log_e > 30.0
    assert (bad.arm, bad.other) == (50, 50)


def test_bad_events_within_the_accepted_ratio_are_no_evidence() -> None:
    events = RareEvents(3.0)
    for place in range(400):
        events.add(0.5, is_arm=place % 4 != 0)
    assert events.log_e < 2.0


def test_bad_events_are_weighed_by_the_share_that_each_was_drawn_with() -> None:
    events = RareEvents()
    for place in range(200):
        share = 0.1 if place < 100 else 0.9
        events.add(share, is_arm=(place % 10 == 0) == (place < 100))
    assert events.log_e < 0.0


def events_until_seen(reserve: float) -> int:
    """Bad events after a long good while until evidence of 100, of which the arm has half in place of a tenth."""
    events = RareEvents(reserve=reserve)
    for place in range(300):
        events.add(0.1, is_arm=place % 10 == 0)
    for place in range(1000):
        events.add(0.1, is_arm=place % 2 == 0)
        if events.highest >= log(100.0):
            return place
    return 1000


def test_what_begins_late_is_seen_sooner_with_a_reserve() -> None:
    assert events_until_seen(0.2) < 0.6 * events_until_seen(0.0)


def test_bets_with_a_reserve_see_a_late_change_sooner() -> None:
    seen = {}
    for reserve in (0.0, 0.2):
        bets = OneSidedBets(reserve)
        for place in range(5000):
            bets.add(0.1 if place % 2 else -0.2)
        seen[reserve] = 0
        while bets.highest < log(100.0):
            bets.add(0.2)
            seen[reserve] += 1
    assert seen[0.2] < 0.6 * seen[0.0]


@pytest.mark.parametrize("reserve", [0.0, 0.2])
def test_a_reserve_makes_no_false_alarms(reserve: float) -> None:
    rng, alarms = Random(5), 0
    for _ in range(400):
        events = RareEvents(reserve=reserve)
        for _ in range(150):
            events.add(0.3, is_arm=rng.random() < 0.3)
        alarms += events.highest >= log(20.0)
    assert alarms <= 28  # 5 % of 400 and two standard errors


def test_a_ratio_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="positive"):
        RareEvents(0.0)


def test_a_split_as_expected_is_no_mismatch_also_where_weights_change() -> None:
    random, test = Random(5), SampleRatioTest()
    for place in range(20_000):
        share = (0.1, 0.3, 0.5)[place * 3 // 20_000]
        arm = "new" if random.random() < share else "old"
        test.add(arm, {"old": 1.0 - share, "new": share, "gone": 0.0})
    assert test.highest < 3.0
    assert "gone" not in test.expected
    assert test.expected["new"] == pytest.approx(6000, rel=0.01)


def test_units_lost_in_one_arm_are_found_also_where_weights_change() -> None:
    random, test = Random(5), SampleRatioTest()
    for place in range(20_000):
        share = (0.3, 0.5)[place * 2 // 20_000]
        is_new = random.random() < share
        if not (is_new and random.random() < 0.15):
            test.add("new" if is_new else "old", {"old": 1.0 - share, "new": share})
    assert test.highest > 7.0


def test_a_unit_of_an_arm_that_gets_none_is_counted_apart() -> None:
    test = SampleRatioTest()
    test.add("gone", {"old": 1.0, "gone": 0.0})
    assert (test.n_impossible, test.log_e) == (1, 0.0)


def test_one_look_is_the_usual_test() -> None:
    assert obrien_fleming_boundaries(1, 0.05) == pytest.approx([1.95996], abs=1e-3)


@pytest.mark.parametrize(("n_looks", "constant"), [(2, 1.977), (3, 2.004), (4, 2.024), (10, 2.087)])
def test_boundaries_are_those_of_the_tables(n_looks: int, constant: float) -> None:
    assert obrien_fleming_boundaries(n_looks, 0.05)[-1] == pytest.approx(constant, abs=2e-3)


@pytest.mark.parametrize(("n_looks", "alpha"), [(0, 0.05), (21, 0.05), (5, 0.0), (5, 1.0)])
def test_looks_and_alpha_out_of_range_are_refused(n_looks: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="looks"):
        obrien_fleming_boundaries(n_looks, alpha)


def test_the_better_arm_gets_more_traffic_and_none_less_than_the_floor() -> None:
    arms = [Posterior(n=400, mean=0.5), Posterior(n=400, mean=0.6), Posterior(n=10, mean=0.5)]
    chances = best_chances(arms)
    assert sum(chances) == pytest.approx(1.0)
    assert chances[1] > chances[0]
    assert chances[2] > 0.02, "an arm that is hardly known may still be the best"
    shares = with_floor(chances, 0.05)
    assert min(shares) >= 0.05
    assert sum(shares) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("arms", "chance"),
    [
        ([Posterior(n=0, mean=0.5), Posterior(n=1, mean=1.0)], 2 / 3),
        ([Posterior(n=1, mean=0.0), Posterior(n=1, mean=1.0)], 5 / 6),
        ([Posterior(n=3, mean=2 / 3), Posterior(n=2, mean=0.5)], 13 / 35),
    ],
)
def test_chances_to_be_the_best_are_those_of_the_integral(arms: list[Posterior], chance: float) -> None:
    assert best_chances(arms)[1] == pytest.approx(chance, abs=1e-4)


@pytest.mark.parametrize("n", [0, 7, 10**6])
@pytest.mark.parametrize("variance", [None, 0.04])
def test_arms_of_which_the_same_is_known_are_equally_likely_to_be_the_best(
    n: int, variance: float | None
) -> None:
    same = Posterior(n=n, mean=0.3, variance=variance)
    assert best_chances([same, same]) == (0.5, 0.5)
    rare = Posterior(n=5, mean=0.1, variance=variance)
    chances = best_chances([same, rare, same])
    assert chances[0] == pytest.approx(chances[2], abs=1e-12)


def test_graded_values_are_spread_around_their_mean() -> None:
    arms = [Posterior(n=200, mean=0.5, variance=0.01), Posterior(n=200, mean=0.53, variance=0.01)]
    assert best_chances(arms)[1] > 0.95


def test_a_floor_that_leaves_nothing_splits_evenly() -> None:
    assert with_floor((0.9, 0.1), 0.8) == (0.5, 0.5)
