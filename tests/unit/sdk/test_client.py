"""PFClient, Run and load_run as scripts use them. Frames and attributes were observed at stock promptflow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from headrace.compat.exception_families import exception_family
from headrace.compat.exceptions import SystemErrorException, UserErrorException
from headrace.domain.run import FAILED, RunSpec
from headrace.errors import HeadraceError, Problem
from headrace.sdk.client import PFClient, load_run
from headrace.sdk.connections import load_connection
from headrace.sdk.run import Run, run_name
from headrace.tools.connection_types import CustomConnection, CustomStrongTypeConnection, OpenAIConnection
from headrace.tools.value_types import Secret

pytestmark = pytest.mark.usefixtures("served_names")

ERRORS = exception_family("promptflow._sdk._errors")
FILES = {
    "double/flow.dag.yaml": """\
inputs:
  x: {type: int, default: 1}
  t: {type: string}
outputs:
  r: {type: int, reference: "${n.output}"}
  s: {type: string, reference: "${inputs.t}"}
nodes:
- {name: n, type: python, source: {type: code, path: n.py}, inputs: {x: "${inputs.x}"}}
""",
    "double/n.py": """\
import os
from promptflow.core import tool
@tool
def n(x: int):
    if x == 13: raise ValueError("bad luck")
    return x * 2 + int(os.environ.get("ADD", 0))
""",
    "judge/flow.dag.yaml": """\
inputs: {a: {type: int}, b: {type: int}}
outputs: {ok: {type: bool, reference: "${c.output}"}}
nodes:
- {name: c, type: python, source: {type: code, path: c.py}, inputs: {a: "${inputs.a}", b: "${inputs.b}"}}
- {name: g, type: python, aggregation: true, source: {type: code, path: g.py}, inputs: {l: "${c.output}"}}
""",
    "judge/c.py": "from promptflow.core import tool\n@tool\ndef c(a: int, b: int): return a == b\n",
    "judge/g.py": """\
from promptflow.core import log_metric, tool
@tool
def g(l: list):
    log_metric("accuracy", sum(l) / len(l))
""",
    "data.jsonl": """\
{"x": 1, "t": "a", "truth": 2}
{"x": 13, "t": "b", "truth": 1}
{"x": 3, "t": "c", "truth": 7}
""",
    "run.yaml": """\
flow: double
data: data.jsonl
column_mapping: {x: "${data.x}", t: "${data.t}"}
display_name: from a file
""",
}
MAPPING = {"x": "${data.x}", "t": "${data.t}"}


@pytest.fixture
def client(tmp_path: Path) -> Iterator[PFClient]:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
    (tmp_path / ".headrace").mkdir()
    with chdir(tmp_path):
        yield PFClient()


def make(client: PFClient, **more: Any) -> Run:
    return client.run(flow="double", data="data.jsonl", column_mapping=MAPPING, **more)


def test_a_flow_is_tried(client: PFClient, tmp_path: Path) -> None:
    assert client.test("double", inputs={"t": "q"}) == {"r": 2, "s": "q"}
    assert client.test(flow="double", inputs={"x": 4}, node="n") == 8
    variables = {"ADD": 100}
    assert client.flows.test("double", inputs={"t": "q"}, environment_variables=variables)["r"] == 102
    (tmp_path / "in.json").write_text('{"t": "j"}', "utf-8")
    assert client.test("double", inputs="in.json")["s"] == "j"
    assert client.test("double", inputs=tmp_path / "data.jsonl")["s"] == "a"


def test_runs_are_written_where_the_settings_say(client: PFClient, tmp_path: Path) -> None:
    (tmp_path / "pf.yaml").write_text("run: {output_path: '${flow_directory}/.runs'}", "utf-8")
    near = make(client, name="near")
    outputs = "flow_outputs/output.jsonl"
    assert (tmp_path / "double" / ".runs" / "near" / outputs).exists()
    assert near.properties["output_path"] == str(tmp_path / "double" / ".runs" / "near")
    given = PFClient(config={"run.output_path": str(tmp_path / "all")})
    make(given, name="far")
    assert (tmp_path / "all" / "far" / outputs).exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"flow": "double", "inputs": {"x": 13, "t": "q"}}, "ValueError: bad luck"),
        ({"flow": "double"}, "'t' has no value"),
        ({"flow": "nowhere"}, "nowhere does not exist"),
        ({"flow": "double", "inputs": {}, "node": "m"}, "'m'"),
        ({"flow": "double", "inputs": "double/n.json"}, "n.json"),
    ],
)
def test_a_try_that_fails_can_be_caught_by_both_names(
    client: PFClient, arguments: dict[str, Any], words: str, tmp_path: Path
) -> None:
    (tmp_path / "double" / "n.json").write_text("[1", "utf-8")
    with pytest.raises(UserErrorException) as caught:
        client.test(**arguments)
    assert isinstance(caught.value, HeadraceError)
    assert words in str(caught.value)


def test_a_run_has_what_scripts_read(client: PFClient, tmp_path: Path) -> None:
    run = make(
        client, name="first", display_name="shown ${variant_id}", tags={"team": "x"}, properties={"own": 1}
    )
    assert (run.name, run.status, run.display_name, run.tags) == (
        "first",
        "Completed",
        "shown variant_0",
        {"team": "x"},
    )
    assert (run.flow, run.data, run.column_mapping) == (
        tmp_path / "double",
        str(tmp_path / "data.jsonl"),
        MAPPING,
    )
    assert (run.run, run.variant, run.description, run.init, run._resume_from, run._run_source) == (
        None, None, None, None, None, "local",
    )  # fmt: skip
    folder = tmp_path / ".headrace" / "runs" / "first"
    assert not folder.exists()
    assert run.properties["output_path"] == str(folder)
    assert run.properties["own"] == 1
    assert run.properties["system_metrics"]["total_tokens"] == 0
    written = (folder / "flow_outputs" / "output.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line)["r"] for line in written] == [2, 6]
    assert run._output_path == folder
    assert run._end_time is not None
    assert run._start_time is not None
    assert run.created_on == run._start_time.isoformat()
    assert "status: Completed" in str(run)
    assert run._to_dict()["output"] == f"{folder}/flow_outputs"
    assert "properties" not in run._to_dict(exclude_properties=True)


def test_details_are_a_frame_as_stock_makes_it(client: PFClient) -> None:
    run = make(client, name="first")
    frame = client.get_details(run)
    assert list(frame.columns) == ["inputs.t", "inputs.x", "inputs.line_number", "outputs.r", "outputs.s"]
    assert frame.to_dict(orient="list") == {
        "inputs.t": ["a", "b", "c"],
        "inputs.x": [1, 13, 3],
        "inputs.line_number": [0, 1, 2],
        "outputs.r": [2.0, "(Failed)", 6.0],
        "outputs.s": ["a", "(Failed)", "c"],
    }
    assert client.get_details("first", max_results=1).shape == (1, 5)
    assert client.runs.get_details("first", max_results=1, all_results=True).shape == (3, 5)
    assert client.runs._get_outputs(run) == [
        {"line_number": 0, "r": 2, "s": "a"},
        {"line_number": 2, "r": 6, "s": "c"},
    ]
    assert client.runs._get_inputs("first")[1] == {"x": 13, "t": "b", "line_number": 1}


def test_an_evaluation_reads_a_run_given_itself_or_by_name(client: PFClient) -> None:
    base = make(client, name="base")
    mapping = {"a": "${data.truth}", "b": "${run.outputs.r}"}
    for given in (base, "base"):
        judged = client.run(flow="judge", data="data.jsonl", run=given, column_mapping=mapping)
        assert client.get_metrics(judged) == {"accuracy": 0.5}
        assert judged.run == "base"
        assert judged.name is not None
        assert judged.name.startswith("judge_variant_0_")
    assert client.get_details(judged).to_dict("list")["outputs.ok"] == [True, False]


def test_a_run_is_gone_on_with(client: PFClient) -> None:
    make(client, name="base", environment_variables={"ADD": "7"})
    again = client.run(resume_from="base", name="again")
    assert again.properties["resume_from"] == "base"
    assert list(client.get_details(again)["outputs.r"]) == [9.0, "(Failed)", 13.0]


def test_runs_are_listed_changed_and_deleted(client: PFClient) -> None:
    for name in ("one", "two", "three"):
        make(client, name=name)
    assert [run.name for run in client.runs.list(max_results=2)] == ["three", "two"]
    changed = client.runs.update("one", display_name="new", description="d", tags={"a": "b"})
    assert (changed.display_name, changed.description, changed.tags) == ("new", "d", {"a": "b"})
    client.runs.archive(changed)
    assert [run.name for run in client.runs.list()] == ["three", "two"]
    assert [run.name for run in client.runs.list(list_view_type="ArchivedOnly")] == ["one"]
    assert len(client.runs.list(list_view_type="All")) == 3
    client.runs.restore("one")
    client.runs.delete("two")
    assert [run.name for run in client.runs.list()] == ["three", "one"]


def test_what_is_not_there_is_said_by_stocks_exceptions(client: PFClient) -> None:
    make(client, name="one")
    missing = ERRORS["RunNotFoundError"]
    calls: list[Any] = [client.runs.get, client.runs.archive, client.runs.restore, client.runs.delete, client.runs.update,
                        client.get_details, client.get_metrics, client.stream, client.visualize]  # fmt: skip
    for call in calls:
        with pytest.raises(missing, match='no run named "none"'):
            call("none")
    with pytest.raises(ERRORS["RunExistsError"], match="exists already"):
        make(client, name="one")
    with pytest.raises(ERRORS["InvalidFlowError"], match="variant"):
        make(client, variant="${n.other}")
    with pytest.raises(missing):
        client.run(flow="judge", run="none", column_mapping={"a": "${run.outputs.r}", "b": 1})
    with pytest.raises(UserErrorException, match="'q'"):
        client.run(flow="double", data="data.jsonl", column_mapping={"t": "${data.q}"})


def test_what_cannot_be_asked_for(client: PFClient) -> None:
    with pytest.raises(ValueError, match="at least one of data or run"):
        client.run(flow="double")
    with pytest.raises(FileNotFoundError, match=r"nope\.jsonl does not exist"):
        client.run(flow="double", data="nope.jsonl")
    with pytest.raises(ValueError, match="not supported together with: flow, data"):
        client.run(resume_from="x", flow="double", data="data.jsonl")
    with pytest.raises(UserErrorException, match=r"connection\.provider"):
        PFClient(config={"connection.provider": "azureml://x"})
    with pytest.raises(TypeError, match="not as a int"):
        run_name(5)


def test_a_run_is_shown_while_it_goes_and_afterwards(
    client: PFClient, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make(client, name="one", stream=True)
    going = capsys.readouterr().out
    assert "Line 1: Failed\n" in going
    assert 'Run name: "one"\nRun status: "Completed"\n' in going
    assert client.stream(run).name == "one"
    assert "Line 1: Failed. " in capsys.readouterr().out
    client.visualize([run])
    page = Path(capsys.readouterr().out.split("'")[1])
    assert "bad luck" in page.read_text("utf-8")


def test_a_run_that_failed_as_a_whole_is_an_error_to_stream(client: PFClient) -> None:
    workspace = client._workspace
    spec = RunSpec(name="ends", flow_path="double", flow_name="double", flow_digest="0")
    workspace.store.create_run(spec, n_lines=1, created_at=workspace.now())
    problem = Problem(code="E608", what="The run was interrupted.")
    workspace.store.finish_run(
        "ends", status=FAILED, finished_at=workspace.now(), metrics={}, problem=problem
    )
    with pytest.raises(ERRORS["InvalidRunStatusError"], match="was interrupted"):
        client.stream("ends")
    assert client.stream("ends", raise_on_error=False).name == "ends"


def test_run_files(client: PFClient, tmp_path: Path) -> None:
    with chdir(tmp_path.parent):
        described = load_run(tmp_path / "run.yaml", params_override=[{"name": "named"}, {"tags": {"a": "b"}}])
    assert (described.name, described.status, described.display_name) == (
        "named",
        "NotStarted",
        "from a file",
    )
    assert (described.flow, described.data) == (tmp_path / "double", str(tmp_path / "data.jsonl"))
    assert described._to_dict()["tags"] == {"a": "b"}
    assert (described.properties, described.created_on, described._output_path, described._end_time) == (
        {},
        None,
        None,
        None,
    )
    made = client.runs.create_or_update(described)
    assert (made.name, made.status) == ("named", "Completed")
    other = client.runs.create_or_update(Run(flow="double", data="data.jsonl", column_mapping=MAPPING))
    assert other.name is not None
    assert other.name.startswith("double_variant_0_")
    with pytest.raises(UserErrorException):
        load_run("none.yaml")
    with pytest.raises(UserErrorException, match="no such property"):
        load_run("run.yaml", params_override=[{"colour": "red"}])


def test_a_client_works_where_an_event_loop_runs(client: PFClient) -> None:
    async def in_a_notebook() -> tuple[Any, Run]:
        return client.test("double", inputs={"t": "q"}), make(client, name="one")

    outputs, run = asyncio.run(in_a_notebook())
    assert (outputs["r"], run.status) == (2, "Completed")


class Own(CustomStrongTypeConnection):
    key: Secret
    url: str


def test_connections_are_kept_and_found(client: PFClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    made = client.connections.create_or_update(
        CustomConnection(name="store", configs={"url": "u", "port": 5}, secrets={"token": "t"})
    )
    assert (made.name, made.configs, made.secrets) == ("store", {"url": "u", "port": "5"}, {"token": "t"})
    assert "token: '******'" in str(made)
    client.connections.create_or_update(OpenAIConnection(name="oai", api_key="k", base_url="http://h"))
    found = client.connections.get("oai", with_secrets=True)
    assert isinstance(found, OpenAIConnection)
    assert (found.api_key, found.base_url) == ("k", "http://h")
    own = client.connections.create_or_update(Own(name="own", secrets={"key": "s"}, configs={"url": "u"}))
    assert own.configs["promptflow.connection.custom_type"] == "Own"
    assert [item.name for item in client.connections.list()] == ["oai", "own", "store"]
    assert len(client.connections.list(max_results=1)) == 1
    client.connections.delete("oai")
    client.connections.delete("oai")
    with pytest.raises(ERRORS["ConnectionNotFoundError"], match='no connection "oai"'):
        client.connections.get("oai")
    with pytest.raises(ERRORS["ConnectionNameNotSetError"], match="Name is required"):
        client.connections.create_or_update(CustomConnection(secrets={"a": "b"}))
    with pytest.raises(UserErrorException, match="cannot be the name"):
        client.connections.create_or_update(CustomConnection(name="../x", secrets={"a": "b"}))


def test_connection_files(client: PFClient, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("name: n\ntype: open_ai\napi_key: '${env:NOT_SET}'\n", "utf-8")
    loaded = load_connection("c.yaml")
    assert (loaded.name, loaded.secrets) == ("n", {"api_key": None})
    client.connections.create_or_update(load_connection_with("c.yaml", api_key="k"))
    assert client.connections.get("n").secrets == {"api_key": "k"}
    with pytest.raises(UserErrorException):
        load_connection("none.yaml")


def load_connection_with(file: str, **fields: str) -> Any:
    made = load_connection(file)
    made.secrets.update(fields)
    return made


def test_a_flow_is_checked(client: PFClient, tmp_path: Path) -> None:
    good = client.flows.validate("double")
    assert (good.passed, good.error_messages, repr(good)) == (True, {}, '{\n  "result": "Succeeded"\n}')
    (tmp_path / "double" / "n.py").unlink()
    bad = client.flows.validate("double")
    assert not bad.passed
    assert "nodes" in next(iter(bad.error_messages))
    assert '"result": "Failed"' in repr(bad)
    with pytest.raises(UserErrorException):
        client.flows.validate("double", raise_error=True)


def saved_by_the_client(text: str) -> str:
    return text


def test_a_function_is_saved_as_a_flow(client: PFClient, tmp_path: Path) -> None:
    client.flows.save(entry=saved_by_the_client, path=tmp_path / "one")
    assert "entry: test_client:saved_by_the_client" in (tmp_path / "one" / "flow.flex.yaml").read_text()
    client.flows.save(entry="test_client:saved_by_the_client", code=tmp_path / "one", path=tmp_path / "two")
    assert (tmp_path / "two" / "test_client.py").exists()
    for arguments in ({"entry": "a:b"}, {"entry": saved_by_the_client, "code": "."}):
        with pytest.raises(UserErrorException):
            client.flows.save(**arguments)


def test_a_store_that_cannot_be_opened_is_a_system_error(client: PFClient, tmp_path: Path) -> None:
    (tmp_path / ".headrace" / "headrace.sqlite").write_text("no database" * 200, "utf-8")
    with pytest.raises(SystemErrorException):
        client.runs.list()
