from __future__ import annotations

from random import Random

from tests.unit.evaluation.builders import an_arm, an_observation, yes_no

from headrace.domain.comparison import Recommendation
from headrace.domain.scores import ArmLines, MetricSpec
from headrace.evaluation.comparison import compare
from headrace.evaluation.recommendation import ship_recommendation

ACCURACY = MetricSpec(name="accuracy")


def recommend(*arms: ArmLines, metric: MetricSpec = ACCURACY) -> Recommendation:
    return ship_recommendation(compare(arms, baseline="base", metrics=[metric]))


def priced(name: str, yes: int, no: int, *, cost_usd: float | None, duration_ms: float = 100.0) -> ArmLines:
    lines = {
        f"line-{i}": (an_observation(score, cost_usd=cost_usd, duration_ms=duration_ms),)
        for i, score in enumerate(yes_no(yes, no))
    }
    return ArmLines(arm=name, lines=lines)


def test_the_only_better_arm_is_shipped() -> None:
    found = recommend(an_arm("base", yes_no(10, 30)), an_arm("new", yes_no(35, 5)))
    assert found.arm == "new"
    assert "new beats base on accuracy" in found.reason


def test_lower_is_better_when_the_metric_says_so() -> None:
    spec = MetricSpec(name="accuracy", direction="lower")
    arms = an_arm("base", yes_no(30, 10)), an_arm("less", yes_no(5, 35)), an_arm("more", yes_no(38, 2))
    assert recommend(*arms, metric=spec).arm == "less"


def test_of_several_better_arms_the_best_is_named_with_its_runner_up() -> None:
    base, good, best = (
        an_arm("base", yes_no(5, 55)),
        an_arm("good", yes_no(30, 30)),
        an_arm("best", yes_no(58, 2)),
    )
    found = recommend(base, good, best)
    assert found.arm == "best"
    assert "also separated from the runner-up good" in found.reason


def test_a_best_arm_that_is_not_separated_says_so() -> None:
    base, good, best = (
        an_arm("base", yes_no(5, 55)),
        an_arm("good", yes_no(50, 10)),
        an_arm("best", yes_no(51, 9)),
    )
    found = recommend(base, good, best)
    assert found.arm == "best"
    assert "not separated from the runner-up good" in found.reason


def test_ties_go_to_the_cheaper_then_to_the_faster() -> None:
    base = priced("base", 5, 35, cost_usd=0.1)
    dear = priced("dear", 35, 5, cost_usd=0.2)
    cheap = priced("cheap", 35, 5, cost_usd=0.1)
    unpriced = priced("unpriced", 35, 5, cost_usd=None, duration_ms=1.0)
    fast = priced("fast", 35, 5, cost_usd=0.1, duration_ms=10.0)
    assert recommend(base, dear, unpriced, cheap).arm == "cheap"
    assert recommend(base, dear, unpriced, cheap, fast).arm == "fast"
    assert "It ties with dear; it costs less per line." in recommend(base, dear, cheap).reason
    assert "It ties with cheap; it answers faster." in recommend(base, cheap, fast).reason
    twin = priced("twin", 35, 5, cost_usd=0.1)
    assert "it is named because it comes first" in recommend(base, cheap, twin).reason


def test_the_baseline_is_kept_when_no_arm_gains() -> None:
    found = recommend(an_arm("base", yes_no(35, 5)), an_arm("new", yes_no(10, 30)))
    assert found.arm == "base"
    assert "keep it" in found.reason


def test_too_few_lines_is_an_answer() -> None:
    found = recommend(an_arm("base", yes_no(20, 20)), an_arm("new", yes_no(24, 16)))
    assert found.arm is None
    assert "Too little evidence to move from base. Closest is new" in found.reason
    assert "more lines" in found.reason


def test_three_lines_are_an_answer_too() -> None:
    found = recommend(an_arm("base", [0.0, 0.0, 0.0]), an_arm("new", [1.0, 1.0, 1.0]))
    assert found.arm is None
    assert found.reason.startswith("Cannot be decided, because only 3 lines are paired")


def test_an_equivalent_arm_is_mentioned() -> None:
    spec = MetricSpec(name="accuracy", margin=0.1)
    found = recommend(an_arm("base", yes_no(200, 200)), an_arm("same", yes_no(200, 200)), metric=spec)
    assert found.arm == "base"
    assert "Equivalent within the margin: same." in found.reason


def test_an_unjudged_arm_is_mentioned() -> None:
    found = recommend(
        an_arm("base", yes_no(35, 5)), an_arm("worse", yes_no(5, 35)), an_arm("short", [1.0, 1.0])
    )
    assert found.arm == "base"
    assert "Not judged: short." in found.reason


def test_no_metric_and_no_rival_decide_nothing() -> None:
    base = an_arm("base", [1.0, 0.0])
    assert ship_recommendation(compare([base], baseline="base", metrics=[])).arm is None
    assert ship_recommendation(compare([base], baseline="base", metrics=[ACCURACY])).arm is None


def paid(name: str, yes: int, *, cost_usd: float | None, duration_ms: float = 100.0) -> ArmLines:
    random = Random(name)
    return ArmLines(
        arm=name,
        lines={
            f"line-{i}": (
                an_observation(
                    float(i < yes),
                    cost_usd=None if cost_usd is None else cost_usd * random.uniform(0.9, 1.1),
                    duration_ms=duration_ms * random.uniform(0.9, 1.1),
                ),
            )
            for i in range(400)
        },
    )


NO_WORSE = MetricSpec(name="accuracy", margin=0.05, goal="non_inferiority")


def test_a_cheaper_arm_that_is_no_worse_is_shipped_where_that_is_the_goal() -> None:
    arms = [
        paid("base", 200, cost_usd=0.01),
        paid("small", 199, cost_usd=0.004),
        paid("dear", 201, cost_usd=0.02),
    ]
    found = recommend(*arms, metric=NO_WORSE)
    assert found.arm == "small"
    assert "no worse than base on accuracy within the margin of 0.050" in found.reason
    assert "costs 0.40" in found.reason
    plain = recommend(*arms, metric=MetricSpec(name="accuracy", margin=0.05))
    assert plain.arm == "base"


def test_a_faster_arm_is_shipped_where_prices_are_not_known() -> None:
    arms = [paid("base", 200, cost_usd=None), paid("quick", 199, cost_usd=None, duration_ms=30.0)]
    found = recommend(*arms, metric=NO_WORSE)
    assert found.arm == "quick"
    assert "takes 0.30" in found.reason


def test_an_arm_that_saves_nothing_or_may_be_worse_is_not_shipped() -> None:
    base = paid("base", 200, cost_usd=0.01)
    assert recommend(base, paid("dear", 200, cost_usd=0.011), metric=NO_WORSE).arm == "base"
    assert recommend(base, paid("bad", 170, cost_usd=0.001), metric=NO_WORSE).arm == "base"


def test_a_better_arm_comes_before_a_cheaper_one() -> None:
    arms = [
        paid("base", 200, cost_usd=0.01),
        paid("small", 200, cost_usd=0.004),
        paid("good", 260, cost_usd=0.02),
    ]
    assert recommend(*arms, metric=NO_WORSE).arm == "good"


def test_equivalence_is_a_goal_too() -> None:
    spec = MetricSpec(name="accuracy", margin=0.05, goal="equivalence")
    found = recommend(paid("base", 200, cost_usd=0.01), paid("small", 201, cost_usd=0.004), metric=spec)
    assert found.arm == "small"
    assert "as good as base" in found.reason


def test_a_gain_that_is_rounding_promises_nothing() -> None:
    found = recommend(an_arm("base", [0.5] * 20), an_arm("new", [0.5 + 1e-12] * 20))
    assert found.arm == "base"


def test_a_saving_that_is_the_same_on_every_line_is_one() -> None:
    spec = MetricSpec(name="accuracy", margin=0.1, goal="non_inferiority")
    arms = priced("base", 150, 50, cost_usd=0.03), priced("new", 150, 50, cost_usd=0.012)
    found = recommend(*arms, metric=spec)
    assert found.arm == "new"
    assert "costs 0.40× the cost of a line" in found.reason
    dearer = priced("base", 150, 50, cost_usd=0.012), priced("new", 150, 50, cost_usd=0.03)
    assert recommend(*dearer, metric=spec).arm == "base"
