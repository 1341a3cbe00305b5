"""``headrace experiment plan``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import Number, Verb, choose_form, environment_option, form_option
from headrace.cli.plan_view import plan_to_json, render_plan
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.formats.experiment import load_experiment
from headrace.operations.compare_runs import ComparisonResult, compare_experiment_again, compare_runs
from headrace.operations.plan_experiment import PlanRequest, check_plan, latest_experiment, plan_experiment
from headrace.operations.workspace import Workspace

_LATEST = "latest"


@click.command(
    "plan",
    cls=Verb,
    examples=(
        (
            "From recorded runs",
            "headrace experiment plan flows/triage/experiment.yaml --pilot latest --mde 0.05",
        ),
        (
            "From an assumption",
            "headrace experiment plan flows/triage/experiment.yaml --discordance 0.3 --mde 0.05",
        ),
        (
            "What a number of lines finds",
            "headrace experiment plan flows/triage/experiment.yaml --discordance 0.3 --lines 500",
        ),
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@environment_option()
@click.option(
    "--mde",
    "difference",
    type=Number(),
    metavar="D",
    help="Smallest difference to be found; default the margin of the metric.",
)
@click.option("--lines", type=int, metavar="N", help="Say what N lines find, in place of --mde.")
@click.option(
    "--pilot",
    "pilots",
    multiple=True,
    metavar="ID|RUN",
    help="Experiment, or runs, to plan from; repeatable.",
)
@click.option(
    "--discordance", type=Number(), metavar="P", help="Assume that arms disagree on this share of lines."
)
@click.option(
    "--deviation", type=Number(), metavar="S", help="Assume this standard deviation of a line's difference."
)
@click.option("--metric", metavar="NAME", help="Score to plan for; default the one that decides.")
@click.option("--arm", metavar="ARM", help="Arm of the pilot; default the one that needs the most lines.")
@click.option(
    "--power", type=Number(), default=0.8, metavar="P", help="Chance to find the difference; default 0.8."
)
@click.option(
    "--assurance",
    type=Number(),
    metavar="P",
    help="Chance that the plan reaches the power; default 0.85 for yes-or-no scores, 0.9 for others.",
)
@click.option("--repeats", type=int, metavar="K", help="Answers to each line; default as few as will do.")
@click.option(
    "--line-cost", type=Number(), metavar="C", help="What one more line costs beside its answers, in answers."
)
@form_option("table", "json", help="Form of the plan; default a table at a terminal, else JSON.")
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    file: Path,
    environment: str | None,
    difference: float | None,
    lines: int | None,
    pilots: tuple[str, ...],
    discordance: float | None,
    deviation: float | None,
    metric: str | None,
    arm: str | None,
    power: float,
    assurance: float | None,
    repeats: int | None,
    line_cost: float | None,
    form: str | None,
) -> int:
    """Say how many lines and repeats find a difference, and what they take.

    FILE is an experiment with arms. The plan is made from recorded answers, the pilot, or from what you assume of the
    differences between arms. Nothing is run.
    """
    if difference is not None and lines is not None:
        fail_usage("--mde and --lines ask for two things.", "Give one of them.")
    request = PlanRequest(
        metric=metric, difference=difference, lines=lines, power=power, assurance=assurance, repeats=repeats,
        line_cost=line_cost, arm=arm, discordance=discordance, deviation=deviation,
    )  # fmt: skip
    check_plan(request)
    experiment = load_experiment(file, environment)
    with command_workspace(session) as workspace:
        plan = plan_experiment(
            workspace, experiment, request, _read_pilot(workspace, experiment.name, pilots)
        )
    if choose_form(form, session) == "json":
        session.write_json(plan_to_json(plan))
    else:
        session.write(render_plan(plan, session.terminal))
    return ExitCode.OK


def _read_pilot(workspace: Workspace, name: str, pilots: tuple[str, ...]) -> ComparisonResult | None:
    if not pilots:
        return None
    if pilots == (_LATEST,):
        return compare_experiment_again(workspace, latest_experiment(workspace, name))
    if len(pilots) == 1:
        return compare_experiment_again(workspace, pilots[0])
    return compare_runs(workspace, pilots)
