"""Which model a node or a prompty asks has to be said where its service reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.support.tool_nodes import serving_names

from headrace.config import load_settings
from headrace.domain.variant import Arm, ModelSpec, Variant
from headrace.errors import DefinitionError, Problem
from headrace.operations.check_flow import check_flow
from headrace.operations.prepare_flow import loaded_flow
from headrace.operations.workspace import Workspace, open_workspace

CONNECTIONS = {
    "azure": "type: azure_open_ai\napi_base: https://a.example\napi_key: k\n",
    "openai": "type: open_ai\napi_key: k\n",
    "serverless": "type: serverless\napi_base: https://s.example\napi_key: k\n",
}
NODE = "{name: ask, type: llm, api: %s, connection: %s, source: {type: code, path: ask.jinja2}, inputs: {%s}}"
PACKAGE = "{name: ask, type: custom_llm, source: {type: package_with_prompt, tool: %s, path: ask.jinja2}, inputs: {%s}}"
LLM, VISION = "promptflow.tools.llm.llm", "promptflow.tools.llm_vision.llm_vision"
EMBED = (
    "{name: ask, type: python, source: {type: package, tool: promptflow.tools.embedding.embedding}, "
    "inputs: {input: x, %s}}"
)
EMPTY = "asked with an empty name"


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    folder = tmp_path / ".headrace" / "connections"
    folder.mkdir(parents=True)
    for name, text in CONNECTIONS.items():
        (folder / f"{name}.yaml").write_text(text)
    settings = load_settings({"HOME": str(tmp_path)})
    with serving_names(tmp_path), open_workspace(settings, tmp_path) as opened:
        yield opened


def write_flow(folder: Path, text: str) -> Path:
    (folder / "ask.jinja2").write_text("user:\nhello\n")
    (folder / "flow.dag.yaml").write_text(text)
    return folder / "flow.dag.yaml"


def write_prompty(
    folder: Path, configuration: str, parameters: str = "{}", text: str = "user:\nhello\n"
) -> Path:
    file = folder / "ask.prompty"
    head = f"---\nmodel:\n  configuration: {{{configuration}}}\n  parameters: {parameters}\n---\n"
    file.write_text(head + text)
    return file


def place(problem: Problem) -> tuple[str, str, int, int]:
    assert problem.span is not None
    return problem.code, problem.severity, problem.span.line, problem.span.column


def warnings(workspace: Workspace, file: Path, arm: Arm | None = None, **overrides: str) -> list[Problem]:
    """What running says, with fields of the node ``ask`` overridden."""
    named = {f"ask.{field}": value for field, value in overrides.items()}
    with loaded_flow(workspace, file, arm=arm, overrides=named) as loaded:
        return list(loaded.warnings)


@pytest.mark.parametrize(
    ("node", "severity", "key", "effect", "fix"),
    [
        (NODE % ("chat", "openai", "deployment_name: gpt"), "warning", "deployment_name", EMPTY, "Write model instead"),
        (NODE % ("completion", "openai", "deployment_name: gpt"), "warning", "deployment_name",
         "for text-davinci-003", "Write model instead"),
        (NODE % ("chat", "serverless", "deployment_name: gpt"), "warning", "deployment_name", EMPTY, "Write model"),
        (NODE % ("chat", "azure", "model: gpt"), "error", "model", "fails without it", "Write deployment_name instead"),
        (PACKAGE % (LLM, "connection: openai, deployment_name: d"), "warning", "deployment_name", EMPTY, "Write model"),
        (PACKAGE % (LLM, "connection: azure, model: m"), "warning", "model", EMPTY, "Write deployment_name"),
        (PACKAGE % (LLM, "connection: openai, api: completion, deployment_name: d"), "warning", "deployment_name",
         EMPTY, "Write model"),
        (PACKAGE % (VISION, "connection: azure, model: m"), "warning", "model", EMPTY, "Write deployment_name"),
        (EMBED % "connection: openai, deployment_name: d", "warning", "deployment_name",
         "for text-embedding-ada-002", "Write model"),
        (EMBED % "connection: azure, model: m", "warning", "model", EMPTY, "Write deployment_name"),
    ],
)  # fmt: skip
def test_a_name_under_the_wrong_key_is_found_at_the_key(
    workspace: Workspace, tmp_path: Path, node: str, severity: str, key: str, effect: str, fix: str
) -> None:
    (problem,) = check_flow(workspace, write_flow(tmp_path, f"nodes:\n- {node}\n"))
    assert place(problem) == ("T205", severity, 2, 3 + node.index(f"{key}:"))
    assert effect in problem.what
    assert fix in (problem.fix or "")


@pytest.mark.parametrize(
    ("node", "severity", "fix"),
    [
        (NODE % ("chat", "openai", ""), "warning", "Add model"),
        (NODE % ("chat", "openai", 'model: ""'), "warning", "Add model"),
        (NODE % ("chat", "azure", 'deployment_name: ""'), "error", "Add deployment_name"),
        (NODE % ("completion", "azure", ""), "error", "Add deployment_name"),
        (PACKAGE % (LLM, "connection: openai, api: completion"), "warning", "Add model"),
        (PACKAGE % (LLM, "connection: azure"), "warning", "Add deployment_name"),
        (EMBED % "connection: azure", "warning", "Add deployment_name"),
    ],
)
def test_a_name_that_is_nowhere_is_missed(
    workspace: Workspace, tmp_path: Path, node: str, severity: str, fix: str
) -> None:
    (problem,) = check_flow(workspace, write_flow(tmp_path, f"nodes:\n- {node}\n"))
    assert (problem.code, problem.severity, problem.span and problem.span.line) == ("T205", severity, 2)
    assert fix in (problem.fix or "")


@pytest.mark.parametrize(
    "node",
    [
        NODE % ("chat", "openai", "model: gpt, deployment_name: gpt"),
        NODE % ("chat", "azure", "model: gpt, deployment_name: gpt"),
        NODE % ("chat", "openai", 'model: "${inputs.model}"'),
        NODE % ("completion", "openai", ""),
        NODE % ("chat", "serverless", ""),
        NODE % ("chat", "serverless", 'deployment_name: ""'),
        NODE % ("chat", "baseline", "deployment_name: gpt"),
        PACKAGE % (LLM, "connection: baseline, deployment_name: gpt"),
        EMBED % "connection: openai",
    ],
)
def test_a_name_that_is_read_or_not_needed_is_not_missed(
    workspace: Workspace, tmp_path: Path, node: str
) -> None:
    file = write_flow(tmp_path, f"inputs:\n  model: {{type: string}}\nnodes:\n- {node}\n")
    assert check_flow(workspace, file) == ()


def test_running_warns_of_what_it_runs_and_of_nothing_else(workspace: Workspace, tmp_path: Path) -> None:
    file = write_flow(tmp_path, f"nodes:\n- {NODE % ('chat', 'openai', 'deployment_name: gpt')}\n")
    assert [place(item)[:3] for item in warnings(workspace, file)] == [("T205", "warning", 2)]
    for connection in ("openai", "azure"):
        model = ModelSpec(name="m", connection=connection, model="gpt")
        assert warnings(workspace, file, Arm(name="m", model=model)) == []
    assert warnings(workspace, file, connection="azure") == []


def test_an_override_of_the_connection_needs_the_name_that_it_reads(
    workspace: Workspace, tmp_path: Path
) -> None:
    file = write_flow(tmp_path, f"nodes:\n- {NODE % ('chat', 'azure', 'deployment_name: gpt')}\n")
    assert [item.code for item in warnings(workspace, file, connection="openai")] == ["T205"]
    assert warnings(workspace, file, connection="openai", model="gpt") == []


def test_every_variant_is_looked_at_and_the_chosen_one_runs(workspace: Workspace, tmp_path: Path) -> None:
    sound, other = (NODE % ("chat", "openai", inputs) for inputs in ("model: gpt", "deployment_name: gpt"))
    variants = (
        f"    default_variant_id: a\n    variants:\n      a: {{node: {sound}}}\n      b: {{node: {other}}}\n"
    )
    file = write_flow(
        tmp_path, f"nodes:\n- {{name: ask, use_variants: true}}\nnode_variants:\n  ask:\n{variants}"
    )
    assert [place(item)[:3] for item in check_flow(workspace, file)] == [("T205", "warning", 8)]
    assert warnings(workspace, file) == []
    chosen = Arm(name="b", variant=Variant(name="b", choices={"ask": "b"}))
    assert [item.code for item in warnings(workspace, file, chosen)] == ["T205"]


AZURE = 'type: azure_openai, api_key: k, azure_endpoint: "https://a.example"'
OPENAI = "type: openai, api_key: k"


@pytest.mark.parametrize(
    ("configuration", "severity", "fix"),
    [
        (OPENAI, "warning", "Add model."),
        ("connection: openai", "warning", "Add model."),
        (f'{OPENAI}, model: ""', "warning", "Add model."),
        (AZURE, "error", "Add azure_deployment."),
        ("connection: azure", "error", "Add azure_deployment."),
    ],
)
def test_a_prompty_has_to_name_a_model(
    workspace: Workspace, tmp_path: Path, configuration: str, severity: str, fix: str
) -> None:
    file = write_prompty(tmp_path, configuration)
    (problem,) = check_flow(workspace, file)
    assert place(problem) == ("F006", severity, 3, 18)
    assert problem.fix == fix
    if severity == "warning":
        assert warnings(workspace, file) == [problem]
    else:
        with pytest.raises(DefinitionError) as caught:
            warnings(workspace, file)
        assert caught.value.problems == (problem,)
    model = ModelSpec(name="m", connection="openai", model="gpt")
    assert warnings(workspace, file, Arm(name="m", model=model)) == []


@pytest.mark.parametrize(
    "configuration",
    [
        f"{OPENAI}, model: m", f"{OPENAI}, azure_deployment: d", f"{AZURE}, model: m", "connection: azure, model: m",
        "connection: openai, azure_deployment: d", "connection: baseline", "connection: serverless",
    ],
)  # fmt: skip
def test_a_prompty_may_name_it_by_either_key(
    workspace: Workspace, tmp_path: Path, configuration: str
) -> None:
    assert check_flow(workspace, write_prompty(tmp_path, configuration)) == ()


def test_a_model_among_the_parameters_of_a_prompty_belongs_elsewhere(
    workspace: Workspace, tmp_path: Path
) -> None:
    (problem,) = check_flow(workspace, write_prompty(tmp_path, OPENAI, "{model: m}"))
    assert problem.fix == "Write it as model in the configuration: model among the parameters is not read."


@pytest.mark.parametrize(
    ("configuration", "found"),
    [
        (OPENAI, {"F006": "warning", "F009": "error"}),
        (AZURE, {"F006": "error", "F009": "error"}),
        ("connection: openai", {"F009": "error"}),
    ],
)
def test_a_prompty_that_cannot_be_loaded_is_told_as_far_as_its_file_tells(
    workspace: Workspace, tmp_path: Path, configuration: str, found: Mapping[str, str]
) -> None:
    problems = check_flow(workspace, write_prompty(tmp_path, configuration, text="user:\n{% if %}\n"))
    assert {item.code: item.severity for item in problems} == found
