"""What the engine does with a flow, as a readable list of cases: files, lines, and what comes of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace.config import load_settings
from headrace.formats.positions import load_yaml
from headrace.operations.test_flow import TestRequest, run_test
from headrace.operations.workspace import open_workspace

CASES = sorted((Path(__file__).parent / "cases").glob("*.yaml"))


def read_case(path: Path) -> dict[str, Any]:
    data, _ = load_yaml(path.read_text(encoding="utf-8"), str(path))
    assert isinstance(data, dict)
    return data


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, tmp_path: Path) -> None:
    case = read_case(path)
    for name, text in case["files"].items():
        target = tmp_path / "flow" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    settings = load_settings({"HOME": str(tmp_path), **case.get("environment", {})})
    with open_workspace(settings, tmp_path) as workspace:
        for line in case["lines"]:
            request = TestRequest(
                flow=tmp_path / "flow",
                inputs=line.get("inputs", {}),
                variant=line.get("variant"),
                node=line.get("node"),
            )
            result = run_test(workspace, request)
            problem = result.line.problem or result.aggregation_problem
            assert (problem and problem.code) == line.get("problem"), problem
            if "outputs" in line:
                assert result.outputs == line["outputs"]
            if "nodes" in line:
                assert {node.node: node.status for node in result.line.nodes} == line["nodes"]
            assert dict(result.metrics) == line.get("metrics", {})
            if problem is not None and "place" in line:
                span = problem.span
                assert span is not None
                assert f"{Path(span.file).name}:{span.line}" == line["place"]
            for words in line.get("says", []):
                assert problem is not None
                assert words in " ".join((problem.what, problem.fix or "", *problem.detail))
