"""``headrace run create``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from headrace.cli.inputs import read_variables
from headrace.cli.options import Verb, pairs_option, path_option, unquote, variables_option
from headrace.cli.progress import show_progress
from headrace.cli.run_file import RunFile, apply_settings, read_run_file
from headrace.cli.run_view import find_first_failure, lines_failed_problem, run_to_json
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.domain.run import COMPLETED, Run
from headrace.errors import ExitCode, Problem
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace


@click.command(
    "create",
    cls=Verb,
    examples=(
        ("Over a data file", "headrace run create --flow my_flow --data data.jsonl --name first"),
        (
            "Columns that are called differently",
            "headrace run create --flow my_flow --data data.csv --column-mapping question='${data.query}'",
        ),
        (
            "Evaluate a run",
            "headrace run create --flow my_flow/evaluation/exact --data data.jsonl --run first "
            "--column-mapping truth='${data.answer}' prediction='${run.outputs.answer}'",
        ),
        ("From a run file, with another name", "headrace run create --file run.yaml --name second"),
    ),
)
@path_option(
    "-f", "--file", "file", help="Run file: a YAML of these options; paths in it are relative to it."
)
@click.option("--flow", metavar="PATH", help="Flow folder, or flow file.")
@click.option(
    "--data", metavar="PATH", help="Lines: a .jsonl, .csv, .tsv or .json file, or a folder of them."
)
@click.option("--run", "source_run", metavar="RUN", help="Read the outputs of this run, to evaluate it.")
@pairs_option(
    "--column-mapping", help="Where inputs come from: NAME='${data.column}', '${run.outputs.name}', a value."
)
@click.option("--variant", metavar="'${NODE.VARIANT}'", callback=unquote, help="Use this variant of a node.")
@click.option("--model", metavar="CONNECTION/MODEL", help="Point every llm node at this model.")
@click.option("-n", "--name", metavar="NAME", help="Name of the run; default: flow, variant and time.")
@variables_option()
@pairs_option(
    "--connections",
    metavar="NODE.KEY=VALUE...",
    help="Change connection, deployment_name or model of single nodes.",
)
@pairs_option("--set", "settings", help="Set any property of the run, e.g. display_name=… tags.team=….")
@click.option("--display-name", metavar="TEXT", help="Title of the run.")
@click.option("--max-concurrency", type=click.IntRange(min=1), metavar="N", help="Lines in flight at once.")
@click.option("-s", "--stream", is_flag=True, help="Accepted as in pf; progress is always shown.")
@click.pass_obj
def command(
    session: Session, /, *, file: Path | None, settings: Mapping[str, str], stream: bool, **options: Any
) -> int:
    """Run a flow over every line of a data file.

    Every line is recorded as soon as it is finished; a line that fails is recorded with its
    error and does not stop the others. The run is printed as JSON. Ends with exit code 1 when
    lines failed. Inputs without a mapping take the data column of their name; inputs with a
    default keep it unless they are mapped.
    """
    run_file = apply_settings(read_run_file(file) if file else RunFile(), settings)
    if run_file.warnings and not session.is_quiet:
        session.show_problems(*run_file.warnings)
    options["environment_variables"] = read_variables(options["environment_variables"], session.folder)
    request = make_request(run_file, options)
    with command_workspace(session) as workspace, show_progress(session) as on_event:
        run = create_run(workspace, request, on_event)
        failure = find_failure(workspace, run)
    session.write_json(run_to_json(run, failure))
    return report_failures(session, run, failure)


def make_request(file: RunFile, options: Mapping[str, Any]) -> RunRequest:
    """What to run: options win over the file, mappings are merged key by key.

    Raises:
        UsageError: C507 when neither names a flow.
    """
    texts = {
        **file.texts,
        **{key: options[key] for key in ("flow", "data", "variant", "name", "display_name") if options[key]},
    }
    if "flow" not in texts:
        fail_usage(
            "headrace run create needs --flow.", "Give --flow PATH, or --file with a run file that names one."
        )
    return RunRequest(
        flow=file.path(texts["flow"]),
        data=file.path(texts["data"]) if "data" in texts else None,
        source_run=options["source_run"] or texts.get("run"),
        column_mapping={**file.mappings.get("column_mapping", {}), **options["column_mapping"]},
        variant=texts.get("variant"),
        model=options["model"],
        name=texts.get("name"),
        environment_variables=_texts(
            file.mappings.get("environment_variables", {}), options["environment_variables"]
        ),
        connections=_node_fields(file.mappings.get("connections", {})) | dict(options["connections"]),
        display_name=texts.get("display_name"),
        description=texts.get("description"),
        tags=_texts(file.mappings.get("tags", {}), {}),
        max_concurrency=options["max_concurrency"],
    )


def _texts(first: Mapping[str, Any], second: Mapping[str, str]) -> dict[str, str]:
    return {key: str(value) for key, value in {**first, **second}.items()}


def _node_fields(connections: Mapping[str, Any]) -> dict[str, str]:
    """``{node: {key: value}}`` of a run file as ``{node.key: value}``; flat entries stay as they are."""
    fields: dict[str, str] = {}
    for node, value in connections.items():
        if isinstance(value, Mapping):
            fields |= {f"{node}.{key}": str(item) for key, item in value.items()}
        else:
            fields[node] = str(value)
    return fields


def find_failure(workspace: Workspace, run: Run) -> Problem | None:
    """The problem of the first line that failed, if one did."""
    if not run.n_failed:
        return None
    line = find_first_failure(workspace.store.read_lines(run.spec.name))
    return line.problem if line else None


def report_failures(session: Session, run: Run, failure: Problem | None) -> ExitCode:
    """Say what went wrong in a run and give the exit code that says so too."""
    problems = [run.problem] if run.problem else []
    if run.n_failed:
        problems += [lines_failed_problem(run), *([failure] if failure else [])]
    if problems:
        session.show_problems(*problems)
    return ExitCode.FAILED if problems or run.status != COMPLETED else ExitCode.OK
