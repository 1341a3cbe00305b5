"""One file per problem code: what triggers it, where it is found, and how it says to fix it.

A case names an action of :data:`ACTIONS`; the other keys are the action's own. Add an action to the table to
cover the problems of another part. A problem that no file of the user has a part in has no line and column.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.codes import CATALOGUE
from headrace.config import load_settings
from headrace.domain.flow import Flow
from headrace.domain.tool import ToolParameter, ToolSpec
from headrace.domain.variant import Arm, Variant
from headrace.errors import HeadraceError, Problem
from headrace.evaluation.evaluators.packages import load_evaluator_package
from headrace.evaluation.evaluators.registry import BUILTINS, make_judge
from headrace.formats.arms import parse_model
from headrace.formats.connection_file import load_connection
from headrace.formats.deployment import read_deployment
from headrace.formats.deployment_secrets import plain_secrets
from headrace.formats.experiment import load_experiment
from headrace.formats.flow_file import load_flow, read_flow
from headrace.formats.includes import open_includes
from headrace.formats.lines import read_dataset
from headrace.formats.mapping import parse_mapping
from headrace.formats.positions import read_text
from headrace.formats.template import load_template
from headrace.formats.traffic import read_traffic
from headrace.operations.ab_revisions import settle_revision, stop
from headrace.operations.check_flow import check_flow as check_whole_flow
from headrace.operations.check_project import check_project
from headrace.operations.compare_scores import Judgement, compare_scores
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.sample_traffic import TrafficSample, sample_traffic
from headrace.operations.track_comparison import track_comparison
from headrace.operations.workspace import open_workspace
from headrace.planning.check import check_flow
from headrace.planning.columns import map_lines
from headrace.planning.convert import make_inputs
from headrace.planning.select import apply_arm
from headrace.providers.fake import FakeModelClient
from headrace.store.journal import Journal
from headrace.store.memory import open_memory
from headrace.tools.failure import describe_failure
from headrace.tools.registry import load_tool
from tests.support.app_cases import app_case
from tests.support.azure.trouble import azure_problems, azure_source_problems
from tests.support.commands import run_command
from tests.support.deployment_cases import (
    apply_case,
    command_case,
    move_case,
    plan_case,
    step_case,
    unsafe_case,
)
from tests.support.evidence import a_traffic, an_exposure
from tests.support.job_cases import job_case
from tests.support.local_cases import local_case
from tests.support.managed_cases import managed_case
from tests.support.model_cases import model_problems
from tests.support.runs import a_time
from tests.support.scoring_server import Answer, scoring_server
from tests.support.tool_nodes import MODELS, run_nodes, serving_names
from tests.support.trackers import FakeMlflow

Case = Mapping[str, Any]
Action = Callable[[Path, Case], Sequence[Problem]]

FOLDER = Path(__file__).parent / "problems"
SOURCE = Path(__file__).parents[2] / "src" / "headrace"
CASES = {
    file.stem: yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.yaml"))
}


def load(folder: Path, case: Case) -> Sequence[Problem]:
    flow, problems = read_flow(folder)
    return (*problems, *check_flow(flow, specs_of(flow, case))) if flow else problems


def specs_of(flow: Flow, case: Case) -> dict[str, ToolSpec]:
    return {
        node.name: ToolSpec(
            name=node.name,
            parameters=tuple(
                ToolParameter(name=name, types=(kind,)) for name, kind in case["specs"][node.name].items()
            ),
            takes_any=node.type != "python",
            reserved=tuple(case.get("reserved", ())),
            template_variables=tuple(case.get("variables", ())),
        )
        for node in flow.nodes
        if node.name in case.get("specs", {})
    }


def includes(folder: Path, case: Case) -> Sequence[Problem]:
    with open_includes(load_flow(folder)):
        return ()


def template(folder: Path, case: Case) -> Sequence[Problem]:
    (name,) = case["files"]
    load_template(read_text(folder / name), name).render(case.get("values", {}))
    return ()


def data(folder: Path, case: Case) -> Sequence[Problem]:
    read_dataset(folder / case["path"], case["path"])
    return ()


def lines(folder: Path, case: Case) -> Sequence[Problem]:
    flow = load_flow(folder)
    dataset = read_dataset(folder / "data.jsonl", "data.jsonl")
    mapped, problems = map_lines(flow, parse_mapping(case.get("mapping", {})), dataset, None)
    return (*problems, *(found for line in mapped for found in make_inputs(flow, line.columns, line.span)[1]))


def connection(folder: Path, case: Case) -> Sequence[Problem]:
    load_connection(folder / case["path"])
    return ()


def experiment(folder: Path, case: Case) -> Sequence[Problem]:
    load_experiment(folder / "experiment.yaml")
    return ()


def traffic(folder: Path, case: Case) -> Sequence[Problem]:
    del case
    read_traffic(folder / "traffic.yaml")
    return ()


def deployment(folder: Path, case: Case) -> Sequence[Problem]:
    return plain_secrets(read_deployment(folder, None, case.get("environment", {})))


def arm(folder: Path, case: Case) -> Sequence[Problem]:
    variant = Variant(name="v", choices=case["variant"]) if "variant" in case else None
    model = parse_model(case["model"]) if "model" in case else None
    apply_arm(load_flow(folder), Arm(name="a", variant=variant, model=model), lambda _: "open_ai")
    return ()


def evaluator(folder: Path, case: Case) -> Sequence[Problem]:
    del folder
    if "package" in case:
        load_evaluator_package(f"{case['package']}:Metric", "metric")
    make_judge(BUILTINS[case["evaluator"]], case.get("parameters", {}))(**case.get("inputs", {}))
    return ()


def tools(folder: Path, case: Case) -> Sequence[Problem]:
    flow = load_flow(folder)
    with serving_names(folder):
        for node in flow.nodes:
            load_tool(node, flow, folder, MODELS)
    return ()


def run(folder: Path, case: Case) -> Sequence[Problem]:
    flow = load_flow(folder)
    with serving_names(folder):
        try:
            run_nodes(flow, folder, case.get("values", {}), FakeModelClient())
        except HeadraceError:
            raise
        except Exception as error:  # noqa: BLE001 - what the engine does with a tool that raises
            place = flow.source_map.span(flow.nodes[-1].pointer)
            return (describe_failure(error, node=flow.nodes[-1].name, folder=folder, flow_place=place),)
    return ()


def command(folder: Path, case: Case) -> Sequence[Problem]:
    names = ("before", "environment", "reply", "sql", "missing")
    return run_command(folder, case["command"], **{name: case[name] for name in names if name in case})


def project(folder: Path, case: Case) -> Sequence[Problem]:
    with open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace:
        report = check_project(workspace, folder, loads_code=False)
    return (*(problem for flow in report.flows for problem in flow.problems), *report.problems)


def stop_twice(_: Path, __: Case) -> Sequence[Problem]:
    store = open_memory("")
    settle_revision(store, a_traffic(), a_time())
    for minute in (1, 2):
        stop(store, "checkout", a_time(minute), by="ann")
    return ()


def sample_nothing(folder: Path, _: Case) -> Sequence[Problem]:
    with open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace:
        settle_revision(workspace.store, a_traffic(), a_time())
        sample_traffic(workspace, TrafficSample(test="checkout"), folder / "live.jsonl")
    return ()


def check(folder: Path, case: Case) -> Sequence[Problem]:
    settings = load_settings({"HOME": str(folder), **case.get("environment", {})})
    with chdir(folder), serving_names(folder), open_workspace(settings, folder) as workspace:
        return check_whole_flow(workspace, Path(case.get("flow", "flow")))


def scores(_: Path, case: Case) -> Sequence[Problem]:
    compare_scores(case["scores"], Judgement())
    return ()


def journal(folder: Path, _: Case) -> Sequence[Problem]:
    Journal(folder / "journal").append(an_exposure())
    return ()


def track(_: Path, case: Case) -> Sequence[Problem]:
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError(case["refusal"])

    with pytest.MonkeyPatch.context() as patch:
        tracker = FakeMlflow()
        tracker.install(patch)
        patch.setattr(tracker, "create_run", refuse)
        track_comparison(compare_scores(case["scores"], Judgement()), "mlflow")
    return ()


def endpoint(folder: Path, case: Case) -> Sequence[Problem]:
    """Run a flow behind an address over the data, which gives the case's answers one after the other."""
    with (
        scoring_server() as server,
        open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace,
    ):
        server.answer = lambda _, before: Answer(**case["answers"][before])
        file = folder / "flow.endpoint.yaml"
        file.write_text(file.read_text("utf-8").replace("{url}", server.url), "utf-8")
        run = create_run(workspace, RunRequest(flow=folder, data=folder / "data.jsonl", max_concurrency=1))
        found = [line.problem for line in workspace.store.read_lines(run.spec.name)]
        return (*filter(None, found), *workspace.warnings)


ACTIONS: dict[str, Action] = {
    "check": check,
    "load": load,
    "includes": includes,
    "template": template,
    "data": data,
    "lines": lines,
    "connection": connection,
    "experiment": experiment,
    "traffic": traffic,
    "deployment": deployment,
    "arm": arm,
    "evaluator": evaluator,
    "tools": tools,
    "run": run,
    "command": command,
    "endpoint": endpoint,
    "project": project,
    "scores": scores,
    "journal": journal,
    "track": track,
    "stop_twice": stop_twice,
    "sample_nothing": sample_nothing,
    "deploy_plan": plan_case,
    "deploy_step": step_case,
    "azure": azure_problems,
    "model": model_problems,
    "app": app_case,
    "deploy_unsafe": unsafe_case,
    "deploy_move": move_case,
    "deploy_apply": apply_case,
    "deploy_command": command_case,
    "managed": managed_case,
    "jobs": job_case,
    "local": local_case,
    "azure_source": azure_source_problems,
}


def write_files(folder: Path, case: Case) -> None:
    for name, content in case.get("files", {}).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes.fromhex(content["hex"]) if isinstance(content, dict) else content.encode())


@pytest.mark.parametrize("code", CASES)
def test_problem(code: str, tmp_path: Path) -> None:
    case = CASES[code]
    write_files(tmp_path, case)
    try:
        problems = ACTIONS[case["action"]](tmp_path, case)
    except HeadraceError as error:
        problems = error.problems
    assert [problem.code for problem in problems] == [code, *case["expect"].get("followed_by", ())]
    check_problem(problems[0], case["expect"])


def check_problem(problem: Problem, expect: Mapping[str, Any]) -> None:
    assert problem.severity == expect.get("severity", "error")
    assert expect["what_contains"] in problem.what
    assert expect["fix_contains"] in (problem.fix or "")
    if "line" not in expect:
        assert problem.span is None
        return
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == (expect["line"], expect["column"])
    if "file" in expect:
        assert Path(problem.span.file).name == expect["file"]
    if "related_line" in expect:
        assert [span.line for _, span in problem.related] == [expect["related_line"]]


def test_case_files_are_named_by_their_code() -> None:
    assert {name: case["code"] for name, case in CASES.items()} == {name: name for name in CASES}


def test_every_code_is_explained_used_and_shown_by_a_case() -> None:
    used: set[str] = set()
    for file in SOURCE.rglob("*.py"):
        if file.parent != SOURCE / "codes":
            used.update(re.findall(r'"([A-Z]\d{3})"', file.read_text(encoding="utf-8")))
    assert (used, set(CASES)) == (set(CATALOGUE), set(CATALOGUE))
