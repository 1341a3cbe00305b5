from __future__ import annotations

import re
from dataclasses import replace
from math import log

import pytest
from tests.support.ab_reports import a_comparison, a_guardrail, a_report, a_view, an_arm

from headrace.domain.ab_report import AbDecision, AbReport, HorizonState
from headrace.domain.comparison import Estimate, Interval, Verdict
from headrace.domain.offline_beside import JoinedEffect, JoinedResults
from headrace.evaluation.report.course import course_of, course_plot
from headrace.evaluation.report.online import render_online_page, render_online_pages
from headrace.evaluation.report.online_text import (
    effect_rows,
    render_online_markdown,
    say_evidence,
    say_horizon,
    say_sample_ratio,
)


def looks(n: int) -> tuple[AbReport, ...]:
    def interval(number: int) -> Interval:
        return Interval(low=-1.0 / number, high=1.0 / number, level=0.95, method="asymptotic")

    return tuple(
        a_report(at_ns=number * 60_000_000_000, comparisons=(a_comparison(interval=interval(number)),))
        for number in range(1, n + 1)
    )


def test_the_page_loads_nothing_runs_nothing_and_refreshes_itself() -> None:
    page = render_online_page(a_view())

    assert "<script" not in page
    assert 'http-equiv="refresh" content="10"' in page
    assert not re.findall(r'(?:src|href)="(?!#)[^"]*"', page)
    assert "default-src 'none'" in page


def test_the_page_says_what_the_terminal_says() -> None:
    page = render_online_page(a_view())

    for text in (
        "Ship few_shot",
        "+0.080",
        "67 of 20",
        "better",
        "Guardrails",
        "kept",
        "Revisions",
        "started",
    ):
        assert text in page


def test_names_and_reasons_are_text_and_never_html() -> None:
    evil = "<img src=x onerror=alert(1)>"
    report = a_report(
        arms=(an_arm("zero_shot", is_baseline=True), an_arm(evil)),
        comparisons=(a_comparison(evil),),
        guardrails=(a_guardrail(evil, what=evil),),
        decision=AbDecision(arm=evil, reason=f"Ship {evil}."),
        caveats=(evil,),
    )
    assert "<img" not in render_online_page(a_view(report))
    assert "<img" not in render_online_markdown(report, "")


def test_several_tests_have_a_list_and_a_page_each() -> None:
    views = (a_view(), a_view(a_report(test="other/test")))

    listed = render_online_pages(lambda: views, "/") or ""
    assert 'href="/other%2Ftest"' in listed
    assert "<h1>other/test</h1>" in str(render_online_pages(lambda: views, "/other%2Ftest"))
    assert render_online_pages(lambda: views, "/unknown") is None
    assert "No test yet" in str(render_online_pages(lambda: (), "/"))


def test_the_course_of_an_effect_is_drawn_once_there_are_two_looks() -> None:
    def courses(n: int) -> int:
        return render_online_page(a_view(looks=looks(n))).count('class="course better"')

    assert [courses(n) for n in (1, 2, 30)] == [0, 1, 1]


def test_wide_intervals_of_the_first_looks_do_not_flatten_the_course() -> None:
    points = course_of(looks(40), "few_shot", "thumbs")
    drawn = course_plot(points, "better", label="few_shot")
    found = re.search(r'<polygon class="band" points="([^"]*)"', drawn)
    assert found is not None
    heights = [float(pair.split(",")[1]) for pair in found[1].split()]

    assert abs(heights[39] - heights[40]) > 30
    assert min(heights) >= 0
    assert max(heights) <= 190


def test_between_planned_looks_verdicts_are_open_and_it_says_what_remains() -> None:
    verdict = Verdict(word="inconclusive", reason="The next look is not due.", is_judged=False)
    horizon = HorizonState(n=380, n_units=1000, looks=5, looks_done=1, boundaries=(4.0,), is_over=False)
    report = a_report(comparisons=(a_comparison(verdict=verdict),), horizon=horizon)

    assert [row.word for row in effect_rows(report, "thumbs")] == ["baseline", "open"]
    assert "the next one is due in 20 units" in say_horizon(report)
    assert "last of 5 looks" in say_horizon(
        replace(report, horizon=replace(horizon, looks_done=5, is_over=True))
    )


def test_a_sample_ratio_mismatch_stands_before_everything_else() -> None:
    report = a_report()
    broken = replace(report, sample_ratio=replace(report.sample_ratio, is_mismatch=True, log_e=9.0))
    page = render_online_page(a_view(broken))

    assert page.index("Sample ratio mismatch") < page.index('id="metric-0"')
    assert "Nothing is decided" in say_sample_ratio(broken)


@pytest.mark.parametrize(
    ("log_e", "said"),
    [(0.0, "1 of 20"), (4.2, "67 of 20"), (-2.3, "0.1 of 20"), (900.0, "> 1,000,000 of 20")],
)
def test_evidence_is_an_e_value_beside_the_one_that_decides(log_e: float, said: str) -> None:
    assert say_evidence(log_e, 3.0) == said


def test_the_evidence_that_decides_at_one_percent_is_a_hundred() -> None:
    assert say_evidence(4.605, -log(0.01)) == "100 of 100"


def test_offline_results_stand_on_the_page_and_in_markdown_beside_those_of_live_requests() -> None:
    interval = Interval(low=0.1, high=0.3, level=0.95, method="t")
    effect = JoinedEffect(
        arm="few_shot",
        metric="thumbs",
        offline_metric="accuracy",
        offline=Estimate(value=0.2, interval=interval, n=40),
        online=None,
        agreement="cannot say yet",
        reason="there is no interval online yet",
    )
    joined = JoinedResults(experiment="triage-1", effects=(effect,), notes=("b was no arm of <triage-1>.",))
    view = a_view(offline=joined)
    page = render_online_page(view)
    text = render_online_markdown(view.report, "", joined)

    for part in (
        "Offline and online",
        "thumbs (offline accuracy)",
        "+0.200 (+0.100 to +0.300)",
        "cannot say yet",
    ):
        assert part in page
        assert part in text
    assert "b was no arm of &lt;triage-1&gt;." in page
    assert "Offline and online" not in render_online_page(a_view())
