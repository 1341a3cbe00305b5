"""What every report owes its reader, whatever its format."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from math import inf, nan
from time import process_time
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.boards import rich_board
from tests.unit.evaluation.builders import an_arm, an_observation, yes_no

from headrace.cli.board import render_board
from headrace.cli.terminal import Terminal
from headrace.domain.comparison import Comparison, Family
from headrace.domain.report import ReportContext, SampleLine, SampleOutput
from headrace.domain.scores import ArmLines, LineFacts, MetricSpec, Score
from headrace.evaluation.comparison import compare
from headrace.evaluation.recommendation import ship_recommendation
from headrace.evaluation.report import markdown
from headrace.evaluation.report.as_json import render_json
from headrace.evaluation.report.html import render_html
from headrace.evaluation.report.junit import render_junit
from headrace.evaluation.report.markdown import render_markdown

Renderer = Callable[[Comparison, ReportContext], str]
RENDERERS: list[Renderer] = [render_html, render_markdown, render_json]
WIDE = "\N{CJK UNIFIED IDEOGRAPH-4E00}"
VOID_TAGS = {"meta", "br", "wbr", "input"}

CONTEXT = ReportContext(
    title="Which arm answers best?",
    flow="flows/ask",
    dataset="data/test.jsonl",
    created_at=datetime(2026, 11, 21, 3, 0, tzinfo=UTC),
    commands=("headrace compare experiment.yaml", "headrace run list"),
    model_note="The baseline model is not a language model.",
    metric_notes={"accuracy": "Share of right answers."},
    sample_lines=(
        SampleLine(
            line_id="line-3",
            inputs="Which command?",
            reference="headrace run list",
            outputs=(
                SampleOutput(arm="base", text="no idea", scores={"accuracy": Score(value=0.0)}),
                SampleOutput(arm="new", text="", error="the model did not answer"),
            ),
        ),
    ),
)


class Page(HTMLParser):
    """Reads a page and refuses tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID_TAGS:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def priced(name: str, yes: int, no: int, cost_usd: float | None) -> ArmLines:
    lines = {
        f"line-{i}": (an_observation(score, cost_usd=cost_usd),) for i, score in enumerate(yes_no(yes, no))
    }
    return ArmLines(arm=name, lines=lines)


def a_comparison(*, cost_usd: float | None = 0.01, margin: float | None = None) -> Comparison:
    arms = [
        priced("base", 10, 30, 0.01),
        priced("new", 33, 7, cost_usd),
        priced("same", 10, 30, 0.02),
        an_arm("flaky", yes_no(9, 31), failed=[0, 1]),
    ]
    if cost_usd is not None:
        arms.pop()
    return compare(
        arms, baseline="base", metrics=[MetricSpec(name="accuracy", margin=margin), MetricSpec(name="tone")]
    )


def a_grid(family: Family) -> Comparison:
    """Two variants with two models, in slices, with a margin and a guardrail."""
    rights = {("v1", "m1"): 10, ("v1", "m2"): 12, ("v2", "m1"): 14, ("v2", "m2"): 38}
    arms = [
        an_arm(f"{variant}/{model}", yes_no(right, 40 - right), variant=variant, model=model)
        for (variant, model), right in rights.items()
    ]
    return compare(
        arms,
        baseline="v1/m1",
        metrics=[MetricSpec(name="accuracy", margin=0.1), MetricSpec(name="tone")],
        guardrails=[MetricSpec(name="accuracy", margin=0.1)],
        facts={f"line-{i}": LineFacts(slices={"half": str(i % 2)}) for i in range(40)},
        family=family,
    )


@pytest.mark.parametrize("render", RENDERERS)
def test_a_report_names_the_decision_the_arms_and_the_way_back(render: Renderer) -> None:
    text = unescape(render(a_comparison(), CONTEXT)).replace("\\", "")
    assert "new beats base on accuracy" in text
    for word in ("base", "new", "same", "headrace compare experiment.yaml", CONTEXT.model_note, "Tango"):
        assert word in text
    assert "Share of right answers." in text
    assert "the model did not answer" in text


@pytest.mark.parametrize("render", RENDERERS)
def test_the_same_comparison_gives_the_same_text(render: Renderer) -> None:
    assert render(a_comparison(), CONTEXT) == render(a_comparison(), CONTEXT)


@given(
    st.lists(
        st.lists(st.sampled_from([None, nan, inf, 0.0, 1.0, 0.5, 7.0, -1e99]), min_size=0, max_size=9),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([None, 0.1]),
    st.sampled_from(["higher", "lower"]),
)
@settings(max_examples=60, deadline=None)
def test_no_data_breaks_a_report(scores, margin, direction) -> None:
    arms = [an_arm(f"arm-{i}", values, failed=[2]) for i, values in enumerate(scores)]
    spec = MetricSpec(name="accuracy", margin=margin, direction=direction)
    comparison = compare(arms, baseline="arm-0", metrics=[spec])
    Page(render_html(comparison, CONTEXT))
    assert json.loads(render_json(comparison, CONTEXT))
    for render in RENDERERS:
        words = render(comparison, CONTEXT).lower().replace("(", " ").replace(")", " ").split()
        assert not {"nan", "inf", "+inf", "nan%", "none"} & set(words)


@pytest.mark.parametrize("render", RENDERERS)
def test_a_comparison_without_metrics_or_rivals_still_reports(render: Renderer) -> None:
    alone = [an_arm("base", [1.0, 0.0])]
    for metrics in ([], [MetricSpec(name="accuracy")]):
        assert "Cannot be decided" in render(compare(alone, baseline="base", metrics=metrics), CONTEXT)


def test_json_is_the_comparison() -> None:
    document = json.loads(render_json(a_comparison(), CONTEXT))
    assert document["schema"] == 2
    assert document["recommendation"]["arm"] == "new"
    assert document["context"]["created_at"] == "2026-11-21T03:00:00+00:00"
    effect = document["comparison"]["metrics"][0]["effects"][0]
    assert effect["arm"] == "new"
    assert effect["difference"]["value"] == pytest.approx(23 / 40)
    assert effect["difference"]["interval"]["method"] == "Tango"
    assert effect["verdict"]["word"] == "better"
    assert document["comparison"]["provenance"]["seed"] == 0


def test_markdown_tables_keep_their_columns() -> None:
    hostile = compare(
        [an_arm("a|b", yes_no(9, 9)), an_arm("c\n| d `e` <b>", yes_no(9, 9))],
        baseline="a|b",
        metrics=[MetricSpec(name="x|y")],
    )
    text = render_markdown(hostile, replace(CONTEXT, title="# [x](http://y)\n\n<script>"))
    rows = [line for line in text.splitlines() if line.startswith("|")]
    columns = {line.replace("\\|", "").count("|") for line in rows}
    assert len(rows) == 4
    assert columns == {11}
    assert "\n<script>" not in text
    assert "[x](" not in text


def test_markdown_fits_a_comment_and_says_what_did_not_fit() -> None:
    comparison, context = rich_board(40)
    text = render_markdown(comparison, context)
    assert len(text) < 65_536
    assert "More did not fit here" not in text
    assert text.count("<details>") == text.count("</details>") == text.count("<summary>") >= 8
    long = tuple(
        replace(line, inputs="x" * 300, outputs=line.outputs * 5) for line in context.sample_lines[:10]
    )
    text = render_markdown(comparison, replace(context, sample_lines=long))
    assert len(text) < 65_536
    assert text.endswith("More did not fit here; the HTML report shows all.\n")
    assert text.count("<details>") == text.count("</details>")


def test_markdown_tables_render_within_folded_parts() -> None:
    text = render_markdown(*rich_board(40))
    lines = text.splitlines()
    for before, line in pairwise(lines):
        if line.startswith("| ") and not before.startswith("| "):
            assert before == ""
        if line.startswith(("<details>", "</details>")):
            assert before == ""
    assert all(following == "" for line, following in pairwise(lines) if line.startswith("<details>"))


def test_markdown_code_survives_backticks() -> None:
    text = render_markdown(a_comparison(), replace(CONTEXT, commands=("echo ```x```",)))
    assert "````sh\necho ```x```\n````" in text


def test_html_loads_nothing_and_runs_nothing_but_its_own_script() -> None:
    comparison, context = rich_board(24)
    for text in (render_html(a_comparison(), CONTEXT), render_html(comparison, context)):
        page = Page(text)
        assert not {"link", "img", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
        for _, attributes in page.tags:
            assert not {"src", "srcset", "data", "style"} & set(attributes)
            assert not any(name.startswith("on") for name in attributes)
            assert (attributes.get("href") or "#").startswith("#")
        for outside in ("https:", "url(", "@import", "fetch(", "innerHTML", "eval("):
            assert outside not in text
        assert text.replace("http://www.w3.org/2000/svg", "").count("http:") == 0


def test_the_policy_allows_the_script_of_the_page_and_no_other() -> None:
    comparison, context = rich_board(24)
    text = render_html(comparison, context)
    script = text.rpartition("<script>")[2].partition("</script>")[0]
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert policies_of(text) == [
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
        f"script-src 'sha256-{digest}'"
    ]
    assert [item.get("type") for item in Page(text).all("script")] == ["application/json", None]
    plain = render_html(a_comparison(), CONTEXT)
    assert not Page(plain).all("script")
    assert "script-src" not in policies_of(plain)[0]


def policies_of(text: str) -> list[str | None]:
    metas = Page(text).all("meta")
    return [item["content"] for item in metas if item.get("http-equiv") == "Content-Security-Policy"]


def test_html_escapes_every_text_of_the_user() -> None:
    evil = "<script>alert('&\"')</script>"
    arms = [an_arm(f"a{evil}", yes_no(9, 31)), an_arm(f"b{evil}", yes_no(31, 9))]
    comparison = compare(
        arms, baseline=f"a{evil}", metrics=[MetricSpec(name=f"m{evil}"), MetricSpec(name=f"n{evil}")]
    )
    sample = SampleLine(
        line_id=evil,
        inputs=evil,
        reference=evil,
        outputs=(SampleOutput(arm=evil, text=evil), SampleOutput(arm=evil, text="", error=evil)),
    )
    context = ReportContext(
        title=evil,
        flow=evil,
        dataset=evil,
        created_at=CONTEXT.created_at,
        commands=(evil,),
        model_note=evil,
        sample_lines=(sample,),
        metric_notes={f"m{evil}": evil},
    )
    text = render_html(comparison, context)
    assert not Page(text).all("script")
    assert "<script" not in text


@pytest.mark.parametrize("is_rich", [False, True])
def test_html_tables_and_plots_can_be_read_aloud(*, is_rich: bool) -> None:
    page = Page(render_html(*(rich_board(24) if is_rich else (a_comparison(), CONTEXT))))
    assert len(page.all("table")) == len(page.all("caption")) >= 3
    assert all(attributes.get("scope") in ("row", "col") for attributes in page.all("th"))
    plots = [a for a in page.all("svg") if a.get("role") == "img"]
    assert len(plots) >= 3
    assert all(attributes["aria-label"] for attributes in plots)
    assert len(page.all("title")) >= len(plots) + 1
    assert all(attributes.get("type") == "button" for attributes in page.all("button"))
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("main")) == len(page.all("h1")) == 1
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        assert (attributes.get("aria-labelledby") or ids[0]) in ids


def test_html_shows_cost_and_falls_back_to_tokens() -> None:
    assert "accuracy against cost" in render_html(a_comparison(), CONTEXT)
    text = render_html(a_comparison(cost_usd=None), CONTEXT)
    assert "accuracy against tokens" in text
    assert "Tokens stand in for cost" in text


def test_the_margin_is_drawn_and_explained() -> None:
    assert 'class="margin"' not in render_html(a_comparison(), CONTEXT)
    text = render_html(a_comparison(margin=0.05), CONTEXT)
    assert 'class="margin"' in text
    assert "margin within which a difference does not matter" in text


def test_failed_lines_are_counted_and_the_estimate_without_them_is_shown() -> None:
    comparison = a_comparison(cost_usd=None)
    for render in (render_html, render_markdown):
        assert "Without failed lines: " in render(comparison, CONTEXT)


def test_sample_lines_are_capped_and_the_cap_is_said() -> None:
    lines = tuple(replace(CONTEXT.sample_lines[0], line_id=f"sample-{i}-end") for i in range(40))
    context = replace(CONTEXT, sample_lines=lines)
    comparison = a_comparison()
    page = Page(render_html(comparison, context))
    assert len([item for item in page.all("details") if item.get("class") == "line"]) == 40
    text = render_markdown(comparison, context)
    assert text.count("-end**") == markdown.MAX_SAMPLE_LINES
    assert f"{markdown.MAX_SAMPLE_LINES} of 40 lines are shown." in text


def test_long_answers_are_cut() -> None:
    output = SampleOutput(arm="base", text="x" * 50_000)
    line = replace(CONTEXT.sample_lines[0], inputs="y" * 50_000, outputs=(output,))
    context = replace(CONTEXT, sample_lines=(line,))
    assert len(render_html(a_comparison(), context)) < 60_000
    assert len(render_markdown(a_comparison(), context)) < 10_000


def test_the_page_of_a_thousand_lines_stays_below_three_megabytes() -> None:
    comparison, context = rich_board(1000, n_samples=120)
    started = process_time()
    text = render_html(comparison, context)
    assert process_time() - started < 3.0
    assert len(text.encode("utf-8")) < 3_000_000
    assert text.count("<tr><th scope") == 1001
    # The worst: every answer and every reason is long, different, and of characters of three bytes.
    lines = tuple(
        replace(
            line,
            line_id=f"{line.line_id}{WIDE * 500}",
            inputs=WIDE * 2000,
            outputs=tuple(
                replace(
                    output,
                    text=f"{index} " + WIDE * 2000,
                    scores={
                        name: Score(value=0.5, label="fine", reason=f"{name} {index} " + WIDE * 500)
                        for name in output.scores
                    },
                )
                for index, output in enumerate(line.outputs)
            ),
        )
        for line in context.sample_lines
    )
    assert len(render_html(comparison, replace(context, sample_lines=lines)).encode("utf-8")) < 3_000_000


def test_bare_contexts_and_unpaired_arms_are_reported_plainly() -> None:
    bare = ReportContext(title="t", flow="f", dataset="d", created_at=CONTEXT.created_at)
    lines = {"other": (an_observation(1.0, duration_ms=0.0, tokens=(0, 0)),)}
    comparison = compare(
        [an_arm("base", yes_no(3, 3)), ArmLines(arm="alien", lines=lines)],
        baseline="base",
        metrics=[MetricSpec(name="accuracy")],
    )
    page = Page(render_html(comparison, bare))
    assert "no paired line" in page.texts
    assert not page.all("pre")
    text = render_markdown(comparison, bare)
    assert "Make it again" not in text
    assert "Before you trust this" in text
    quiet = compare([an_arm("base", yes_no(3, 3))], baseline="base", metrics=[MetricSpec(name="accuracy")])
    assert "Before you trust this" not in render_markdown(quiet, bare)
    assert "Before you trust this" not in render_html(quiet, bare)


def test_a_sample_without_reference_or_answers_is_still_shown() -> None:
    line = SampleLine(line_id="lonely", inputs="alone", reference=None, outputs=())
    context = replace(CONTEXT, sample_lines=(line,))
    assert "Reference</h4>" not in render_html(a_comparison(), context)
    assert "lonely" in render_html(a_comparison(), context)
    assert "lonely" in render_markdown(a_comparison(), context)


def test_no_report_calls_p_adjusted_that_is_not() -> None:
    for family in get_args(Family):
        comparison = a_grid(family)
        assert comparison.metrics[0].interaction
        assert comparison.metrics[0].slices
        recommendation = ship_recommendation(comparison)
        assert recommendation.guardrails
        texts = [render(comparison, CONTEXT) for render in (render_html, render_markdown, render_junit)]
        texts.append(render_board(comparison, recommendation, CONTEXT, Terminal(width=120)))
        for text in texts:
            assert ("adjusted p" in text.lower()) == (family != "none")
            if "adjusted for each other" in text:
                assert ("but for the arms" in text) == (family != "none")


def test_every_report_says_what_several_tries_are_worth() -> None:
    arms = [an_arm("base", [[1.0, 0.0]] * 3 + [[0.0, 0.0]]), an_arm("new", [[1.0, 1.0]] * 3 + [[1.0, 0.0]])]
    comparison = compare(arms, baseline="base", metrics=[MetricSpec(name="accuracy")])
    said = "At least one of 2 answers to a line passes (pass@2): base 0.750, new 1.000. All do (pass^2): base 0.000, new 0.750."
    assert said in unescape(render_html(comparison, CONTEXT))
    assert said in render_markdown(comparison, CONTEXT).replace("\\", "")
    assert "pass@k and pass^k: the chance" in render_markdown(comparison, CONTEXT).replace("\\", "")
    scores = json.loads(render_json(comparison, CONTEXT))["comparison"]["metrics"][0]["scores"]
    assert [score["tries"] for score in scores] == [
        {"k": 2, "pass_at_k": 0.75, "pass_hat_k": 0.0},
        {"k": 2, "pass_at_k": 1.0, "pass_hat_k": 0.75},
    ]
