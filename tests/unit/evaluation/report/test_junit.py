"""JUnit XML as build servers read it: the elements and attributes of junit-10.xsd and no others."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

from tests.support.boards import rich_board
from tests.unit.evaluation.builders import an_arm, yes_no

from headrace.domain.scores import MetricSpec
from headrace.evaluation.comparison import compare
from headrace.evaluation.report.junit import render_junit

_, CONTEXT = rich_board(8, 2, 1)
SCHEMA = {
    "testsuites": ({"testsuite"}, {"name", "tests", "failures", "errors"}),
    "testsuite": (
        {"properties", "testcase"},
        {"name", "tests", "failures", "errors", "skipped", "timestamp"},
    ),
    "properties": ({"property"}, set()),
    "property": (set(), {"name", "value"}),
    "testcase": ({"skipped", "failure", "system-out"}, {"name", "classname", "time"}),
    "failure": (set(), {"type", "message"}),
    "skipped": (set(), {"message"}),
    "system-out": (set(), set()),
}
REQUIRED = {
    "testsuite": {"name", "tests", "failures", "errors"},
    "property": {"name", "value"},
    "testcase": {"name"},
}


def check(element: ET.Element) -> None:
    children, attributes = SCHEMA[element.tag]
    assert set(element.attrib) <= attributes
    assert REQUIRED.get(element.tag, set()) <= set(element.attrib)
    for child in element:
        assert child.tag in children
        check(child)


def test_every_arm_is_a_case_of_every_metric() -> None:
    comparison, context = rich_board(40)
    root = ET.fromstring(render_junit(comparison, context))  # noqa: S314 - our own text
    check(root)
    assert [suite.get("name") for suite in root] == [metric.spec.name for metric in comparison.metrics]
    for suite in root:
        cases = suite.findall("testcase")
        assert [case.get("name") for case in cases] == [arm.arm for arm in comparison.arms]
        assert suite.get("failures") == str(sum(case.find("failure") is not None for case in cases))
    assert root.get("tests") == "60"


def test_a_case_fails_where_the_arm_is_worse_or_lines_failed_and_is_skipped_without_judgement() -> None:
    arms = [
        an_arm("base", yes_no(30, 10)),
        an_arm("good", yes_no(40, 0)),
        an_arm("bad", yes_no(4, 36)),
        an_arm("broken", yes_no(30, 10), failed=[0, 1]),
        an_arm("silent", [None] * 40),
    ]
    comparison = compare(arms, baseline="base", metrics=[MetricSpec(name="accuracy")])
    root = ET.fromstring(render_junit(comparison, CONTEXT))  # noqa: S314 - our own text
    check(root)
    (suite,) = root
    cases = {case.get("name"): case for case in suite.findall("testcase")}
    kinds = {name: [mark.get("type") for mark in case.findall("failure")] for name, case in cases.items()}
    assert kinds == {"base": [], "good": [], "bad": ["worse"], "broken": ["failed lines"], "silent": []}
    assert cases["broken"].find("failure").get("message") == "2 of 40 executions failed."
    assert cases["silent"].find("skipped") is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "2", "1")
    properties = {item.get("name"): item.get("value") for item in suite.iter("property")}
    assert properties["recommendation"] == "Ship good"
    assert properties["bad: verdict"] == "worse"
    assert properties["bad: difference"] == "-0.65"
    assert "McNemar mid-p" in (cases["bad"].findtext("system-out") or "")


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    arms = [an_arm("a\x00<&\"'", yes_no(9, 9)), an_arm("b\ufffe\ud800", yes_no(9, 9))]
    comparison = compare(arms, baseline=arms[0].arm, metrics=[MetricSpec(name="m\x1b")])
    text = render_junit(comparison, replace(CONTEXT, title="t\x07"))
    root = ET.fromstring(text)  # noqa: S314 - our own text
    assert root.get("name") == "t\N{REPLACEMENT CHARACTER}"
    assert [case.get("name") for case in root.iter("testcase")] == [
        "a\N{REPLACEMENT CHARACTER}<&\"'",
        "b\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}",
    ]
