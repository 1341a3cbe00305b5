"""Run folders of prompt flow as records of ours."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.run import BYPASSED, COMPLETED, FAILED, Usage
from headrace.errors import DefinitionError
from headrace.formats.run_records import read_run_records, read_time

FAILURE = {
    "message": "Execution failure in 'ask': (ValueError) boom",
    "messageParameters": {"node_name": "ask"},
    "referenceCode": "Tool/__pf_main__",
    "code": "UserError",
    "innerError": {"code": "ToolExecutionError", "innerError": None},
    "additionalInfo": [
        {
            "type": "ToolExecutionErrorDetails",
            "info": {
                "type": "ValueError",
                "message": "boom",
                "traceback": "Traceback\n  File\nValueError: boom\n",
                "filename": "ask.py",
                "lineno": 4,
                "name": "ask",
            },
        }
    ],
}
TIMEOUT = {
    "message": "Line 2 execution timeout for exceeding 1 seconds",
    "code": "UserError",
    "innerError": {"code": "LineExecutionTimeoutError", "innerError": None},
}


def row(number: int | None, **info: Any) -> str:
    return json.dumps({"line_number": number, "run_info": info}) + "\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_folder_of_stock_is_read(tmp_path: Path) -> None:
    times = {"start_time": "2026-01-02T03:04:05.000001Z", "end_time": "2026-01-02T03:04:06.000002Z"}
    tokens = {"duration": 1.0, "prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    folder = write(
        tmp_path,
        {
            "flow_artifacts/000000001_000000002.jsonl": row(
                1, status="Failed", inputs={"q": "b", "line_number": 1}, output=None, error=FAILURE
            )
            + row(2, status="Failed", inputs={"q": "c"}, error=TIMEOUT),
            "flow_artifacts/000000000_000000000.jsonl": row(
                0,
                status="Completed",
                inputs={"q": "a", "line_number": 0},
                output={"answer": "A", "line_number": 0},
                system_metrics=tokens,
                otel_trace_id="0xabc",
                **times,
            ),
            "node_artifacts/ask/000000000.jsonl": row(
                0, node="ask", status="Completed", output="A", logs={"stdout": "hi\n", "stderr": ""}, **times
            ),
            "node_artifacts/skip/000000000.jsonl": row(0, node="skip", status="Bypassed", output=None),
            "node_artifacts/mean/000000000.jsonl": row(None, node="mean", status="Completed", output=1.5),
            "metrics.json": '{"mean": 1.5}',
            "snapshot/flow.dag.yaml": "nodes: []\n",
        },
    )
    records = read_run_records(folder)
    first, second, third = records.lines
    assert (first.status, first.inputs, first.outputs) == (COMPLETED, {"q": "a"}, {"answer": "A"})
    assert first.usage == Usage(calls=1, prompt_tokens=7, completion_tokens=3)
    assert (first.start_ns, first.end_ns) == (1_767_323_045_000_001_000, 1_767_323_046_000_002_000)
    assert first.trace_id == "abc"
    assert [(node.node, node.status, node.output) for node in first.nodes] == [
        ("ask", COMPLETED, "A"),
        ("skip", BYPASSED, None),
    ]
    assert first.nodes[0].logs == {"stdout": "hi\n"}
    assert (second.status, second.outputs) == (FAILED, {})
    assert second.problem is not None
    assert (second.problem.code, second.problem.what) == ("E601", FAILURE["message"])
    assert second.problem.raised is not None
    assert (second.problem.raised.node, second.problem.raised.type, second.problem.raised.line) == (
        "ask",
        "ValueError",
        4,
    )
    assert third.problem is not None
    assert (third.problem.code, third.problem.raised) == ("E603", None)
    assert [node.node for node in records.aggregation] == ["mean"]
    assert (records.metrics, records.metadata) == ({"mean": 1.5}, {})
    assert records.snapshot == folder / "snapshot"


@pytest.mark.parametrize("text", ["{", "[]", '{"line_number": 0}'])
def test_a_record_that_is_none_is_named_by_its_place(tmp_path: Path, text: str) -> None:
    write(tmp_path, {"flow_artifacts/a.jsonl": row(0, status="Completed") + text})
    with pytest.raises(DefinitionError) as caught:
        read_run_records(tmp_path)
    (problem,) = caught.value.problems
    assert (problem.code, problem.span and problem.span.line) == ("D401", 2)


def test_a_folder_without_lines_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        read_run_records(tmp_path)
    assert caught.value.problems[0].code == "S812"


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T05:04:05+02:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("yesterday", None),
        (None, None),
    ],
)
def test_times(text: str | None, time: datetime | None) -> None:
    assert read_time(text) == time
