"""A flow as a function: from a script, from tools of a running flow, from threads and from event loops."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_server import ModelServer, answer

from headrace.compat.exceptions import PromptflowException, UserErrorException
from headrace.config import load_settings
from headrace.domain.run import COMPLETED
from headrace.errors import HeadraceError
from headrace.operations.test_flow import TestRequest, TestResult, run_test
from headrace.operations.workspace import open_workspace
from headrace.sdk.failures import FlowDefinitionError, FlowFailedError, FlowUsageError
from headrace.sdk.flow import AsyncFlow, Flow, load_flow
from headrace.sdk.flow_context import FlowContext
from headrace.tools.connection_types import OpenAIConnection

pytestmark = pytest.mark.usefixtures("served_names")

ECHO = "import os\nfrom promptflow.core import tool\n@tool\ndef echo(text: str, n: int):\n    return f'{text}{n}'\n"


def write(folder: Path, nodes: Mapping[str, str], **more: Any) -> Path:
    """A flow of Python nodes, each with its code; every node takes ``text`` and the last one is the output."""
    folder.mkdir(parents=True, exist_ok=True)
    flow: dict[str, Any] = {
        "inputs": {"text": {"type": "string"}, "n": {"type": "int", "default": 1}},
        "outputs": {"out": {"type": "string", "reference": f"${{{list(nodes)[-1]}.output}}"}},
        "nodes": [],
    }
    for name, code in nodes.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
        inputs = {"text": "${inputs.text}"} | ({"n": "${inputs.n}"} if "n: int" in code else {})
        source = {"type": "code", "path": f"{name}.py"}
        flow["nodes"].append({"name": name, "type": "python", "source": source, "inputs": inputs})
    (folder / "flow.dag.yaml").write_text(json.dumps(flow | more), encoding="utf-8")
    return folder


def tool(body: str, *, is_async: bool = False) -> str:
    start = "async def" if is_async else "def"
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return (
        "import threading\nfrom promptflow.client import load_flow\n"
        f"from promptflow.core import AsyncFlow, tool\n@tool\n{start} call(text: str):\n{lines}"
    )


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A flow ``inner`` and the working directory beside it."""
    write(tmp_path / "inner", {"echo": ECHO})
    with chdir(tmp_path):
        yield tmp_path


def run(folder: Path, **inputs: Any) -> TestResult:
    with open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace:
        return run_test(workspace, TestRequest(flow=folder, inputs=inputs))


def outer(project: Path, body: str, *, is_async: bool = False) -> TestResult:
    """Test a flow whose only tool has ``body``; ``inner`` lies in its folder."""
    write(project / "outer" / "inner", {"echo": ECHO})
    return run(write(project / "outer", {"call": tool(body, is_async=is_async)}), text="a")


def test_a_script_calls_a_flow_like_a_function(project: Path) -> None:
    flow = load_flow("inner")
    assert (flow.name, flow.path, flow.code) == (
        "inner",
        project / "inner" / "flow.dag.yaml",
        project / "inner",
    )
    assert flow.inputs == {"text": "string", "n": "int"}
    assert flow(text="a") == {"out": "a1"}
    assert flow(text="a", n="7", unknown=1) == {"out": "a7"}
    assert flow.invoke({"text": "b"}).output == {"out": "b1"}
    assert flow.invoke({"text": "b"}).line.status == COMPLETED
    assert Flow.load(source=project / "inner" / "flow.dag.yaml")(text="c") == {"out": "c1"}


def test_the_flow_stays_the_one_it_was_when_the_working_directory_changes(project: Path) -> None:
    flow = load_flow("inner")
    with chdir(project / "inner"):
        assert flow(text="a") == {"out": "a1"}
        assert Path.cwd() == project / "inner"


def test_calls_keep_the_working_directory_and_the_environment_of_the_caller(project: Path) -> None:
    code = (
        "import os\nfrom promptflow.core import tool\nIMPORTED = os.getcwd()\n@tool\ndef where(text: str):\n"
        "    return [os.getcwd(), IMPORTED, os.environ.get('HEADRACE_TEST_SET')]\n"
    )
    write(project / "where", {"where": code}, environment_variables={"HEADRACE_TEST_SET": "x"})
    assert load_flow("where")(text="") == {"out": [str(project), str(project / "where"), None]}


def test_an_event_loop_may_call_it_and_may_await_it(project: Path) -> None:
    async def both() -> tuple[Any, Any]:
        return load_flow("inner")(text="a"), await AsyncFlow.load("inner")(text="b")

    assert asyncio.run(both()) == ({"out": "a1"}, {"out": "b1"})


def test_what_goes_wrong_can_be_caught_under_both_names(project: Path) -> None:
    write(project / "bad", {"fail": tool("raise ValueError('no')")})
    with pytest.raises(UserErrorException, match="does not exist") as missing:
        load_flow("nowhere")
    assert isinstance(missing.value, FlowDefinitionError)
    with pytest.raises(FlowDefinitionError, match="T202") as unset:
        load_flow("inner")()
    assert isinstance(unset.value, PromptflowException)
    assert "'text'" in unset.value.message
    with pytest.raises(FlowDefinitionError, match="T201"):
        load_flow("inner")(text="a", n="x")
    with pytest.raises(FlowDefinitionError, match="keyword"):
        load_flow("inner")("a")
    with pytest.raises(FlowFailedError, match="ValueError: no") as failed:
        load_flow("bad")(text="a")
    assert isinstance(failed.value, HeadraceError)
    assert isinstance(failed.value, UserErrorException)


def test_a_tool_calls_a_flow_beside_it(project: Path) -> None:
    assert outer(project, "return load_flow('inner')(text=text)").outputs == {"out": {"out": "a1"}}


def test_a_tool_calls_it_from_threads(project: Path) -> None:
    body = """
found = []
def one(i):
    found.append(load_flow('inner')(text=text, n=i)['out'])
threads = [threading.Thread(target=one, args=(i,)) for i in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
return sorted(found)"""
    assert outer(project, body).outputs == {"out": [f"a{i}" for i in range(8)]}


def test_an_asynchronous_tool_awaits_it_or_waits_for_it(project: Path) -> None:
    body = "return [(await AsyncFlow.load('inner')(text=text))['out'], load_flow('inner')(text=text, n=2)['out']]"
    assert outer(project, body, is_async=True).outputs == {"out": ["a1", "a2"]}


@pytest.mark.parametrize("is_async", [False, True])
def test_flows_that_call_flows_that_call_flows_come_to_an_end(project: Path, *, is_async: bool) -> None:
    """The calls alternate between ordinary and asynchronous tools, so that every kind of wait is nested in another."""
    folder = project
    for depth in range(5):
        is_innermost = depth == 4
        path = "next/" * (depth + 1)  # relative to the outermost flow's folder, in which all of them run
        body = "return text + '!'" if is_innermost else f"return load_flow('{path}')(text=text + '.')['out']"
        write(folder, {"call": tool(body, is_async=is_async != bool(depth % 2))})
        folder = folder / "next"
    assert run(project, text="a").outputs == {"out": "a....!"}


def test_a_file_may_call_a_flow_while_it_is_imported(project: Path) -> None:
    folder = project / "outer"
    write(folder / "inner", {"call": tool("return load_flow('../../inner')(text=text)['out']")})
    write(folder, {"call": "from promptflow.client import load_flow\nfrom promptflow.core import tool\n"
                   "ONCE = load_flow('inner')\n@tool\ndef call(text: str):\n    return ONCE(text=text)\n"})  # fmt: skip
    with chdir(folder):
        assert run(folder, text="a").line.problem is not None  # ../../inner is relative to the outer folder
    (folder / "inner" / "call.py").write_text(tool("return text * 2"), encoding="utf-8")
    assert run(folder, text="a").outputs == {"out": {"out": "aa"}}


def test_the_call_belongs_to_the_node_that_makes_it(project: Path) -> None:
    """Its model call uses the run's client, stands below the node's span, and counts as the node's."""
    folder = project / "outer"
    inner = folder / "inner"
    inner.mkdir(parents=True)
    (inner / "ask.jinja2").write_text("user:\n{{ text }}", encoding="utf-8")
    (inner / "flow.dag.yaml").write_text(
        "inputs: {text: {type: string}}\noutputs: {out: {type: string, reference: '${ask.output}'}}\n"
        "nodes: [{name: ask, type: llm, api: chat, connection: openai, source: {type: code, path: ask.jinja2},"
        " inputs: {model: m, text: '${inputs.text}'}}]\n",
        encoding="utf-8",
    )
    write(folder, {"call": tool("return load_flow('inner')(text=text)['out']")})
    with ModelServer(default=answer("hi")) as server:
        variables = {"HOME": str(project), "OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.base_url}
        with open_workspace(load_settings(variables), project) as workspace:
            line = run_test(workspace, TestRequest(flow=folder, inputs={"text": "a"})).line
    assert line.outputs == {"out": "hi"}
    assert line.usage.calls == line.nodes[0].usage.calls == 1
    spans = {span.name: span for span in line.spans}
    by_id = {span.span_id: span.name for span in line.spans}
    assert by_id[spans["invoke_workflow inner"].parent_id or ""] == "call"
    assert by_id[spans["ask"].parent_id or ""] == "invoke_workflow inner"
    assert {span.trace_id for span in line.spans} == {line.trace_id}


def test_the_context_changes_what_the_file_says(project: Path) -> None:
    flow = load_flow("inner")
    flow.context = FlowContext(overrides={"nodes.echo.inputs.n": 9, "inputs.text.default": "d"})
    assert flow() == {"out": "d9"}
    flow.context.overrides = {"nodes.echo.inputs.n": 8}
    assert flow(text="a") == {"out": "a8"}
    flow.context = FlowContext(overrides={"nodes.ecko.inputs.n": 8})
    with pytest.raises(FlowUsageError, match="ecko"):
        flow(text="a")
    flow.context = FlowContext(overrides={"nodes.echo.name.first": 8})
    with pytest.raises(FlowUsageError, match="leads nowhere"):
        flow(text="a")


def test_the_context_chooses_a_variant_and_a_connection_made_by_code(project: Path) -> None:
    folder = project / "ask"
    folder.mkdir()
    for word in ("plain", "loud"):
        (folder / f"{word}.jinja2").write_text(f"user:\n{word} {{{{ text }}}}", encoding="utf-8")
    node = "{{type: llm, api: chat, connection: none, source: {{type: code, path: {0}.jinja2}}, inputs: {{model: m, text: '${{inputs.text}}'}}}}"
    (folder / "flow.dag.yaml").write_text(
        "inputs: {text: {type: string}}\noutputs: {out: {type: string, reference: '${ask.output}'}}\n"
        "nodes: [{name: ask, use_variants: true}]\nnode_variants: {ask: {default_variant_id: plain, variants: {"
        f"plain: {{node: {node.format('plain')}}}, loud: {{node: {node.format('loud')}}}}}}}}}\n",
        encoding="utf-8",
    )
    flow = load_flow("ask")
    with pytest.raises(FlowDefinitionError, match="C501"):
        flow(text="a")
    with ModelServer(default=answer("hi")) as server:
        made = OpenAIConnection(api_key="secret-of-code", base_url=server.base_url)
        flow.context = FlowContext(connections={"ask": {"connection": made}}, variant="${ask.loud}")
        assert flow(text="a") == {"out": "hi"}
        (request,) = server.requests
    assert request.body["messages"][0]["content"] == "loud a"
    assert request.headers["authorization"] == "Bearer secret-of-code"


def test_many_threads_may_call_one_flow(project: Path) -> None:
    flow = load_flow("inner")
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda n: flow(text="a", n=n)["out"], range(40)))
    assert found == [f"a{n}" for n in range(40)]
    assert Path.cwd() == project
