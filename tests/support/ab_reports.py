"""Looks at online tests for tests of what shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.support.evidence import a_revision, a_traffic
from tests.support.runs import START_NS

from headrace.domain.ab_report import (
    AbArm,
    AbComparison,
    AbDecision,
    AbGuardrail,
    AbMetric,
    AbReport,
    SampleRatio,
)
from headrace.domain.comparison import Interval, Verdict, VerdictWord
from headrace.evaluation.report.online_view import AbView

DECIDES = 3.0


def an_arm(name: str = "few_shot", **changes: Any) -> AbArm:
    fields: dict[str, Any] = {
        "share": 0.5,
        "exposures": 1500,
        "units": 1200,
        "completions": 1490,
        "failures": 12,
        "latency_ms": 1_200_000.0,
        "cost_usd": 1.5,
        "n_priced": 1490,
        "metrics": (AbMetric(metric="thumbs", n=900, n_said=900, n_events=400, mean=0.44, variance=0.25),),
    }
    return AbArm(arm=name, **{**fields, **changes})


def a_comparison(
    arm: str = "few_shot", word: VerdictWord = "better", *, effect: float | None = 0.08, **changes: Any
) -> AbComparison:
    interval = None
    if effect is not None:
        interval = Interval(low=effect - 0.05, high=effect + 0.05, level=0.95, method="asymptotic")
    fields: dict[str, Any] = {
        "against": "zero_shot",
        "metric": "thumbs",
        "direction": "higher",
        "n": 900,
        "n_baseline": 880,
        "effect": effect,
        "interval": interval,
        "log_e": 4.2 if word == "better" else 0.3,
        "log_e_better": 4.2,
        "log_e_worse": -2.0,
        "threshold": DECIDES,
        "verdict": Verdict(
            word=word,
            reason=f"{arm} is {word}: 0.080 higher on 1,780 units (95% interval +0.030 to +0.130, evidence 67 where 20 decide).",
        ),
    }
    return AbComparison(arm=arm, **{**fields, **changes})


def a_guardrail(arm: str = "few_shot", **changes: Any) -> AbGuardrail:
    fields: dict[str, Any] = {
        "metric": "failures",
        "log_e": 0.1,
        "highest": 0.4,
        "threshold": 4.6,
        "is_breached": False,
        "n": 12,
        "n_baseline": 10,
        "observed": 0.008,
        "observed_baseline": 0.007,
        "what": "failures are no more than 1.5 times those of zero_shot",
    }
    return AbGuardrail(arm=arm, **{**fields, **changes})


def a_report(**changes: Any) -> AbReport:
    fields: dict[str, Any] = {
        "test": "checkout",
        "at_ns": START_NS,
        "revision": 1,
        "place": 4000,
        "baseline": "zero_shot",
        "alpha": 0.05,
        "arms": (an_arm("zero_shot", is_baseline=True), an_arm()),
        "sample_ratio": SampleRatio(
            log_e=-1.2,
            threshold=6.9,
            expected={"zero_shot": 1200.0, "few_shot": 1200.0},
            observed={"zero_shot": 1190, "few_shot": 1210},
            is_mismatch=False,
        ),
        "comparisons": (a_comparison(),),
        "guardrails": (a_guardrail(),),
        "decision": AbDecision(
            arm="few_shot", reason="Ship few_shot: it is better than zero_shot on thumbs."
        ),
    }
    return AbReport(**{**fields, **changes})


def a_view(report: AbReport | None = None, **changes: Any) -> AbView:
    report = report or a_report()
    fields: dict[str, Any] = {
        "traffic": replace(a_traffic(), name=report.test, baseline=report.baseline),
        "history": (a_revision(),),
        "looks": (report,),
    }
    return AbView(report=report, **{**fields, **changes})
