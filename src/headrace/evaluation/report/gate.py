"""The answers of a gate, for build servers and people: Markdown, JUnit XML and plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any
from xml.etree import ElementTree as ET

from headrace.domain.gate import GateOutcome, GateResult, gate_outcome
from headrace.evaluation import wording
from headrace.evaluation.report.junit import xml_page, xml_text

_TESTS = {
    "superiority": "better",
    "non_inferiority": "not worse",
    "equivalence": "equivalent",
    "guardrail": "guardrail",
    "budget": "budget",
}


def question(result: GateResult) -> str:
    """What was asked, such as "not worse by 0.05 than zero_shot"."""
    spec = result.spec
    if spec.test == "budget":
        return f"budget of {spec.limit:g}"
    margin = f" by {spec.margin:g}" if spec.margin else ""
    against = f" (against {spec.against})" if spec.against else ""
    return f"{_TESTS[spec.test]}{margin}{against}"


def render_gate_markdown(results: Sequence[GateResult], title: str) -> str:
    """The answers as Markdown, for a comment or the summary of a workflow: a table, then the evidence of each."""
    lines = [
        f"## Gate {gate_outcome(tuple(results))}: {title}",
        "",
        "| arm | score | question | answer |",
        "| --- | --- | --- | --- |",
    ]
    lines += [
        f"| {_cell(str(result.spec.arm))} | {_cell(result.spec.metric)} | {_cell(question(result))} "
        f"| **{result.outcome}** |"
        for result in results
    ]
    for result in results:
        lines += [
            "",
            f"**{_cell(str(result.spec.arm))}, {_cell(result.spec.metric)}**: {_cell(result.evidence)}",
        ]
        if result.details:
            lines += ["", "<details><summary>Evidence</summary>", ""]
            lines += [f"- {_cell(line)}" for line in result.details]
            lines += ["", "</details>"]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def render_gate_junit(results: Sequence[GateResult], title: str, *, is_undecided_let: bool = False) -> str:
    """The answers as JUnit XML, one case each; a failure where the arm is held back, skipped where undecided is let."""
    root = ET.Element("testsuites", name=xml_text(title))
    suite = ET.SubElement(root, "testsuite", name="gate", errors="0", tests=str(len(results)))
    for result in results:
        name = f"{result.spec.metric}: {question(result)}"
        case = ET.SubElement(suite, "testcase", classname=xml_text(str(result.spec.arm)), name=xml_text(name))
        if result.outcome == "undecided" and is_undecided_let:
            ET.SubElement(case, "skipped", message=xml_text(result.evidence))
        elif result.outcome != "passed":
            failure = ET.SubElement(case, "failure", type=result.outcome, message=xml_text(result.evidence))
            failure.text = xml_text(result.evidence)
        output = ET.SubElement(case, "system-out")
        output.text = xml_text("\n".join((result.evidence, *result.details)))
    for count, tag in (("failures", "failure"), ("skipped", "skipped")):
        suite.set(count, str(len(suite.findall(f"testcase/{tag}"))))
    for count in ("tests", "failures", "errors"):
        root.set(count, suite.get(count, "0"))
    return xml_page(root)


def gate_to_plain(results: Sequence[GateResult]) -> dict[str, Any]:
    """The answers as plain data: what they come to, and each with its question and its numbers."""
    return {"outcome": gate_outcome(tuple(results)), "results": [_plain(result) for result in results]}


def _plain(result: GateResult) -> dict[str, Any]:
    spec = {
        field.name: getattr(result.spec, field.name)
        for field in fields(result.spec)
        if field.name != "pointer"
    }
    numbers: Mapping[str, float] = dict(result.numbers)
    return {
        **spec,
        "outcome": result.outcome,
        "evidence": result.evidence,
        "numbers": numbers,
        "details": list(result.details),
        "n_more": result.n_more,
        "baseline": None if result.baseline is None else asdict(result.baseline),
    }


def render_gate_text(results: Sequence[GateResult], title: str) -> str:
    """The answers for a terminal: a line each with its evidence below it, and what they come to at the end."""
    return "\n".join(_text_lines(results, title))


def _text_lines(results: Sequence[GateResult], title: str) -> Iterator[str]:
    for result in results:
        yield f"{result.outcome:<10} {result.spec.arm} on {result.spec.metric}: {question(result)}"
        yield f"           {result.evidence}"
        if result.outcome != "passed":
            yield from (f"           {line}" for line in result.details)
    outcome: GateOutcome = gate_outcome(tuple(results))
    counted = [
        sum(result.outcome == word for result in results) for word in ("passed", "failed", "undecided")
    ]
    words = f"{counted[0]} passed, {counted[1]} failed, {counted[2]} undecided"
    yield f"\n{title}: gate {outcome} ({wording.count(len(results), 'question')}: {words})"
