from __future__ import annotations

from headrace.domain.run import BYPASSED, CANCELED, COMPLETED, FAILED, NodeResult
from headrace.errors import Problem, Raised
from headrace.formats.run_log import node_events, problem_event, render_log
from headrace.source import file_span

SECOND = 1_000_000_000
START = 1_795_846_718 * SECOND


def test_a_line_of_the_log_has_the_columns_of_prompt_flows() -> None:
    text = render_log([(START, "execution.flow", "INFO", "Hello.")], 42)
    assert text == "2026-11-28 06:18:38 +0000      42 execution.flow     INFO     Hello.\n"


def test_nodes_tell_what_they_did_and_printed_in_order_of_time() -> None:
    raised = Raised(node="b", module="m", type="E", message="x", traceback="Traceback\nE: x\n")
    nodes = [
        NodeResult(
            node="a",
            status=COMPLETED,
            start_ns=START,
            end_ns=START + SECOND,
            logs={"stdout": "one\ntwo\n", "stderr": "hm"},
        ),
        NodeResult(node="off", status=BYPASSED),
        NodeResult(
            node="b",
            status=FAILED,
            start_ns=START + SECOND,
            end_ns=START + 2 * SECOND,
            problem=Problem(code="E601", what="It raised E: x.", raised=raised),
        ),
        NodeResult(node="c", status=CANCELED, start_ns=START + SECOND, end_ns=START + 2 * SECOND),
        NodeResult(node="never", status=CANCELED),
    ]
    text = render_log(list(node_events(nodes, line_number=0, began_ns=START)), 42)
    assert [line.removeprefix("2026-11-28 06:18:") for line in text.splitlines()] == [
        "38 +0000      42 execution.flow     INFO     Node a in line 0 begins.",
        "39 +0000      42 execution.flow     INFO     [a in line 0] stdout> one",
        "39 +0000      42 execution.flow     INFO     [a in line 0] stdout> two",
        "39 +0000      42 execution          WARNING  [a in line 0] stderr> hm",
        "39 +0000      42 execution.flow     INFO     Node a in line 0 is complete after 1.000 s.",
        "39 +0000      42 execution.flow     INFO     Node off in line 0 is bypassed.",
        "39 +0000      42 execution.flow     INFO     Node b in line 0 begins.",
        "39 +0000      42 execution.flow     INFO     Node c in line 0 begins.",
        "40 +0000      42 execution          ERROR    Node b in line 0 failed: error[E601 tool-failed] It raised E: x.",
        "Traceback",
        "E: x",
        "40 +0000      42 execution.flow     INFO     Node c in line 0 is cancelled after 1.000 s.",
        "40 +0000      42 execution.flow     INFO     Node never in line 0 is cancelled.",
    ]


def test_aggregation_nodes_belong_to_no_line() -> None:
    node = NodeResult(node="s", status=COMPLETED, start_ns=START, end_ns=START)
    assert "Node s begins." in render_log(list(node_events([node], line_number=None, began_ns=START)), 1)


def test_findings_about_the_flow_have_their_place_and_severity() -> None:
    warning = Problem(code="F012", what="Odd key.", span=file_span("flow.dag.yaml"), severity="warning")
    assert problem_event(7, warning) == (
        7,
        "execution",
        "WARNING",
        "flow.dag.yaml:1:1: warning[F012 unknown-key] Odd key.",
    )
    assert problem_event(7, Problem(code="E603", what="Too slow."))[2] == "ERROR"
