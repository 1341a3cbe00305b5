import pytest
from tests.unit.evaluation.builders import an_arm, yes_no

from headrace.domain.gate import GateOutcome, GateSpec, GateTest
from headrace.domain.scores import ArmLines, LineObservation, MetricSpec
from headrace.evaluation.comparison import compare
from headrace.evaluation.gate import judge_gate


def _answer(
    ours: list[float], theirs: list[float], test: GateTest, margin: float | None, direction: str = "higher"
) -> GateOutcome:
    comparison = compare(
        [an_arm("old", theirs), an_arm("new", ours)],
        baseline="old",
        metrics=[MetricSpec(name="accuracy", margin=margin, direction=direction)],  # type: ignore[arg-type]
    )
    return judge_gate(comparison, GateSpec(metric="accuracy", test=test, margin=margin, arm="new")).outcome


MANY, FEW = 400, 40


@pytest.mark.parametrize(
    ("test", "margin", "gain", "n", "expected"),
    [
        ("superiority", None, 0.2, MANY, "passed"),
        ("superiority", None, 0.025, FEW, "undecided"),
        ("superiority", None, -0.2, MANY, "failed"),
        ("superiority", 0.05, 0.2, MANY, "passed"),
        ("superiority", 0.2, 0.1, MANY, "failed"),
        ("superiority", 0.2, 0.2, FEW, "undecided"),
        ("non_inferiority", 0.05, 0.0, MANY, "passed"),
        ("non_inferiority", 0.05, -0.2, MANY, "failed"),
        ("non_inferiority", 0.05, 0.0, FEW, "undecided"),
        ("equivalence", 0.05, 0.0, MANY, "passed"),
        ("equivalence", 0.05, 0.2, MANY, "failed"),
        ("equivalence", 0.05, -0.2, MANY, "failed"),
        ("equivalence", 0.05, 0.0, FEW, "undecided"),
        ("guardrail", None, -0.2, MANY, "failed"),
        ("guardrail", 0.3, -0.2, MANY, "passed"),
        ("guardrail", None, 0.0, FEW, "passed"),
        ("guardrail", None, 0.0, 4, "undecided"),
    ],
)
def test_a_question_is_answered_by_what_the_lines_show(
    test: GateTest, margin: float | None, gain: float, n: int, expected: GateOutcome
) -> None:
    half = n // 2
    ours = yes_no(half + round(gain * n), n - half - round(gain * n))
    assert _answer(ours, yes_no(half, n - half), test, margin) == expected


def test_where_less_is_better_more_fails() -> None:
    assert _answer(yes_no(280, 120), yes_no(200, 200), "non_inferiority", 0.05, "lower") == "failed"
    assert _answer(yes_no(120, 280), yes_no(200, 200), "superiority", None, "lower") == "passed"


def test_undecided_says_how_many_lines_are_missing() -> None:
    ours = [1.0, 0.0] * 50
    theirs = [1.0, 0.0, 0.0, 1.0] + [1.0, 0.0] * 48
    comparison = compare(
        [an_arm("old", theirs), an_arm("new", ours)],
        baseline="old",
        metrics=[MetricSpec(name="accuracy", margin=0.01)],
    )
    result = judge_gate(comparison, GateSpec(metric="accuracy", margin=0.01, arm="new"))
    assert result.outcome == "undecided"
    assert result.n_more is not None
    assert f"About {result.n_more:,} more lines" in result.evidence
    assert result.numbers["n"] == 100.0
    assert any("paired lines" in line for line in result.details)


def _used(name: str, *, times: float, failed: int = 0, n: int = 120) -> ArmLines:
    return ArmLines(
        arm=name,
        lines={
            f"{i}": (
                LineObservation(
                    scores={"f1": 0.4 + i % 5 * 0.05},
                    is_failed=i < failed,
                    duration_ms=times * (100.0 + i % 7),
                    prompt_tokens=int(times * (50 + i % 5)),
                    cost_usd=times * (0.001 + 0.0001 * (i % 3)),
                ),
            )
            for i in range(n)
        },
    )


@pytest.mark.parametrize("quantity", ["cost", "latency", "tokens"])
@pytest.mark.parametrize(
    ("times", "margin", "expected"), [(1.5, None, "failed"), (1.5, 0.6, "passed"), (0.8, None, "passed")]
)
def test_a_guardrail_holds_what_an_arm_uses(
    quantity: str, times: float, margin: float | None, expected: GateOutcome
) -> None:
    comparison = compare([_used("old", times=1), _used("new", times=times)], baseline="old", metrics=[])
    result = judge_gate(comparison, GateSpec(metric=quantity, test="guardrail", margin=margin, arm="new"))
    assert result.outcome == expected
    assert result.numbers["ratio"] == pytest.approx(times, rel=0.02)


@pytest.mark.parametrize(("failed", "expected"), [(20, "failed"), (3, "passed")])
def test_a_guardrail_holds_failures(failed: int, expected: GateOutcome) -> None:
    comparison = compare(
        [_used("old", times=1, failed=2), _used("new", times=1, failed=failed)], baseline="old", metrics=[]
    )
    result = judge_gate(comparison, GateSpec(metric="failures", test="guardrail", arm="new"))
    assert result.outcome == expected
    assert result.numbers["difference"] == pytest.approx((failed - 2) / 120)


def test_the_interval_of_a_difference_of_failures_is_newcombes() -> None:
    # Newcombe (1998), Statistics in Medicine 17:873, table II: 56/70 against 48/80, method 10: 0.0524 to 0.3339.
    comparison = compare(
        [_used("old", times=1, failed=48, n=80), _used("new", times=1, failed=56, n=70)],
        baseline="old",
        metrics=[],
    )
    numbers = judge_gate(comparison, GateSpec(metric="failures", test="guardrail", arm="new")).numbers
    assert (numbers["low"], numbers["high"]) == pytest.approx((0.0524, 0.3339), abs=5e-5)


@pytest.mark.parametrize(
    ("metric", "limit", "expected"),
    [
        ("cost", 0.002, "passed"),
        ("cost", 0.001, "failed"),
        ("tokens", 60, "passed"),
        ("tokens", 40, "failed"),
        ("latency", 200, "passed"),
        ("latency", 50, "failed"),
        ("failures", 0.2, "passed"),
        ("failures", 0.01, "undecided"),
        ("f1", 0.4, "passed"),
        ("f1", 0.9, "failed"),
    ],
)
def test_a_budget_is_a_limit_whatever_the_other_arm_does(
    metric: str, limit: float, expected: GateOutcome
) -> None:
    arms = [_used("old", times=1), _used("new", times=1)]
    comparison = compare(arms, baseline="old", metrics=[MetricSpec(name="f1")])
    spec = GateSpec(metric=metric, test="budget", limit=limit, arm="new")
    assert judge_gate(comparison, spec).outcome == expected


def test_what_is_not_known_is_undecided() -> None:
    unpriced = [an_arm("old", [1.0] * 9), an_arm("new", [1.0] * 9)]
    comparison = compare(unpriced, baseline="old", metrics=[])
    for spec in (
        GateSpec(metric="cost", test="guardrail", arm="new"),
        GateSpec(metric="cost", test="budget", limit=1.0, arm="new"),
        GateSpec(metric="latency", test="budget", limit=1.0, arm="new"),
    ):
        assert judge_gate(comparison, spec).outcome == "undecided"


def test_an_open_question_says_what_its_p_would_have_to_be() -> None:
    """Tests against a margin spend half of alpha: a p of 0.03 is none that shows anything."""
    ours = [1.0] * 25 + [0.0] * 22 + [1.0] * 53
    theirs = [0.0] * 25 + [1.0] * 22 + [1.0] * 53
    comparison = compare(
        [an_arm("old", theirs), an_arm("new", ours)],
        baseline="old",
        metrics=[MetricSpec(name="accuracy", margin=0.1)],
    )
    answer = judge_gate(
        comparison, GateSpec(metric="accuracy", test="non_inferiority", margin=0.1, arm="new")
    )
    assert answer.outcome == "undecided"
    assert ", p 0.030 where at most 0.025 is needed, 100 paired lines." in answer.evidence
