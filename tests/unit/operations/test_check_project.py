from __future__ import annotations

import json
from pathlib import Path

import pytest

from headrace.cli.main import run_command_line
from headrace.cli.session import Session
from headrace.config import load_settings
from headrace.domain.project import FlowReport, ProjectReport
from headrace.errors import ExitCode, UsageError
from headrace.formats.code_files import distribution_of
from headrace.operations.check_project import check_project
from headrace.operations.project_needs import is_installed
from headrace.operations.workspace import open_workspace

GOOD = "nodes:\n- {name: a, type: python, source: {type: code, path: a.py}, inputs: {}}\n"
TOOL = "from promptflow.core import tool\n\n@tool\ndef a():\n    return 1\n"


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


def check(folder: Path, *, loads_code: bool = False, **variables: str) -> ProjectReport:
    with open_workspace(load_settings({"HOME": str(folder), **variables}), folder) as workspace:
        return check_project(workspace, folder, loads_code=loads_code)


def only(report: ProjectReport) -> FlowReport:
    (flow,) = report.flows
    return flow


def unmet(flow: FlowReport) -> dict[str, str]:
    return {need.name: need.kind for need in flow.needs if not need.is_met}


def test_every_flow_is_found_once_and_committed_runs_are_left_out(tmp_path: Path) -> None:
    files = {
        "a/flow.dag.yaml": GOOD,
        "a/a.py": TOOL,
        "a/.runs/x/flow.dag.yaml": GOOD,
        "venv/pyvenv.cfg": "",
        "venv/flow.dag.yaml": GOOD,
        "both/flow.dag.yaml": GOOD,
        "both/flow.dag.yml": GOOD,
        "both/a.py": TOOL,
        "node_modules/flow.dag.yaml": GOOD,
    }
    report = check(write(tmp_path, files))
    assert [flow.path for flow in report.flows] == ["a", "both/flow.dag.yaml", "both/flow.dag.yml"]


def test_a_flow_needs_what_its_code_imports_wherever_it_lies(tmp_path: Path) -> None:
    tool = "import os, json, beside\nfrom bs4 import BeautifulSoup\nimport azure.search.documents\n" + TOOL
    files = {
        "flow.dag.yaml": GOOD,
        "a.py": tool,
        "beside.py": "import no_such_package.part\ntry:\n    import no_such_extra\nexcept ImportError: ...\n",
    }
    flow = only(check(write(tmp_path, files)))
    assert unmet(flow) == {
        "beautifulsoup4": "package",
        "azure-search-documents": "package",
        "no-such-package": "package",
    }
    (need,) = [need for need in flow.needs if need.name == "no-such-package"]
    assert need.span is not None
    assert (Path(need.span.file).name, need.span.line) == ("beside.py", 1)
    assert flow.state == "needs setup"


def test_connections_of_nodes_and_of_annotated_parameters(tmp_path: Path) -> None:
    flow_file = """
environment_variables: {KEY: "${store.token}"}
nodes:
- {name: a, type: python, source: {type: code, path: a.py}, inputs: {conn: my_store, text: plain}}
- {name: m, type: llm, source: {type: code, path: m.jinja2}, connection: my_model, api: chat, inputs: {}}
- {name: e, type: python, source: {type: package, tool: promptflow.tools.embedding.embedding},
   inputs: {connection: baseline, input: x}}
"""
    tool = TOOL.replace("def a():", "def a(conn: CustomConnection, text: str):")
    flow = only(check(write(tmp_path, {"flow.dag.yaml": flow_file, "a.py": tool, "m.jinja2": "user:\nhi"})))
    assert unmet(flow) == {"my_model": "connection", "my_store": "connection", "store": "connection"}
    assert {need.name for need in flow.needs if need.is_met} == {"baseline"}
    notes = {need.name: need.note for need in flow.needs}
    assert notes["my_store"].startswith("CustomConnection: ")


def test_a_node_that_names_no_connection_is_a_mistake_whatever_else_is_to_be_set_up(tmp_path: Path) -> None:
    flow_file = """
nodes:
- {name: m, type: llm, source: {type: code, path: m.jinja2}, connection: my_model, api: chat, inputs: {}}
- {name: n, type: llm, source: {type: code, path: m.jinja2}, connection: "", api: chat, inputs: {}}
"""
    flow = only(
        check(write(tmp_path, {"flow.dag.yaml": flow_file, "m.jinja2": "user:\nhi"}), loads_code=True)
    )
    assert unmet(flow) == {"my_model": "connection"}
    assert [(problem.code, "'n'" in problem.what) for problem in flow.problems] == [("C501", True)]


def test_variables_count_as_there_when_the_process_the_flow_or_a_file_that_is_loaded_has_them(
    tmp_path: Path,
) -> None:
    names = ("IN_PROCESS", "IN_FLOW", "IN_FILE", "NOWHERE")
    tool = "import os\n" + "".join(f'os.environ["{name}"]\n' for name in names) + TOOL
    files = {
        "flow.dag.yaml": "environment_variables: {IN_FLOW: x}\n" + GOOD,
        "a.py": tool,
        ".env": "IN_FILE=1\n",
    }
    flow = only(check(write(tmp_path, files), IN_PROCESS="1"))
    assert unmet(flow) == {"IN_FILE": "variable", "NOWHERE": "variable"}
    notes = {need.name: need.note for need in flow.needs}
    assert notes["IN_FILE"].endswith(".env, which is not read by itself: --environment-variables .env")
    assert notes["NOWHERE"] == "export NOWHERE=…, or --environment-variables NOWHERE=…"
    files["a.py"] = f"from dotenv import load_dotenv\n{tool}"
    assert "IN_FILE" not in unmet(only(check(write(tmp_path, files), IN_PROCESS="1")))


def test_loading_finds_what_reading_cannot(tmp_path: Path) -> None:
    files = {
        "fails/flow.dag.yaml": GOOD,
        "fails/a.py": TOOL + "\nraise ValueError('no')\n",
        "leaves/flow.dag.yaml": GOOD,
        "leaves/a.py": "import os\nprint('{}')\nos._exit(7)\n",
        "lacks/flow.dag.yaml": GOOD,
        "lacks/a.py": "import no_such_package\n" + TOOL,
        "runs/flow.dag.yaml": GOOD,
        "runs/a.py": "print('a line')\n" + TOOL,
    }
    flows = {flow.path: flow for flow in check(write(tmp_path, files), loads_code=True).flows}
    assert {path: flow.state for path, flow in flows.items()} == {
        "fails": "does not run",
        "lacks": "needs setup",
        "leaves": "does not run",
        "runs": "runs",
    }
    assert [problem.code for problem in flows["fails"].problems] == ["T206"]
    assert "code 7" in flows["leaves"].problems[0].what
    assert flows["lacks"].problems == ()


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="F001"):
        check(tmp_path / "none")


@pytest.mark.parametrize(
    ("module", "distribution"),
    [("yaml", "PyYAML"), ("azure.identity", "azure-identity"), ("azure.ai.inference", "azure-ai-inference"),
     ("google.cloud.storage", "google-cloud-storage"), ("semantic_kernel.functions", "semantic-kernel")],
)  # fmt: skip
def test_distributions(module: str, distribution: str) -> None:
    assert distribution_of(module) == distribution


def test_installed_modules_are_told_without_importing_them() -> None:
    assert is_installed("jinja2.sandbox")
    assert not is_installed("azure.no_such_part.at_all")
    assert not is_installed("no_such_package")


def doctor(folder: Path, *options: str) -> int:
    return run_command_line(["doctor", ".", "--no-load", *options], Session(folder, {"HOME": str(folder)}))


def test_the_command_says_it_in_three_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        "flow.dag.yaml": GOOD,
        "a.py": "import no_such_package\n" + TOOL,
        "run.sh": "pfazure run create\n",
        "broken/flow.dag.yaml": "nodes: 3\n",
    }
    monkeypatch.chdir(write(tmp_path, files))
    assert doctor(tmp_path) == ExitCode.DEFINITION
    text = capsys.readouterr().out
    assert "2 flows: 1 needs setup, 1 does not run." in text
    assert "package no-such-package: pip install no-such-package  (a.py:1:1)" in text
    assert "run.sh:1:1: warning[M001 cloud-command]" in text
    doctor(tmp_path, "-o", "github")
    assert "::warning file=run.sh,line=1" in capsys.readouterr().out
    doctor(tmp_path, "-o", "json")
    data = json.loads(capsys.readouterr().out)
    assert [flow["state"] for flow in data["flows"]] == ["does not run", "needs setup"]
    assert [problem["code"] for problem in data["problems"]] == ["M001"]


def test_the_exit_code_tells_a_project_that_runs_from_one_to_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(tmp_path, {"flow.dag.yaml": GOOD, "a.py": TOOL}))
    assert doctor(tmp_path) == ExitCode.OK
    write(tmp_path, {"a.py": "import no_such_package\n" + TOOL})
    assert doctor(tmp_path) == ExitCode.FAILED
