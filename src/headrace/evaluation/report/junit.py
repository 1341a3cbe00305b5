"""A comparison as JUnit XML, for build servers: one suite per metric, one case per arm.

The form is that of the schema of the Jenkins xUnit plugin (junit-10.xsd), which most build servers follow. It knows no
properties of a case, so the verdicts stand in the properties of the suite, and the evidence in the output of the case.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from headrace.domain.comparison import ArmSummary, Comparison, MetricComparison, PairedEffect
from headrace.domain.report import ReportContext
from headrace.evaluation import wording
from headrace.evaluation.evidence import evidence
from headrace.evaluation.report.board import per_line, plain_span
from headrace.evaluation.report.headline import headline
from headrace.evaluation.report.race import recommend

_NOT_XML = re.compile(r"[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""Characters that XML 1.0 cannot hold, not even escaped (section 2.2)."""


def render_junit(comparison: Comparison, context: ReportContext) -> str:
    """Render a comparison as JUnit XML.

    A case fails where its arm is worse than the baseline or where lines of the arm failed, and is skipped where the
    data allow no judgement.
    """
    suites = [_suite(comparison, metric, context) for metric in comparison.metrics]
    root = ET.Element("testsuites", name=xml_text(context.title))
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in suites)))
    root.extend(suites)
    return xml_page(root)


def _suite(comparison: Comparison, metric: MetricComparison, context: ReportContext) -> ET.Element:
    cases = [_case(comparison, metric, summary) for summary in comparison.arms]
    suite = ET.Element(
        "testsuite",
        name=xml_text(metric.spec.name),
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        errors="0",
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        timestamp=f"{context.created_at:%Y-%m-%dT%H:%M:%S}",
    )
    properties = ET.SubElement(suite, "properties")
    for name, value in _properties(comparison, metric, context):
        ET.SubElement(properties, "property", name=xml_text(name), value=xml_text(value))
    suite.extend(cases)
    return suite


def _properties(
    comparison: Comparison, metric: MetricComparison, context: ReportContext
) -> Iterator[tuple[str, str]]:
    if metric is comparison.primary:
        recommendation = recommend(comparison, context)
        yield "recommendation", headline(comparison, recommendation)
        yield "reason", recommendation.reason
    yield "baseline", comparison.baseline
    for score in metric.scores:
        if score.mean is not None:
            yield f"{score.arm}: score", f"{score.mean.value:.6g}"
    for effect in metric.effects:
        yield f"{effect.arm}: verdict", effect.verdict.word
        if effect.difference is not None:
            yield f"{effect.arm}: difference", f"{effect.difference.value:.6g}"
        if effect.p_adjusted is not None:
            yield f"{effect.arm}: {wording.p_name(comparison.provenance.family)}", f"{effect.p_adjusted:.6g}"


def _case(comparison: Comparison, metric: MetricComparison, summary: ArmSummary) -> ET.Element:
    effect = metric.effect_of(summary.arm)
    case = ET.Element("testcase", classname=xml_text(metric.spec.name), name=xml_text(summary.arm))
    if summary.latency_p50_ms is not None:
        case.set("time", f"{summary.latency_p50_ms.value / 1000:.3f}")
    if effect is not None and effect.verdict.word == "worse":
        _mark(case, "worse", effect.verdict.reason)
    elif effect is not None and not effect.verdict.is_judged and not summary.n_failed:
        ET.SubElement(case, "skipped", message=xml_text(effect.verdict.reason))
    if summary.n_failed:
        message = f"{summary.n_failed:,} of {wording.count(summary.n_observations, 'execution')} failed."
        _mark(case, "failed lines", message)
    output = ET.SubElement(case, "system-out")
    output.text = xml_text("\n".join(_lines(comparison, metric, summary, effect)))
    return case


def _mark(case: ET.Element, kind: str, message: str) -> None:
    ET.SubElement(case, "failure", type=kind, message=xml_text(message)).text = xml_text(message)


def _lines(
    comparison: Comparison, metric: MetricComparison, summary: ArmSummary, effect: PairedEffect | None
) -> Iterator[str]:
    score = metric.score_of(summary.arm)
    if score.mean is not None:
        span = plain_span(score.mean)
        yield f"{metric.spec.name} {wording.number(score.mean.value)}" + (f" ({span})" if span else "")
    if effect is not None:
        yield from evidence(effect, metric, comparison.provenance.adjustment)
    each = None if summary.cost_usd is None else per_line(summary.cost_usd, summary)
    if each is not None:
        yield f"cost per line: {wording.cost(each)}"


def xml_page(root: ET.Element) -> str:
    """A whole document, indented."""
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def xml_text(text: str) -> str:
    """``text`` without the characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
