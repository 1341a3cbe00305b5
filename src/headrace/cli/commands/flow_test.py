"""``headrace flow test``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from headrace.cli.chat import run_chat
from headrace.cli.inputs import read_inputs, read_variables
from headrace.cli.options import (
    ManyValues,
    Verb,
    init_option,
    pairs_option,
    path_option,
    unquote,
    variables_option,
)
from headrace.cli.session import Session, fail_usage
from headrace.cli.wording import duration, plural
from headrace.cli.workspace import command_workspace
from headrace.domain.run import LineResult
from headrace.errors import ExitCode, failure_exit_code
from headrace.operations.test_flow import TestRequest, TestResult, run_test
from headrace.operations.test_records import print_images, write_test_records

_NO_PAGE = "headrace has no page to chat on."


@click.command(
    "test",
    cls=Verb,
    examples=(
        ("With inputs", "headrace flow test --flow my_flow --inputs question='What is a flow?' n=3"),
        ("Inputs from the first line of a file", "headrace flow test --flow my_flow --inputs data.jsonl"),
        (
            "Another variant, another model",
            "headrace flow test --flow my_flow --variant '${answer.few_shot}' --model my_aoai/gpt-4o-mini",
        ),
        (
            "A function or class without a flow file",
            "headrace flow test --flow my_module:Grader --init threshold=0.5 --inputs answer=yes",
        ),
        (
            "One node, its references given by hand",
            "headrace flow test --flow my_flow --node answer --inputs search.output='[\"text\"]'",
        ),
    ),
)
@path_option("--flow", required=True, help="Flow folder or file, FLOW@VERSION, or module:callable.")
@click.option(
    "--inputs",
    cls=ManyValues,
    multiple=True,
    metavar="KEY=VALUE...",
    help="Inputs of the flow (or node), or one .json or .jsonl file.",
)
@click.option("--node", metavar="NODE", callback=unquote, help="Run only this node.")
@click.option("--variant", metavar="'${NODE.VARIANT}'", callback=unquote, help="Use this variant of a node.")
@click.option("--model", metavar="CONNECTION/MODEL", help="Point every llm node at this model.")
@init_option()
@variables_option()
@click.option("--stream", is_flag=True, help="Show the model's answer on standard error as it is written.")
@path_option(
    "--detail", help="Folder for the records of the test, instead of .promptflow in the flow's folder."
)
@click.option("--interactive", is_flag=True, help="Talk with a chat flow in the terminal.")
@click.option(
    "--collection",
    metavar="NAME",
    help="Collection that the spans of the test belong to, where they are sent.",
)
@click.option(
    "--input", "input_file", metavar="FILE", hidden=True, help="Accepted as in pf: a file for --inputs."
)
@pairs_option("--config", hidden=True, help="Accepted as in pf and without effect.")
@click.option("--multi-modal", is_flag=True, hidden=True, help="Accepted as in pf: --interactive.")
@click.option(
    "--ui", is_flag=True, hidden=True, help="Of pf: a page to chat on, which headrace does not have."
)
@click.option("--skip-open-browser", is_flag=True, hidden=True, expose_value=False, help="Accepted as in pf.")
@click.pass_obj
def command(
    session: Session,
    *,
    flow: Path,
    inputs: tuple[str, ...],
    node: str | None,
    variant: str | None,
    model: str | None,
    init: tuple[str, ...],
    environment_variables: tuple[str, ...],
    stream: bool,
    detail: Path | None,
    interactive: bool,
    multi_modal: bool,
    ui: bool,
    collection: str | None,
    input_file: str | None,
    config: Mapping[str, str],
) -> int:
    """Run a flow, or one of its nodes, once.

    The outputs are printed as JSON on standard output; everything else goes to standard error.
    Inputs that are not given take the defaults of the flow file. Detail, output and log of the
    test are left in the folder .promptflow beside the flow, as pf does. Ends with exit code 1
    when the flow fails.

    With --interactive every line of standard input is a message to a chat flow; the end of input
    or Ctrl-C ends the chat.
    """
    if ui:
        fail_usage(_NO_PAGE, "Chat in the terminal: --interactive. Over HTTP: headrace flow serve.")
    if (interactive or multi_modal) and node is not None:
        fail_usage("A chat is with a whole flow, not with one node of it.", "Leave out --node.")
    request = TestRequest(
        flow=flow,
        inputs=read_inputs(inputs or ([input_file] if input_file else [])),
        variant=variant,
        model=model,
        node=node,
        environment_variables=read_variables(
            environment_variables, session.folder, session.settings.environment
        ),
        init=read_inputs(init, "--init"),
        collection=collection,
    )
    if interactive or multi_modal:
        if multi_modal:
            session.note(f"{_NO_PAGE} This is the chat in the terminal.")
        with command_workspace(session) as workspace:
            return run_chat(session, workspace, request, detail)
    with command_workspace(session) as workspace:
        result = run_test(workspace, request, _write_piece if stream else None)
        workspace.warn(write_test_records(request, result, detail))
        outputs, problems = print_images(result, detail)
        workspace.warn(problems)
    if stream:
        click.echo(err=True)
    return _show(session, replace(result, outputs=outputs))


def _write_piece(_: str, text: str) -> None:
    click.echo(text, nl=False, err=True)


def _show(session: Session, result: TestResult) -> int:
    if result.warnings and not session.is_quiet:
        session.show_problems(*result.warnings)
    if session.is_verbose:
        session.note(_render_nodes(result.line))
    if result.line.problem is not None:
        session.show_failure(result.line.problem)
        return failure_exit_code(result.line.problem)
    if isinstance(result.outputs, str):
        session.write(result.outputs)
    else:
        session.write_json(result.outputs)
    if result.metrics:
        session.note(
            "metrics: " + ", ".join(f"{name} = {_text(value)}" for name, value in result.metrics.items())
        )
    if result.aggregation_problem is not None:
        session.show_failure(result.aggregation_problem)
        return ExitCode.FAILED
    return ExitCode.OK


def _text(metric: Any) -> str:
    return f"{metric:g}" if isinstance(metric, (int, float)) else str(metric)


def _render_nodes(line: LineResult) -> str:
    """One row per node: status, name, time, tokens."""
    name_width = max([len(node.node) for node in line.nodes], default=0)
    rows = []
    for node in line.nodes:
        time = "" if node.end_ns == 0 else duration(node.duration_ms)
        tokens = plural(node.usage.total_tokens, "token") if node.usage.total_tokens else ""
        rows.append(f"{node.status:<9}  {node.node:<{name_width}}  {time:>8}  {tokens}".rstrip())
    return "\n".join(rows)
