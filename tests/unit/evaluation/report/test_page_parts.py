"""The parts of the HTML page: what each shows, and that links lead somewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape

import pytest
from tests.support.boards import rich_board

from headrace.domain.report import LineMatrix
from headrace.evaluation.report import lines
from headrace.evaluation.report.breakdown import heat_section
from headrace.evaluation.report.flips import flip_section
from headrace.evaluation.report.html import render_html
from headrace.evaluation.report.lines import line_section, short_number

COMPARISON, CONTEXT = rich_board(60)
PAGE = render_html(COMPARISON, CONTEXT)
SHOWN = "retrieval_few_shot/large"


def part(identifier: str, page: str = PAGE) -> str:
    return page.partition(f'<section id="{identifier}"')[2].partition("</section>")[0]


def words(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def page_data(page: str = PAGE) -> dict[str, object]:
    text = page.partition('id="data">')[2].partition("</script>")[0]
    loaded: dict[str, object] = json.loads(text)
    return loaded


def test_every_link_leads_to_a_place_on_the_page() -> None:
    targets = set(re.findall(r'href="#([^"]+)"', PAGE))
    assert len(targets) > 20
    assert targets <= set(re.findall(r' id="([^"]+)"', PAGE))


def test_the_contents_name_every_part() -> None:
    contents = PAGE.partition('<nav class="contents"')[2].partition("</nav>")[0]
    assert re.findall(r'href="#([^"]+)"', contents) == re.findall(r'<section id="([^"]+)"', PAGE)


def test_the_arms_show_chance_shrunken_score_and_best_set() -> None:
    score = COMPARISON.metrics[0].score_of(SHOWN)
    assert score.shrunken is not None
    text = words(part("board"))
    assert f"shrunken {score.shrunken.value:.3f}" in text
    assert "recommended, may be the best" in text


@pytest.mark.parametrize("arm", [arm.arm for arm in COMPARISON.arms if arm.arm != COMPARISON.baseline])
def test_the_flips_are_the_wins_and_losses_of_the_effect(arm: str) -> None:
    effect = COMPARISON.metrics[0].effect_of(arm)
    assert effect is not None
    (section,) = flip_section(COMPARISON, CONTEXT, arm)
    text = words(section)
    assert f"{arm} is better: {effect.wins} line" in text
    assert f"{COMPARISON.baseline} is better: {effect.losses} line" in text
    assert "A failed line counts as 0." in text
    assert list(flip_section(COMPARISON, CONTEXT, COMPARISON.baseline)) == []


def test_slices_heat_map_judges_and_nodes_are_shown() -> None:
    assert words(part("slices")).count("billing") == 1
    heat = words(part("interaction"))
    assert "retrieval_few_shot 0.733 0.800 0.633" in heat.replace("_ ", "_")
    judges = words(part("judges"))
    assert "correctness@1" in judges
    assert "Krippendorff's alpha" in judges
    assert "Means, corrected by human labels." in judges
    flow = words(part("flow")).replace("_ ", "_")
    assert all(node.name in flow for node in CONTEXT.graph.nodes)  # type: ignore[union-attr]
    assert "50% cached" in flow
    again = words(part("reproduce"))
    assert "5f3a5f3a5f3a" in again
    assert "headrace: 0.1.0" in again.replace("headrace 0.1.0", "headrace: 0.1.0")


def test_arms_that_are_not_named_after_variant_and_model_have_no_heat_map() -> None:
    metric = COMPARISON.metrics[0]
    scores = tuple(replace(score, arm=score.arm.replace("/", "-")) for score in metric.scores)
    (section,) = heat_section(replace(COMPARISON, metrics=(replace(metric, scores=scores),)))
    assert "darker is better" not in section
    assert "Extra gain" in section


def test_quality_is_drawn_against_cost_and_latency_with_a_front() -> None:
    text = part("quality-cost")
    assert "correct against cost" in text
    assert "median latency in seconds" in text
    assert text.count('class="front"') >= 4


def test_the_script_gets_the_scores_that_the_matrix_shows() -> None:
    data = page_data()
    matrix = CONTEXT.matrix
    assert matrix is not None
    assert data["arms"] == list(matrix.scores["correct"])
    metrics = data["metrics"]
    assert isinstance(metrics, list)
    shown = next(metric["scores"] for metric in metrics if metric["name"] == "words")
    for arm, scores in zip(matrix.scores["words"].values(), shown, strict=True):
        assert scores == [None if value is None else pytest.approx(value, rel=1e-3) for value in arm]


def test_a_matrix_that_is_too_large_keeps_the_lines_that_differ_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "MAX_MATRIX_CELLS", 12)
    matrix = LineMatrix(
        line_ids=("same", "apart"),
        line_numbers=(0, 1),
        scores={"correct": {arm.arm: (1.0, float(index % 2)) for index, arm in enumerate(COMPARISON.arms)}},
    )
    (section,) = line_section(COMPARISON, replace(CONTEXT, matrix=matrix, sample_lines=()), SHOWN)
    text = words(section)
    assert "1 of 2 lines, those on which the arms differ most." in text
    assert "headrace run show-details --name RUN" in text
    assert " apart " in text
    assert " same " not in text


def test_equal_answers_stand_together_with_the_scores_of_each_arm() -> None:
    line = CONTEXT.sample_lines[0]
    same = replace(line, outputs=tuple(replace(output, text="42", error=None) for output in line.outputs))
    (section,) = line_section(COMPARISON, replace(CONTEXT, sample_lines=(same,), matrix=None), SHOWN)
    assert section.count("<article") == 1
    assert section.count('<span class="scores">') == sum(bool(output.scores) for output in line.outputs)


@pytest.mark.parametrize(
    ("number", "text"), [(1.0, "1"), (0.12345, "0.123"), (123456.0, "123456"), (0.5, "0.5")]
)
def test_scores_of_the_matrix_are_short(number: float, text: str) -> None:
    assert short_number(number) == text
