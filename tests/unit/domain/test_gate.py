import pytest

from headrace.domain.gate import GateOutcome, GateResult, GateSpec, gate_outcome


def _results(*outcomes: GateOutcome) -> tuple[GateResult, ...]:
    spec = GateSpec(metric="f1", margin=0.02)
    return tuple(GateResult(spec=spec, outcome=outcome, evidence="As it is.") for outcome in outcomes)


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (("passed",), "passed"),
        (("passed", "passed"), "passed"),
        (("passed", "undecided"), "undecided"),
        (("undecided", "failed", "passed"), "failed"),
    ],
)
def test_one_question_is_enough_to_hold_an_arm_back(
    outcomes: tuple[GateOutcome, ...], expected: GateOutcome
) -> None:
    assert gate_outcome(_results(*outcomes)) == expected


def test_a_gate_without_questions_lets_nothing_through() -> None:
    with pytest.raises(ValueError, match="at least one question"):
        gate_outcome(())
