"""What is said of arms that were dropped from a race."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.race import Drop, RaceArm, RaceResult, RaceSpec
from headrace.domain.scores import ArmLines, LineObservation, MetricSpec
from headrace.evaluation.comparison import compare
from headrace.evaluation.raced_comparison import mark_dropped

N_LINES = 100
N_ANSWERED = 40


def arm_lines(arm: str, scores: Sequence[float]) -> ArmLines:
    lines = {f"{n:03}": (LineObservation(scores={"m": score}),) for n, score in enumerate(scores)}
    return ArmLines(arm=arm, lines=lines)


def raced(arm: str, drop: Drop | None = None) -> RaceArm:
    return RaceArm(
        arm=arm,
        n_lines=N_LINES if drop is None else drop.n_lines,
        drop=drop,
        calls=0,
        tokens=0,
        cost_usd=None,
        full_calls=0,
        full_tokens=0,
        full_cost_usd=None,
    )


def test_lines_that_a_dropped_arm_was_spared_are_no_missing_scores() -> None:
    good = [1.0] * N_ANSWERED + [0.0] * (N_LINES - N_ANSWERED)
    bad = [float(n % 2) for n in range(N_ANSWERED)]
    arms = (arm_lines("good", good), arm_lines("bad", bad))
    comparison = compare(arms, baseline="good", metrics=[MetricSpec(name="m")])
    assert any("Missing scores could change the verdict on bad" in text for text in comparison.warnings)
    race = RaceResult(
        spec=RaceSpec(),
        metric="m",
        guarantee="",
        seed=0,
        order_digest="",
        batch=10,
        start=20,
        n_lines=N_LINES,
        n_left_out=0,
        blocks=4,
        leader="good",
        arms=(
            raced("good"),
            raced("bad", Drop(block=4, n_lines=N_ANSWERED, ahead="good", deficit=20.0, p=0.01)),
        ),
    )
    marked = mark_dropped(comparison, race)
    assert marked.warnings[0].startswith("Dropped from the race: bad after 40 lines.")
    assert not [text for text in marked.warnings if "Missing scores" in text or "without a partner" in text]
