"""``headrace run create``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from headrace.cli.forecast_view import show_forecasts
from headrace.cli.inputs import read_inputs, read_variables
from headrace.cli.line_report import render_line_report
from headrace.cli.options import (
    Verb,
    cache_option,
    init_option,
    pairs_option,
    path_option,
    unquote,
    variables_option,
)
from headrace.cli.progress import show_progress
from headrace.cli.run_view import find_first_failure, lines_failed_problem, run_to_json
from headrace.cli.running_options import RunningOptions, running_options
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.domain.cache import CacheChoice
from headrace.domain.run import COMPLETED, Run
from headrace.engine.events import LineFinished, OnEvent, RunEvent
from headrace.engine.spending import Spending
from headrace.errors import ExitCode, Problem
from headrace.formats.run_file import RunFile, apply_settings, read_run_file
from headrace.formats.run_folder import OUTPUT_PATH
from headrace.operations.configuration import runs_folder
from headrace.operations.export_run import export_run, refuse_foreign_folder
from headrace.operations.import_run import ImportRequest, import_run
from headrace.operations.line_runners import Where
from headrace.operations.run_batch import RunRequest, create_run
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_by_name

_FORECAST = "headrace.operations.forecast_run:forecast_run"
"""Reached by name: it loads what checks and judges experiments, which a run does not need."""

_TEXT_OPTIONS = ("flow", "data", "variant", "name", "display_name", "resume_from")
_RUN_OPTIONS = (
    "flow", "data", "source_run", "column_mapping", "resume_from", "variant", "model", "init", "connections",
)  # fmt: skip
_SETTLED = ("flow", "data", "run", "variant", "model", "column_mapping", "connections", "init")


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
        ("Run again what failed or is missing", "headrace run create --resume-from first --name third"),
        ("A run of stock prompt flow", "headrace run create --source ~/.promptflow/.runs/first"),
    ),
)
@path_option(
    "-f", "--file", "file", help="Run file: a YAML of these options; paths in it are relative to it."
)
@click.option("--flow", metavar="PATH", help="Flow folder or file, FLOW@VERSION, or module:callable.")
@click.option(
    "--data",
    metavar="PATH",
    help="Lines: a .jsonl, .csv, .tsv, .json or .parquet file, a folder of them, or a pattern.",
)
@click.option("--run", "source_run", metavar="RUN", help="Read the outputs of this run, to evaluate it.")
@pairs_option(
    "--column-mapping", help="Where inputs come from: NAME='${data.column}', '${run.outputs.name}', a value."
)
@click.option(
    "--resume-from", metavar="RUN", help="Go on with this run: keep its finished lines, run the others again."
)
@path_option("--source", help="Take over a run from its folder, as stock prompt flow keeps or downloads it.")
@click.option("--variant", metavar="'${NODE.VARIANT}'", callback=unquote, help="Use this variant of a node.")
@click.option("--model", metavar="CONNECTION/MODEL", help="Point every llm node at this model.")
@click.option("-n", "--name", metavar="NAME", help="Name of the run; default: flow, variant and time.")
@init_option()
@variables_option()
@pairs_option(
    "--connections",
    metavar="NODE.KEY=VALUE...",
    help="Change connection, deployment_name or model of single nodes.",
)
@pairs_option("--set", "settings", help="Set any property of the run, e.g. display_name=… tags.team=….")
@click.option("--display-name", metavar="TEXT", help="Title of the run.")
@running_options()
@cache_option()
@click.option("--dry-run", is_flag=True, help="Run nothing; say what calls, tokens, cost and time to expect.")
@path_option(
    "--output", help="Also write the run into this folder when it ends, as headrace run export does."
)
@click.option("-s", "--stream", is_flag=True, help="Show every line as soon as it is finished.")
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    file: Path | None,
    settings: Mapping[str, str],
    output: Path | None,
    source: Path | None,
    stream: bool,
    dry_run: bool,
    running: RunningOptions,
    **options: Any,
) -> int:
    """Run a flow over every line of a data file.

    Every line is recorded as soon as it is finished; a line that fails is recorded with its
    error and does not stop the others. The run is printed as JSON. Ends with exit code 1 when
    lines failed. Inputs without a mapping take the data column of their name; inputs with a
    default keep it unless they are mapped. --resume-from goes on with the flow's files as they are
    now; a line whose inputs have changed since is run again as well.
    """
    run_file = apply_settings(
        read_run_file(file, session.settings.environment) if file else RunFile(), settings
    )
    if run_file.warnings and not session.is_quiet:
        session.show_problems(*run_file.warnings)
    if source is not None:
        return _take_over(session, _import_request(source, run_file, options))
    options["init"] = read_inputs(options["init"], "--init")
    options["environment_variables"] = read_variables(
        options["environment_variables"], session.folder, session.settings.environment
    )
    spending = Spending(running.cap) if running.cap else None
    request = replace(make_request(run_file, running.where, options), spending=spending)
    if dry_run:
        return _forecast(session, request)
    if output is not None:
        refuse_foreign_folder(output, request.name)
        kept = {**request.properties, OUTPUT_PATH: str(output.resolve())}
        request = replace(request, properties=kept)
    else:
        request = replace(request, runs_folder=runs_folder(session.settings, session.folder))
    with command_workspace(session) as workspace, show_progress(session, running.events) as on_event:
        hear = partial(_hear_lines, session, workspace, on_event) if stream else on_event
        run = create_run(workspace, request, hear)
        failure = find_failure(workspace, run)
        folder = run.spec.properties.get(OUTPUT_PATH)
        if isinstance(folder, str) and (output is not None or request.runs_folder):
            workspace.warn(export_run(workspace, run.spec.name, Path(folder)))
    session.write_json(run_to_json(run, failure))
    return report_failures(session, run, failure)


def _forecast(session: Session, request: RunRequest) -> ExitCode:
    with command_workspace(session) as workspace:
        forecast = load_by_name(_FORECAST)(workspace, request)
    show_forecasts(session, (forecast,))
    return ExitCode.OK


def _take_over(session: Session, request: ImportRequest) -> ExitCode:
    with command_workspace(session) as workspace:
        run = import_run(workspace, request)
        failure = find_failure(workspace, run)
    session.write_json(run_to_json(run, failure))
    return ExitCode.OK


def _import_request(source: Path, file: RunFile, options: Mapping[str, Any]) -> ImportRequest:
    """What to take over.

    Raises:
        UsageError: C507 when something else than a name and notes is given.
    """
    refused = [f"--{name.replace('_', '-')}" for name in _RUN_OPTIONS if options[name]]
    if refused:
        fail_usage(f"--source takes over a run that has ended; {', '.join(refused)} cannot be given with it.")
    return ImportRequest(
        folder=source,
        name=options["name"] or file.texts.get("name"),
        display_name=options["display_name"] or file.texts.get("display_name"),
        description=file.texts.get("description"),
        tags=_texts(file.mappings.get("tags", {})),
        properties=file.mappings.get("properties", {}),
    )


def _hear_lines(session: Session, workspace: Workspace, on_event: OnEvent, event: RunEvent) -> None:
    on_event(event)
    if isinstance(event, LineFinished):
        line = workspace.store.read_line(event.run, event.line_number)
        if line is not None:
            session.note(render_line_report(line, ink=session.terminal.err))


def make_request(file: RunFile, where: Where, options: Mapping[str, Any]) -> RunRequest:
    """What to run: options win over the file; one that holds a mapping takes the place of the file's whole mapping.

    Raises:
        UsageError: C507 when neither names a flow, or a run to go on with is given together with what it settles.
    """
    texts = {**file.texts, **{key: options[key] for key in _TEXT_OPTIONS if options[key]}}
    if options["source_run"]:
        texts["run"] = options["source_run"]
    mapping = options["column_mapping"] or file.mappings.get("column_mapping", {})
    connections = options["connections"] or _node_fields(file.mappings.get("connections", {}))
    init = options["init"] or file.mappings.get("init", {})
    if "resume_from" in texts:
        settled = {
            "column_mapping": mapping,
            "connections": connections,
            "init": init,
            "model": options["model"],
        }
        _refuse_settled({**texts, **settled})
    elif "flow" not in texts:
        fail_usage(
            "headrace run create needs --flow.", "Give --flow PATH, or --file with a run file that names one."
        )
    return RunRequest(
        flow=file.path(texts.get("flow", "")),
        data=file.path(texts["data"]) if "data" in texts else None,
        source_run=texts.get("run"),
        column_mapping=mapping,
        variant=texts.get("variant"),
        model=options["model"],
        name=texts.get("name"),
        environment_variables=_texts(
            options["environment_variables"] or file.mappings.get("environment_variables", {})
        ),
        connections=connections,
        init=init,
        resume_from=texts.get("resume_from"),
        display_name=texts.get("display_name"),
        description=texts.get("description"),
        tags=_texts(file.mappings.get("tags", {})),
        properties=file.mappings.get("properties", {}),
        max_concurrency=where.max_concurrency,
        cache=CacheChoice(is_on=options["cache"]),
        workers=where.workers,
        on=where.on,
    )


def _refuse_settled(given: Mapping[str, Any]) -> None:
    """Refuse what the run that is gone on with has settled already.

    Raises:
        UsageError: C507 when there is any.
    """
    refused = [name for name in _SETTLED if given.get(name)]
    if refused:
        fail_usage(
            f"A run is resumed as it was made; {', '.join(refused)} cannot be given with it.",
            f"Leave out {', '.join(refused)}, or make a new run without --resume-from.",
        )


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: str(value) for key, value in values.items()}


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
