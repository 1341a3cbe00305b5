"""``headrace doctor``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Verb
from headrace.cli.project_view import project_to_json, render_flows
from headrace.cli.render import Sources, render_github, render_problems
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.domain.project import ProjectReport
from headrace.errors import ExitCode, Problem
from headrace.operations.check_project import check_project

FORMS = ("text", "json", "github")


@click.command(
    "doctor",
    cls=Verb,
    examples=(
        ("The repository that this is", "headrace doctor ."),
        ("For a program", "headrace doctor path/to/project -o json"),
        ("Without importing any of its code", "headrace doctor path/to/project --no-load"),
    ),
)
@click.argument("project", type=click.Path(path_type=Path), metavar="PROJECT")
@click.option("--no-load", is_flag=True, help="Do not import the code of the flows.")
@click.option(
    "-o",
    "--output",
    "--format",
    "form",
    type=click.Choice(FORMS),
    default="text",
    metavar="|".join(FORMS),
    help="How findings are written; default text.",
)
@click.pass_obj
def command(session: Session, *, project: Path, no_load: bool, form: str) -> int:
    """Say of every flow of a project whether it runs here, and what it needs.

    Reads a whole repository without running anything or calling a model: connections, packages
    and variables that its flows need, what is wrong in their files, and what depends on the
    retiring prompt flow service, each with its place and what to do. The code of a flow is
    imported in a process of its own. Ends with exit code 3 when a flow cannot run, with 1 when
    one only lacks something that can be set up, else with 0.
    """
    with command_workspace(session) as workspace:
        report = check_project(workspace, project, loads_code=not no_load)
    problems = _all_problems(report)
    if form == "json":
        session.write_json(project_to_json(report))
    elif form == "github":
        if problems:
            session.write(render_github(problems))
    else:
        _write_text(session, report, problems)
    states = {flow.state for flow in report.flows}
    if "does not run" in states:
        return ExitCode.DEFINITION
    return ExitCode.FAILED if "needs setup" in states else ExitCode.OK


def _all_problems(report: ProjectReport) -> tuple[Problem, ...]:
    found = (*(problem for flow in report.flows for problem in flow.problems), *report.problems)
    return tuple(dict.fromkeys(found))


def _write_text(session: Session, report: ProjectReport, problems: tuple[Problem, ...]) -> None:
    terminal = session.terminal
    session.write(render_flows(report, terminal))
    if problems:
        text = render_problems(
            problems,
            sources=Sources(session.folder, shows_data=terminal.has_tty_out),
            ink=terminal.out,
            width=terminal.width if terminal.has_tty_out else None,
            has_summary=True,
        )
        session.write("\n" + text)
