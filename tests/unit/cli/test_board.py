from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest

from headrace.cli.board import rank_for_reading, render_board
from headrace.cli.terminal import Ink, Terminal, text_width
from headrace.domain.comparison import Comparison
from headrace.domain.report import ReportContext
from headrace.domain.scores import ArmLines, LineObservation, MetricSpec
from headrace.evaluation.comparison import compare
from headrace.evaluation.recommendation import ship_recommendation

CONTEXT = ReportContext(
    title="ask_docs",
    flow="ask_docs",
    dataset="data/test.jsonl (60 lines)",
    created_at=datetime(2026, 1, 2, tzinfo=UTC),
    model_note="Answers come from the embedded baseline: a non-neural reader; not a language model.",
)


def an_arm(name: str, chance: float, *, failing: int = 0, cost_usd: float | None = None) -> ArmLines:
    dice = random.Random(name)  # noqa: S311 - made-up scores
    return ArmLines(
        arm=name,
        lines={
            str(number): (
                LineObservation(
                    scores={
                        "f1": min(max(dice.gauss(chance, 0.2), 0.0), 1.0),
                        "exact_match": float(dice.random() < chance),
                        "length": dice.uniform(10, 400),
                    },
                    is_failed=number < failing,
                    duration_ms=dice.uniform(50, 900),
                    prompt_tokens=100,
                    completion_tokens=20,
                    cost_usd=cost_usd,
                ),
            )
            for number in range(60)
        },
    )


def a_comparison(*arms: ArmLines) -> Comparison:
    metrics = (
        MetricSpec(name="f1"),
        MetricSpec(name="exact_match"),
        MetricSpec(name="length", direction="lower"),
    )
    return compare(arms, baseline=arms[0].arm, metrics=metrics)


RACE = a_comparison(
    an_arm("zero_shot", 0.2),
    an_arm("few_shot", 0.22),
    an_arm("retrieval", 0.6, failing=2, cost_usd=0.0001),
    an_arm("worse", 0.0),
)


def board(
    comparison: Comparison, *, width: int = 80, has_unicode: bool = True, ink: Ink | None = None
) -> str:
    terminal = Terminal(width=width, has_unicode=has_unicode, out=ink or Ink())
    return render_board(comparison, ship_recommendation(comparison), CONTEXT, terminal)


@pytest.mark.parametrize("width", [80, 100, 112, 140, 200])
def test_the_board_fits_the_terminal(width: int) -> None:
    assert max(text_width(line) for line in board(RACE, width=width).splitlines()) <= width


@pytest.mark.parametrize("width", [80, 140])
def test_long_names_still_fit(width: int) -> None:
    long = "retrieval_few_shot/azure-openai-gpt-4o-mini-2024-07-18"
    comparison = a_comparison(an_arm(long, 0.2), an_arm(long + "_b", 0.6))
    assert max(text_width(line) for line in board(comparison, width=width).splitlines()[5:]) <= width


@pytest.mark.parametrize("width", [80, 112, 140])
def test_long_names_stay_distinguishable_in_every_table(width: int) -> None:
    shared = "retrieval_few_shot/azure-openai-gpt-4o-mini-2024-07-18"
    names = [f"{shared}_{ending}" for ending in ("a", "b")]
    comparison = a_comparison(*(an_arm(name, 0.2 + 0.3 * (name > names[0])) for name in names))
    tables = board(comparison, width=width).split("\n\n")[2:5]
    for table in tables:
        lines = table.splitlines()
        at = next(
            number
            for number, line in enumerate(lines)
            if line.startswith("\N{BOX DRAWINGS LIGHT HORIZONTAL}")
        )
        assert lines[at - 1].split()[0] == "arm"
        rule, *rows = lines[at:]
        arm_cells = rule.index(" ")
        column = "".join(row[:arm_cells].strip() for row in rows if not row.startswith(("below", "against")))
        assert all(name in column for name in names)


def test_the_estimate_without_failed_lines_is_on_the_board() -> None:
    score = RACE.metrics[0].score_of("retrieval")
    assert score.mean is not None
    assert score.without_failed is not None
    assert score.without_failed.value > score.mean.value
    text = " ".join(board(RACE).split())
    assert f"Without them f1 is {score.without_failed.value:.3f} for retrieval; exact_match is" in text


def test_the_verdict_comes_first_and_colour_is_not_its_only_carrier() -> None:
    text = board(RACE)
    assert text.startswith("Ship retrieval.")
    row = next(line for line in text.splitlines() if line.startswith("retrieval"))
    assert row.endswith("▲ better")
    assert next(line for line in text.splitlines() if line.startswith("worse ")).endswith("▼ worse")
    ascii_row = next(
        line for line in board(RACE, has_unicode=False).splitlines() if line.startswith("retrieval")
    )
    assert ascii_row.endswith("^ better")


@pytest.mark.parametrize("width", [80, 140])
def test_numbers_of_the_comparison_are_on_the_board(width: int) -> None:
    text = board(RACE, width=width)
    primary = RACE.primary
    assert primary is not None
    effect = primary.effect_of("retrieval")
    assert effect is not None
    assert effect.difference is not None
    assert f"+{effect.difference.value:.3f}" in text
    assert f"{primary.score_of('zero_shot').mean.value:.3f}" in text  # type: ignore[union-attr]  # it has a mean
    assert "< 0.001" in text
    assert "95% interval" in text
    spending = next(line for line in text.splitlines()[12:] if line.split()[:3] == ["retrieval", "60", "2"])
    assert "7,200" in spending
    assert "$0.0060" in spending


def test_arms_are_read_best_first_in_the_direction_of_the_metric() -> None:
    assert rank_for_reading(RACE.metrics[0], "zero_shot")[0] == "retrieval"
    length = RACE.metrics[2]
    means = [length.score_of(arm).mean.value for arm in rank_for_reading(length, "zero_shot")]  # type: ignore[union-attr]
    assert means == sorted(means)


def test_warnings_and_the_model_note_stand_below() -> None:
    text = " ".join(board(RACE).split())
    assert RACE.warnings
    for warning in RACE.warnings:
        assert f"! {' '.join(warning.split())}" in text
    assert "not a language model" in text
    assert "adjusted by Holm over 3 comparisons" in text


def test_undecided_and_keep_say_so() -> None:
    same = a_comparison(an_arm("a", 0.3), ArmLines(arm="b", lines=an_arm("a", 0.3).lines))
    assert board(same).splitlines()[0].startswith(("Keep a.", "Not decided yet."))
    tiny = compare(
        [ArmLines(arm=arm, lines={"0": (LineObservation(scores={"f1": 1.0}),)}) for arm in ("a", "b")],
        baseline="a",
        metrics=[MetricSpec(name="f1")],
    )
    assert board(tiny).startswith("Not decided yet.")


def test_arms_without_any_score_are_shown_without_numbers() -> None:
    comparison = compare(
        [ArmLines(arm=arm, lines={"0": (LineObservation(scores={"f1": None}),)}) for arm in ("a", "b")],
        baseline="a",
        metrics=[MetricSpec(name="f1")],
    )
    for width in (80, 140):
        row = next(line for line in board(comparison, width=width).splitlines() if line.startswith("b "))
        assert "–" in row
        assert "inconclusive" in row


def test_a_comparison_without_metrics_still_shows_what_was_used() -> None:
    comparison = compare([an_arm("a", 0.2), an_arm("b", 0.2)], baseline="a", metrics=[])
    assert "7,200" in board(comparison)


def test_color_changes_nothing_but_color() -> None:
    colored = board(RACE, width=140, ink=Ink(has_color=True))
    for code in ("\x1b[1m", "\x1b[2m", "\x1b[0m", "\x1b[31m", "\x1b[31;1m", "\x1b[32;1m", "\x1b[33m", "\x1b[33;1m",
                 "\x1b[36m"):  # fmt: skip
        colored = colored.replace(code, "")
    assert colored == board(RACE, width=140)
