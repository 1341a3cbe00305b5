"""Labels of a random part of the answers correct what an evaluator that errs says of all of them."""

from __future__ import annotations

from random import Random

import pytest
from tests.unit.evaluation.builders import an_arm, in_clusters

from headrace.domain.comparison import Comparison
from headrace.domain.scores import ArmLines, HumanLabel, LineFacts, MetricSpec
from headrace.evaluation.comparison import compare

ACCURACY = MetricSpec(name="accuracy")
TRUTH = {"base": 0.7, "new": 0.5}


def flattered(n_labels: int, *, n_lines: int = 600, seed: int = 5) -> tuple[list[ArmLines], list[HumanLabel]]:
    """A judge that is right about "base" nine times of ten and calls almost everything of "new" right."""
    random = Random(seed)
    arms, labels = [], []
    drawn = random.sample(range(n_lines), n_labels)
    for arm, rate in TRUTH.items():
        truth = [float(random.random() < rate) for _ in range(n_lines)]
        judged = [
            (right if random.random() < 0.9 else 1.0 - right)
            if arm == "base"
            else (1.0 if right or random.random() < 0.7 else 0.0)
            for right in truth
        ]
        arms.append(an_arm(arm, judged))
        labels += [HumanLabel(metric="accuracy", arm=arm, line_id=f"line-{i}", value=truth[i]) for i in drawn]
    return arms, labels


def compared(
    arms: list[ArmLines], labels: list[HumanLabel], facts: dict[str, LineFacts] | None = None
) -> Comparison:
    return compare(arms, baseline="base", metrics=[ACCURACY], labels=labels, facts=facts or {})


def test_labels_correct_the_mean_and_turn_a_wrong_difference_round() -> None:
    found = compared(*flattered(150)).metrics[0]
    (effect,) = found.effects
    assert effect.difference is not None
    assert effect.difference.value > 0.1  # the judge alone prefers "new"
    assert effect.corrected is not None
    assert effect.corrected.interval is not None
    assert effect.corrected.interval.high < 0.0  # people do not
    assert effect.corrected.interval.low < -0.2 < effect.corrected.interval.high
    for score in found.scores:
        assert score.corrected is not None
        assert score.corrected.interval is not None
        assert score.corrected.interval.low < TRUTH[score.arm] < score.corrected.interval.high
        assert score.corrected.n == 150


def test_fewer_than_fifty_labels_correct_nothing_and_it_is_said() -> None:
    found = compared(*flattered(49))
    assert all(score.corrected is None for score in found.metrics[0].scores)
    assert found.metrics[0].effects[0].corrected is None
    assert (
        "Labels of accuracy correct nothing below 50 randomly drawn answers of an arm: 49 for base, 49 for new."
        in found.warnings
    )


def test_labels_of_chosen_answers_correct_nothing() -> None:
    arms, labels = flattered(100)
    chosen = [
        HumanLabel(
            metric=label.metric, arm=label.arm, line_id=label.line_id, value=label.value, is_random=False
        )
        for label in labels
    ]
    found = compared(arms, chosen)
    assert all(score.corrected is None for score in found.metrics[0].scores)
    assert any("not drawn at random" in warning for warning in found.warnings)


def test_labels_outside_the_range_are_left_out_and_said() -> None:
    arms, labels = flattered(60)
    wrong = HumanLabel(metric="accuracy", arm="base", line_id="line-0", value=5.0)
    found = compared(arms, [*labels, wrong])
    assert found.metrics == compared(arms, labels).metrics
    assert "Outside the range of accuracy, 0 to 1, and left out: 1 label of base." in found.warnings


def test_where_people_have_seen_everything_they_alone_count() -> None:
    arms, labels = flattered(80, n_lines=80)
    found = compared(arms, labels).metrics[0]
    for score in found.scores:
        said = [label.value for label in labels if label.arm == score.arm]
        assert score.corrected is not None
        assert score.corrected.value == pytest.approx(sum(said) / 80)
        assert score.corrected.interval is not None
        assert score.corrected.interval.method.startswith("labels alone")
    assert found.effects[0].corrected is not None


def test_several_people_are_averaged() -> None:
    arms, labels = flattered(80, n_lines=80)
    doubled = [
        *labels,
        *(
            HumanLabel(metric="accuracy", arm=x.arm, line_id=x.line_id, value=1.0 - x.value, labeller="other")
            for x in labels
        ),
    ]
    score = compared(arms, doubled).metrics[0].scores[0].corrected
    assert score is not None
    assert (score.value, score.n) == (0.5, 80)


def test_labels_correct_nothing_in_clusters() -> None:
    arms, labels = flattered(100)
    found = compared(arms, labels, in_clusters([f"c{i // 10}" for i in range(600)]))
    assert all(score.corrected is None for score in found.metrics[0].scores)
    assert "Labels of accuracy correct nothing, because lines come in clusters." in found.warnings


def test_labels_of_answers_that_are_not_compared_are_named() -> None:
    arms, labels = flattered(60)
    astray = [
        HumanLabel(metric="accuracy", arm="old", line_id="line-0", value=1.0),
        *(HumanLabel(metric="accuracy", arm="new", line_id=f"gone-{i}", value=0.0) for i in range(70)),
    ]
    found = compared(arms, [*labels, *astray])
    assert (
        "Labels of accuracy for answers that are not compared are left out: 1 of old, 70 of new."
        in found.warnings
    )
    assert found.metrics[0].effects == compared(arms, labels).metrics[0].effects


def test_labels_that_are_no_numbers_change_nothing() -> None:
    arms, labels = flattered(60)
    broken = [HumanLabel(metric="accuracy", arm="new", line_id=labels[-1].line_id, value=float("nan"))]
    unbounded = MetricSpec(name="accuracy", kind="unbounded")
    expected, found = (
        compare(arms, baseline="base", metrics=[unbounded], labels=said) for said in (labels, labels + broken)
    )
    assert found.metrics == expected.metrics
    assert "Not finite numbers and left out: 1 label of new." in found.warnings
