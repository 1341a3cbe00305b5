from __future__ import annotations

from dataclasses import replace

from headrace.domain.flow import FLEX
from headrace.domain.run import BYPASSED, COMPLETED, FAILED, LineResult, NodeResult, Usage
from headrace.errors import Problem
from headrace.formats.run_info import (
    Recording,
    batch_inputs,
    render_aggregation,
    render_detail,
    render_flow_run,
    render_node_runs,
    render_time,
)

SECOND = 1_000_000_000
START = 1_795_846_718 * SECOND
FLOW_KEYS = (
    "run_id status error inputs output metrics request parent_run_id root_run_id source_run_id flow_id start_time "
    "end_time index api_calls name description tags system_metrics result upload_metrics otel_trace_id message_format"
)
NODE_KEYS = (
    "node flow_run_id run_id status inputs output metrics error parent_run_id start_time end_time index api_calls "
    "cached_run_id cached_flow_run_id logs system_metrics result message_format"
)
TEST = Recording(run="r", has_result=True)
BATCH = Recording(run="r", defaulted={"g"})


def a_node(name: str = "a", **changes: object) -> NodeResult:
    node = NodeResult(
        node=name,
        status=COMPLETED,
        inputs={"n": 1},
        output=2,
        start_ns=START + 1_000,
        end_ns=START + 1_500_000,
    )
    return replace(node, **changes)  # type: ignore[arg-type]


def a_line(*nodes: NodeResult, **changes: object) -> LineResult:
    line = LineResult(
        line_number=3,
        status=COMPLETED,
        inputs={"n": 1, "g": "x"},
        outputs={"r": 2},
        nodes=nodes,
        start_ns=START,
        end_ns=START + 2 * SECOND,
        trace_id="0af7651916cd43dd8448eb211c80319c",
    )
    return replace(line, **changes)  # type: ignore[arg-type]


def test_the_keys_stand_in_prompt_flows_order() -> None:
    line = a_line(a_node())
    assert " ".join(render_flow_run(line, TEST, inputs={})) == FLOW_KEYS
    assert " ".join(render_node_runs(line, TEST)[0]) == NODE_KEYS


def test_a_line_and_its_nodes_have_ids_of_one_family() -> None:
    line = a_line(a_node())
    flow_run, (node_run,) = render_flow_run(line, TEST, inputs={}), render_node_runs(line, TEST)
    assert (flow_run["run_id"], flow_run["parent_run_id"], flow_run["root_run_id"]) == ("r_3", "r", "r")
    assert (node_run["run_id"], node_run["parent_run_id"], node_run["flow_run_id"]) == ("r_a_3", "r_3", "r")
    assert flow_run["otel_trace_id"] == "0x0af7651916cd43dd8448eb211c80319c"


def test_times_are_utc_with_microseconds_and_durations_seconds() -> None:
    flow_run = render_flow_run(a_line(), TEST, inputs={})
    assert (flow_run["start_time"], flow_run["end_time"]) == ("2026-11-28T06:18:38Z", "2026-11-28T06:18:40Z")
    assert flow_run["system_metrics"]["duration"] == 2.0
    (call,) = flow_run["api_calls"]
    assert (call["start_time"], call["end_time"]) == (1795846718.0, 1795846720.0)
    assert render_time(START + 1_500_999) == "2026-11-28T06:18:38.001500Z"


def test_the_output_stands_under_result_only_in_a_test() -> None:
    line = a_line(a_node())
    assert render_flow_run(line, TEST, inputs={})["result"] == {"r": 2}
    assert render_node_runs(line, TEST)[0]["result"] == 2
    assert render_flow_run(line, BATCH, inputs={})["result"] is None
    assert render_node_runs(line, BATCH)[0]["result"] is None


def test_a_flow_without_outputs_records_the_line_number_and_a_failed_line_nothing() -> None:
    assert render_flow_run(a_line(outputs={}), TEST, inputs={})["output"] == {"line_number": 3}
    problem = Problem(code="E603", what="Too slow.")
    failed = render_flow_run(a_line(status=FAILED, outputs={}, problem=problem), TEST, inputs={})
    assert (failed["output"], failed["error"]["message"]) == (None, "Too slow.")


def test_a_bypassed_node_has_no_values_and_the_time_at_which_that_was_decided() -> None:
    off = NodeResult(node="off", status=BYPASSED)
    last = a_node("z", start_ns=START + 3_000_000, end_ns=START + 4_000_000)
    records = render_node_runs(a_line(a_node(), off, last), TEST)
    assert [record["node"] for record in records] == ["a", "off", "z"]
    assert [records[1][key] for key in ("inputs", "output", "logs", "system_metrics", "error")] == [None] * 5
    assert records[1]["start_time"] == records[0]["end_time"]


def test_nodes_stand_in_the_order_in_which_they_began() -> None:
    slow = a_node("slow", end_ns=START + SECOND)
    quick = a_node("quick", start_ns=START + 2_000, end_ns=START + 3_000)
    assert [record["node"] for record in render_node_runs(a_line(quick, slow), TEST)] == ["slow", "quick"]


def test_logs_always_have_both_streams() -> None:
    (record,) = render_node_runs(a_line(a_node(logs={"stderr": "hm\n"})), TEST)
    assert record["logs"] == {"stdout": "", "stderr": "hm\n"}


def test_only_nodes_that_called_a_model_count_tokens() -> None:
    usage = Usage(calls=1, prompt_tokens=5, completion_tokens=2)
    plain, model = render_node_runs(a_line(a_node(), a_node("m", usage=usage)), TEST)
    assert plain["system_metrics"] == {"duration": 0.001499}
    assert model["system_metrics"] == {
        "duration": 0.001499,
        "prompt_tokens": 5,
        "completion_tokens": 2,
        "total_tokens": 7,
    }


def test_aggregation_nodes_belong_to_the_run_and_to_no_line() -> None:
    (record,) = render_aggregation([a_node("s")], BATCH)
    assert (record["run_id"], record["parent_run_id"], record["index"]) == ("r_s_reduce", "r", None)


def test_the_detail_of_a_test_holds_the_metrics_and_the_aggregation() -> None:
    detail = render_detail(a_line(a_node()), [a_node("s")], TEST, {"total": 2})
    assert detail["flow_runs"][0]["metrics"] == {"total": 2}
    assert [record["node"] for record in detail["node_runs"]] == ["a", "s"]
    assert render_detail(a_line(), [], TEST, {})["flow_runs"][0]["metrics"] is None
    assert render_detail(a_line(), [a_node("s")], TEST, {})["flow_runs"][0]["metrics"] == {}


def test_calls_stand_with_their_node_and_below_the_flow() -> None:
    recording = Recording(run="r", calls={"a": [{"name": "a"}]})
    line = a_line(a_node(), a_node("b"))
    assert [record["api_calls"] for record in render_node_runs(line, recording)] == [[{"name": "a"}], []]
    (call,) = render_flow_run(line, recording, inputs={"n": 1})["api_calls"]
    assert (call["type"], call["children"], call["inputs"]) == ("Flow", [{"name": "a"}], {"n": 1})


def test_a_flow_without_nodes_has_the_record_of_the_line_alone() -> None:
    recording = Recording(run="r", kind=FLEX, calls={"a": [{"name": "a"}]})
    assert render_node_runs(a_line(a_node()), recording) == []
    assert render_aggregation([a_node("s")], recording) == []
    assert render_flow_run(a_line(a_node()), recording, inputs={})["api_calls"] == [{"name": "a"}]


def test_inputs_of_a_batch_run_have_the_line_number_before_those_that_took_their_default() -> None:
    assert list(batch_inputs(a_line(), BATCH)) == ["n", "line_number", "g"]
