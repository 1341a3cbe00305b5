"""What the terminal says below its tables."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.boards import rich_board

from headrace.cli.board import render_board
from headrace.cli.board_details import render_details
from headrace.cli.terminal import Terminal, text_width
from headrace.domain.comparison import Comparison, Tries
from headrace.evaluation.recommendation import ship_recommendation

COMPARISON, CONTEXT = rich_board(60)


def details(comparison: Comparison, shown: str = "retrieval_few_shot/large", width: int = 100) -> str:
    return "\n\n".join(render_details(comparison, shown, Terminal(width=width)))


def with_interaction(p_adjusted: float) -> Comparison:
    metric = COMPARISON.metrics[0]
    interaction = tuple(replace(item, p_adjusted=p_adjusted) for item in metric.interaction)
    return replace(COMPARISON, metrics=(replace(metric, interaction=interaction), *COMPARISON.metrics[1:]))


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_board_with_everything_fits_the_terminal(width: int) -> None:
    recommendation = ship_recommendation(COMPARISON)
    text = render_board(COMPARISON, recommendation, CONTEXT, Terminal(width=width))
    assert max(map(text_width, text.splitlines())) <= width
    for words in ("topic billing", "judge and people agree with kappa 0.74"):
        assert words in " ".join(text.split())
    has_chances = any("best" in line.split() and "verdict" in line.split() for line in text.splitlines())
    assert has_chances == (width > 80) == ("* may be the best" in text)
    assert "\x1b" not in text


def test_slices_show_the_chosen_arm_beside_the_baseline() -> None:
    row = next(line for line in details(COMPARISON).splitlines() if line.startswith("topic setup"))
    base, shown = (
        COMPARISON.metrics[0].score_of(arm).mean for arm in ("zero_shot/small", "retrieval_few_shot/large")
    )
    assert base is not None
    assert shown is not None
    assert row.split()[2:5] == ["15", f"{base.value:.3f}", f"{shown.value:.3f}"]
    assert "slice" not in details(COMPARISON, "zero_shot/small")


def test_the_largest_losses_are_named() -> None:
    effect = COMPARISON.metrics[0].effect_of("few_shot/local")
    assert effect is not None
    text = " ".join(details(COMPARISON, "few_shot/local").split())
    assert f"few_shot/local does worse than zero_shot/small on {effect.losses} lines, most on " in text
    assert all(loss.line_id in text for loss in effect.worst_lines[:5])


def test_an_interaction_is_said_only_where_interval_and_p_agree() -> None:
    assert "gains" not in details(COMPARISON)
    text = " ".join(details(with_interaction(0.01)).split())
    assert "retrieval_few_shot gains 0.150 more over zero_shot with local than with small" in text
    assert "few_shot gains 0.010" not in text


def test_several_tries_are_said_of_every_arm() -> None:
    metric = COMPARISON.metrics[0]
    tries = Tries(k=3, pass_at_k=0.9, pass_hat_k=0.5)
    repeated = replace(metric, scores=tuple(replace(score, tries=tries) for score in metric.scores))
    text = " ".join(details(replace(COMPARISON, metrics=(repeated, *COMPARISON.metrics[1:]))).split())
    assert "At least one of 3 answers to a line passes (pass@3): " in text
    assert text.count(" 0.500") >= len(metric.scores)


def test_nothing_is_said_where_nothing_is_known() -> None:
    assert render_details(replace(COMPARISON, metrics=()), "zero_shot/small", Terminal()) == []
