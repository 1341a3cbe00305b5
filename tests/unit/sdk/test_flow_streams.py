"""Outputs of called flows that come piece by piece."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_server import ModelServer, answer

from headrace.config import load_settings
from headrace.operations.test_flow import TestRequest, TestResult, run_test
from headrace.operations.workspace import open_workspace
from headrace.sdk.failures import FlowDefinitionError, FlowFailedError
from headrace.sdk.flow import AsyncFlow, Flow, load_flow
from headrace.sdk.flow_context import FlowContext

pytestmark = pytest.mark.usefixtures("served_names")

LETTERS = "from promptflow.core import tool\n@tool\ndef letters(text: str):\n    yield from text\n"


def write(folder: Path, code: str, **outputs: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "work.py").write_text(code, encoding="utf-8")
    node = {
        "name": "work",
        "type": "python",
        "source": {"type": "code", "path": "work.py"},
        "inputs": {"text": "${inputs.text}"},
    }
    flow: dict[str, Any] = {
        "inputs": {"text": {"type": "string"}},
        "outputs": {name: {"type": "string", "reference": text} for name, text in outputs.items()},
        "nodes": [node],
    }
    (folder / "flow.dag.yaml").write_text(json.dumps(flow), encoding="utf-8")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    write(tmp_path / "letters", LETTERS, pieces="${work.output}", text="${inputs.text}")
    with chdir(tmp_path):
        yield tmp_path


def run(folder: Path, **environment: str) -> TestResult:
    settings = load_settings({"HOME": str(folder), **environment})
    with open_workspace(settings, folder) as workspace, chdir(folder):
        return run_test(workspace, TestRequest(flow=folder, inputs={"text": "abc"}))


def test_streams_are_generators_where_the_context_or_the_class_says_so(project: Path) -> None:
    flow = load_flow("letters")
    assert flow(text="abc") == {"pieces": "abc", "text": "abc"}
    flow.context = FlowContext(streaming=True)
    result = flow(text="abc")
    assert list(result) == ["pieces", "text"]
    assert (list(result["pieces"]), result["text"]) == (["a", "b", "c"], "abc")
    whole = Flow.load("letters")
    assert list(whole(text="ab")["pieces"]) == ["a", "b"]
    whole.context.streaming = False
    assert whole(text="ab")["pieces"] == "ab"


def test_an_awaited_flow_streams_asynchronously(project: Path) -> None:
    async def read() -> tuple[list[str], str]:
        result = await AsyncFlow.load("letters")(text="abc")
        return [piece async for piece in result["pieces"]], result["text"]

    assert asyncio.run(read()) == (["a", "b", "c"], "abc")


def test_a_flow_without_streams_gives_its_outputs(project: Path) -> None:
    write(project / "plain", LETTERS.replace("yield from", "return"), out="${work.output}")
    assert Flow.load("plain")(text="a") == {"out": "a"}


def test_what_goes_wrong_is_raised_where_it_is_met(project: Path) -> None:
    write(
        project / "early",
        LETTERS.replace("yield from text", "raise ValueError('early')"),
        out="${work.output}",
    )
    with pytest.raises(FlowFailedError, match="early"):
        Flow.load("early")(text="a")
    write(project / "late", LETTERS + "    raise ValueError('late')\n", out="${work.output}")
    pieces = Flow.load("late")(text="ab")["out"]
    assert [next(pieces), next(pieces)] == ["a", "b"]
    with pytest.raises(FlowFailedError, match="late"):
        next(pieces)
    with pytest.raises(FlowDefinitionError, match="T202"):
        Flow.load("late")()


def test_the_line_goes_on_when_nobody_reads(project: Path) -> None:
    code = LETTERS + "    from pathlib import Path\n    Path('done').write_text(text)\n"
    write(project / "writes", code, out="${work.output}", again="${work.output}")
    result = Flow.load("writes")(text="ab")
    assert list(result["again"]) == []  # a generator is read once, by the first output that shows it
    assert (project / "done").read_text() == "ab"


def test_a_flex_flow_streams_its_result(project: Path) -> None:
    (project / "flex").mkdir()
    (project / "flex" / "flow.flex.yaml").write_text("entry: spell:spell\n", encoding="utf-8")
    (project / "flex" / "spell.py").write_text(
        "def spell(text: str):\n    yield from text\n", encoding="utf-8"
    )
    assert list(Flow.load("flex")(text="ab")) == ["a", "b"]
    assert load_flow("flex")(text="ab") == "ab"


@pytest.mark.parametrize("start", ["def", "async def"])
def test_a_tool_reads_or_passes_on_what_streams(project: Path, start: str) -> None:
    """Also on the thread of the event loop, where it must not wait for that loop."""
    body = "    result = Flow.load('../letters')(text=text)\n    return '-'.join(result['pieces'])\n"
    code = f"from promptflow.core import Flow, tool\n@tool\n{start} work(text: str):\n{body}"
    folder = write(project / "outer", code, out="${work.output}")
    assert run(folder).outputs == {"out": "a-b-c"}
    code = code.replace("return '-'.join(result['pieces'])", "return result['pieces']")
    assert run(write(project / "passing", code, out="${work.output}")).outputs == {"out": "abc"}


def test_a_streamed_model_answer_belongs_to_the_calling_node(project: Path) -> None:
    inner = project / "outer" / "ask"
    inner.mkdir(parents=True)
    (inner / "ask.jinja2").write_text("user:\n{{ text }}", encoding="utf-8")
    (inner / "flow.dag.yaml").write_text(
        "inputs: {text: {type: string}}\noutputs: {out: {type: string, reference: '${ask.output}'}}\n"
        "nodes: [{name: ask, type: llm, api: chat, connection: openai, source: {type: code, path: ask.jinja2},"
        " inputs: {model: m, text: '${inputs.text}'}}]\n",
        encoding="utf-8",
    )
    code = "from promptflow.core import Flow, tool\n@tool\ndef work(text: str):\n    return list(Flow.load('ask')(text=text)['out'])\n"
    folder = write(project / "outer", code, out="${work.output}")
    with ModelServer(default=answer("hello there")) as server:
        line = run(folder, OPENAI_API_KEY="k", OPENAI_BASE_URL=server.base_url).line
        (request,) = server.requests
    assert request.body["stream"] is True
    assert "".join(line.outputs["out"]) == "hello there"
    assert len(line.outputs["out"]) > 1
    by_id = {span.span_id: span for span in line.spans}
    (inner_flow,) = (span for span in line.spans if span.name == "invoke_workflow ask")
    assert by_id[inner_flow.parent_id or ""].name == "work"
