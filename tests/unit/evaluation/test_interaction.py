"""Interactions of the factors of a design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest
from tests.unit.evaluation.builders import an_arm

from headrace.domain.comparison import MetricComparison
from headrace.domain.report import ReportContext
from headrace.domain.scores import ArmLines, MetricSpec
from headrace.evaluation.comparison import compare
from headrace.evaluation.report.html import render_html
from headrace.evaluation.report.markdown import render_markdown

N = 60
LEVELS = {"prompt": ("a", "b"), "model": ("m", "n"), "k": ("3", "5", "9")}


def design(effects: Mapping[tuple[str, str], float]) -> list[ArmLines]:
    """All cells; each pair of levels in ``effects`` adds its number to the score of the cells that have both."""
    arms = []
    for cell in product(*LEVELS.values()):
        extra = sum(value for pair, value in effects.items() if set(pair) <= set(cell))
        scores = [0.2 + extra + 0.001 * (i % 5) + 0.01 * (cell[2] == "9") for i in range(N)]
        found = an_arm("/".join(cell), scores)
        arms.append(ArmLines(arm=found.arm, lines=found.lines, factors=dict(zip(LEVELS, cell, strict=True))))
    return arms


def measured(arms: list[ArmLines]) -> MetricComparison:
    found = compare(arms, baseline="a/m/3", metrics=[MetricSpec(name="accuracy", kind="graded")])
    assert found.primary is not None
    return found.primary


def test_every_pair_of_factors_is_measured() -> None:
    effects = measured(design({})).interaction
    assert [(item.factors, item.variant, item.model) for item in effects] == [
        (("prompt", "model"), "prompt=b", "n"),
        (("prompt", "k"), "prompt=b", "k=5"),
        (("prompt", "k"), "prompt=b", "k=9"),
        (("model", "k"), "n", "k=5"),
        (("model", "k"), "n", "k=9"),
    ]
    assert all(
        item.difference is not None and item.difference.value == pytest.approx(0.0) for item in effects
    )


def test_an_effect_of_two_levels_together_shows_in_their_pair_only() -> None:
    effects = {(item.variant, item.model): item for item in measured(design({("b", "5"): 0.3})).interaction}
    values = {pair: item.difference.value for pair, item in effects.items() if item.difference is not None}
    assert values.pop(("prompt=b", "k=5")) == pytest.approx(0.3)
    assert all(value == pytest.approx(0.0) for value in values.values())
    assert effects["prompt=b", "k=5"].baseline_model == "k=3"


def test_the_effect_is_the_mean_over_the_settings_of_the_other_factors() -> None:
    arms = design({})
    # On model n alone: over both models it is half of it.
    changed = []
    for arm in arms:
        if arm.arm == "b/n/5":
            lines = {
                key: tuple(
                    type(found)(scores={"accuracy": (found.scores["accuracy"] or 0.0) + 0.4})
                    for found in observations
                )
                for key, observations in arm.lines.items()
            }
            changed.append(ArmLines(arm=arm.arm, lines=lines, factors=arm.factors))
        else:
            changed.append(arm)
    effects = {(item.variant, item.model): item for item in measured(changed).interaction}
    found = effects["prompt=b", "k=5"].difference
    assert found is not None
    assert found.value == pytest.approx(0.2)


def test_cells_that_are_left_out_leave_the_other_settings() -> None:
    arms = [arm for arm in design({("b", "5"): 0.3}) if arm.arm != "b/n/5"]
    found = {(item.variant, item.model): item for item in measured(arms).interaction}
    effect = found["prompt=b", "k=5"].difference
    assert effect is not None
    assert effect.value == pytest.approx(0.3)


def test_half_of_a_design_has_no_square_to_measure() -> None:
    half = [arm for arm in design({}) if arm.arm in ("a/m/3", "a/n/5", "b/m/5", "b/n/3")]
    assert measured(half).interaction == ()


def test_half_of_five_factors_tells_pairs_of_them_apart() -> None:
    arms = []
    for cell in product("ab", "cd", "ef", "gh", "ij"):
        if sum(level in "bdfhj" for level in cell) % 2 == 0:
            gain = (
                0.3 * ("b" in cell) * ("d" in cell)
                - 0.2 * ("f" in cell) * ("j" in cell)
                + 0.1 * ("h" in cell)
            )
            found = an_arm("".join(cell), [0.4 + gain + 0.01 * (i % 7) for i in range(N)])
            arms.append(replace(found, factors=dict(zip("vwxyz", cell, strict=True))))
    found = compare(arms, baseline="acegi", metrics=[MetricSpec(name="accuracy", kind="graded")])
    assert found.primary is not None
    values = {item.factors: item.difference.value for item in found.primary.interaction if item.difference}
    assert len(values) == 10
    assert values.pop(("v", "w")) == pytest.approx(0.3)
    assert values.pop(("x", "z")) == pytest.approx(-0.2)
    assert all(value == pytest.approx(0.0) for value in values.values())


def test_arms_of_which_some_have_no_factors_have_no_interaction() -> None:
    arms = design({})
    assert measured([*arms[:-1], ArmLines(arm="other", lines=arms[-1].lines)]).interaction == ()


def test_reports_name_levels_of_any_factors() -> None:
    arms = design({("b", "5"): 0.3})
    found = compare(arms, baseline="a/m/3", metrics=[MetricSpec(name="accuracy", kind="graded")])
    context = ReportContext(title="t", flow="f", dataset="d", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    for text in (render_markdown(found, context), render_html(found, context)):
        assert "Factors together" in text
        assert "prompt=b" in text
