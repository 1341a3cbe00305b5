"""Effects of single factors of a design."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product

import pytest
from tests.unit.evaluation.builders import an_arm

from headrace.domain.comparison import MainEffect
from headrace.domain.scores import ArmLines, MetricSpec
from headrace.evaluation.comparison import compare

N = 60
LEVELS = {"prompt": ("a", "b"), "model": ("m", "n"), "k": ("3", "5")}
GAINS = {"b": 0.2, "n": -0.1, "5": 0.05}


def design(is_arm: Callable[[tuple[str, ...]], bool] = lambda _: True) -> list[ArmLines]:
    """Cells of the design; each level adds its gain, and lines differ."""
    arms = []
    for cell in filter(is_arm, product(*LEVELS.values())):
        gain = sum(GAINS.get(level, 0.0) for level in cell)
        found = an_arm("/".join(cell), [0.4 + gain + 0.01 * (i % 7) for i in range(N)])
        arms.append(ArmLines(arm=found.arm, lines=found.lines, factors=dict(zip(LEVELS, cell, strict=True))))
    return arms


def measured(arms: list[ArmLines]) -> Mapping[tuple[str, str], MainEffect]:
    found = compare(arms, baseline=arms[0].arm, metrics=[MetricSpec(name="accuracy", kind="graded")])
    assert found.primary is not None
    return {(item.factor, item.level): item for item in found.primary.main_effects}


def values(effects: Mapping[tuple[str, str], MainEffect]) -> dict[str, float]:
    return {level: item.difference.value for (_, level), item in effects.items() if item.difference}


def test_each_level_gains_what_it_adds_over_all_settings_of_the_others() -> None:
    effects = measured(design())
    assert values(effects) == pytest.approx(GAINS)
    assert {item.n_arms for item in effects.values()} == {8}
    assert effects["prompt", "b"].baseline_level == "a"


def test_half_of_the_combinations_tells_single_factors_apart() -> None:
    effects = measured(design(lambda cell: ("b" in cell) ^ ("n" in cell) ^ ("5" in cell) == 0))
    assert values(effects) == pytest.approx(GAINS)
    assert {item.n_arms for item in effects.values()} == {4}


def test_where_a_combination_is_left_out_only_arms_that_have_a_twin_count() -> None:
    effects = measured(design(lambda cell: cell != ("b", "n", "5")))
    assert values(effects) == pytest.approx(GAINS)
    assert {item.n_arms for item in effects.values()} == {6}


def test_nothing_is_said_where_a_level_stands_with_another_one_only() -> None:
    effects = measured(design(lambda cell: (cell[0] == "b") == (cell[1] == "n")))
    assert set(effects) == {("k", "5")}


def test_with_one_factor_the_difference_of_the_arm_is_its_effect() -> None:
    assert not measured(design(lambda cell: cell[1:] == ("m", "3")))


def test_variants_and_models_are_factors() -> None:
    arms = []
    for variant, model in product("ab", "mn"):
        found = an_arm(f"{variant}/{model}", [0.4 + GAINS.get(variant, 0.0) + GAINS.get(model, 0.0)] * N)
        arms.append(ArmLines(arm=found.arm, lines=found.lines, variant=variant, model=model))
    assert values(measured(arms)) == pytest.approx({"b": 0.2, "n": -0.1})


def test_lines_that_one_of_the_arms_has_no_score_for_are_left_out() -> None:
    arms = design()
    lines = dict(arms[3].lines)
    lines.pop(next(iter(lines)))
    effects = measured(
        [*arms[:3], ArmLines(arm=arms[3].arm, lines=lines, factors=arms[3].factors), *arms[4:]]
    )
    assert {item.difference.n for item in effects.values() if item.difference} == {N - 1}


def test_p_is_adjusted_over_all_main_effects() -> None:
    effects = measured(design()).values()
    raw = [item.p_raw for item in effects]
    assert all(
        item.p_adjusted is not None and p is not None and item.p_adjusted >= p
        for item, p in zip(effects, raw, strict=True)
    )
    assert [item.p_adjusted for item in effects] != raw
