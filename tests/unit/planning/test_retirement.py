from __future__ import annotations

import pytest

from headrace.planning.retirement import import_problem, line_problems, requirement_problems, tool_problem
from headrace.source import file_span

SERVED = {"promptflow": {"tool": ""}, "promptflow.core": {"tool": ""}, "promptflow._core.tool": {"tool": ""}}


def codes(text: str, suffix: str) -> list[tuple[str, int]]:
    return [(item.code, item.span.line) for item in line_problems(text, "f", suffix) if item.span]


@pytest.mark.parametrize(
    ("line", "suffix", "code"),
    [
        ("pfazure run create --file run.yml", ".sh", "M001"),
        ("        pfazure flow create --flow web", ".yml", "M001"),
        ('   "from promptflow.azure import PFClient\\n",', ".ipynb", "M002"),
        ("PF_CONNECTION_PROVIDER=azureml", ".env", "M003"),
        ("  provider: azureml://subscriptions/x", ".yaml", "M003"),
        ("connection: {provider: azureml}", ".yaml", "M003"),
        ('pf = PFClient(config={"connection.provider": "azureml://subscriptions/x"})', ".py", "M003"),
        (
            "connection: azureml://subscriptions/s/resourceGroups/g/workspaces/w/connections/c",
            ".yaml",
            "M003",
        ),
        ("FROM mcr.microsoft.com/azureml/promptflow/promptflow-runtime-stable:latest", "", "M005"),
        ("image: mcr.microsoft.com/azureml/promptflow/promptflow-python", ".yaml", "M005"),
        ("      run: pf run create --flow . --data d.jsonl", ".yml", "M008"),
    ],
)
def test_a_line_that_shows_dependence(line: str, suffix: str, code: str) -> None:
    assert codes("first\n" + line, suffix) == [(code, 2)]


@pytest.mark.parametrize(
    ("line", "suffix"),
    [
        ("# pfazure run create", ".sh"),
        ("pfazure run create", ".md"),
        ("cp pf flow", ".txt"),
        ("connection.provider: local", ".yaml"),
        ("  provider: azure", ".yaml"),
        ("provider: azureml", ".yaml"),
        ("runtime: automatic", ".yaml"),
        ("echo /opt/pf flow", ".sh"),
        ("data: azureml:my_data:1", ".yaml"),
    ],
)
def test_a_line_that_shows_none(line: str, suffix: str) -> None:
    assert codes(line, suffix) == []


def test_keys_of_a_run_file_count_in_run_files_only() -> None:
    text = "flow: ../web\ndata: azureml:lines:3\nresources:\n  instance_type: Standard_D2\n"
    assert codes(text, ".yaml") == [("M004", 2), ("M004", 3)]
    assert codes("flow: azureml:triage:1\nrun: azureml:nightly\n", ".yaml") == [("M004", 1), ("M004", 2)]


def test_requirements() -> None:
    text = "# promptflow\npromptflow[azure]>=1.8\nPromptflow_Tools\npromptflow-vectordb\npromptflower\n"
    found = [(item.code, item.span.line) for item in requirement_problems(text, "r.txt") if item.span]
    assert found == [("M009", 2), ("M009", 3), ("M002", 4)]


@pytest.mark.parametrize(
    ("module", "names", "expected"),
    [
        ("promptflow.core", ("tool",), None),
        ("promptflow", ("core",), None),
        ("promptflow.core", (), None),
        ("promptflow.core", ("*",), None),
        ("promptflow._core.tool", ("tool",), ("M006", "warning")),
        ("promptflow.core", ("tool", "nothing"), ("M006", "error")),
        ("promptflow.nowhere", (), ("M006", "error")),
        ("promptflow.azure._load", ("x",), ("M002", "error")),
    ],
)
def test_imports(module: str, names: tuple[str, ...], expected: tuple[str, str] | None) -> None:
    found = import_problem(module, names, file_span("f.py"), SERVED)
    assert (found and (found.code, found.severity)) == expected


def test_tools_of_the_service() -> None:
    place = file_span("flow.dag.yaml")
    found = tool_problem(
        "promptflow_vectordb.tool.vector_index_lookup.VectorIndexLookup.search", "find", place
    )
    assert found is not None
    assert (found.code, found.span) == ("M007", place)
    assert tool_problem("promptflow_vectordbs.tool", "find", place) is None
    assert tool_problem("promptflow.tools.embedding.embedding", "find", place) is None
