from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.evaluation.stats import labelled
from headrace.evaluation.stats.estimate import mean

BITS = st.integers(0, 2**120 - 1)


def judge(random: Random, n: int) -> tuple[list[float], list[float]]:
    """Labels with a rate of .7 and a judge that says yes to 92 % of the good and 30 % of the bad answers."""
    labels = [float(random.random() < 0.7) for _ in range(n)]
    return labels, [float(random.random() < (0.92 if label else 0.3)) for label in labels]


def bits(number: int, n: int) -> list[float]:
    return [float(number >> line & 1) for line in range(n)]


@settings(deadline=None)
@given(BITS, BITS, BITS, st.integers(50, 120))
def test_intervals_hold_the_value_and_have_width(a: int, b: int, c: int, n: int) -> None:
    found = labelled.labelled_mean(bits(a, n), bits(b, n), bits(c, 80))
    assert found is not None
    assert found.interval.low < found.value < found.interval.high
    assert found.interval.high - found.interval.low > 0.01
    assert 0.0 <= found.label_weight <= 1.0


@settings(deadline=None)
@given(BITS, BITS, BITS, st.integers(50, 120))
def test_a_difference_turns_with_its_arms(a: int, b: int, c: int, n: int) -> None:
    labels, judged, rest = (
        [x - y for x, y in zip(bits(v, n), bits(v >> 7, n), strict=True)] for v in (a, b, c)
    )
    ours = labelled.labelled_mean(labels, judged, rest, middle=0.0)
    theirs = labelled.labelled_mean(
        [-x for x in labels], [-x for x in judged], [-x for x in rest], middle=0.0
    )
    assert ours is not None
    assert theirs is not None
    assert ours.value == pytest.approx(-theirs.value, abs=1e-12)
    assert ours.interval.low == pytest.approx(-theirs.interval.high, abs=1e-12)


def test_a_biased_judge_is_put_right_and_narrows_the_interval() -> None:
    random = Random(8)
    covered, width, alone, weights = 0, 0.0, 0.0, 0.0
    for _ in range(400):
        labels, judged = judge(random, 60)
        found = labelled.labelled_mean(labels, judged, judge(random, 940)[1])
        by_label = labelled.labelled_mean(labels, labels[::-1], [0.0, 1.0] * 470)
        assert found is not None
        assert by_label is not None
        covered += found.interval.low <= 0.7 <= found.interval.high
        width += found.interval.high - found.interval.low
        alone += by_label.interval.high - by_label.interval.low
        weights += found.label_weight
    assert covered / 400 >= 0.94
    assert width < 0.9 * alone
    assert 0.4 < weights / 400 < 0.8


def test_a_judge_that_says_nothing_leaves_the_labels() -> None:
    labels = [1.0] * 70 + [0.0] * 50
    found = labelled.labelled_mean(labels, [0.5] * 120, [0.5] * 300)
    assert found is not None
    assert found.label_weight == 0.0
    assert found.value == pytest.approx(mean(labels))


def test_few_labels_are_refused() -> None:
    labels, judged = judge(Random(1), 49)
    assert labelled.labelled_mean(labels, judged, [0.0, 1.0]) is None
    assert labelled.labelled_mean(labels * 2, judged * 2, [1.0]) is None


def test_programmer_errors() -> None:
    with pytest.raises(ValueError, match="each label"):
        labelled.labelled_mean([1.0], [], [1.0, 0.0])
    with pytest.raises(ValueError, match="range"):
        labelled.labelled_mean([1.0], [1.0], [1.0], value_range=0.0)
    with pytest.raises(ValueError, match="with and without"):
        labelled.label_weight([1.0], [1.0], [])
