"""``headrace experiment run``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from headrace.cli.experiment_result import Outputs, forecast, result_options, run_and_write
from headrace.cli.judging_options import judging_options
from headrace.cli.options import (
    Verb,
    cache_option,
    environment_option,
    split_names,
)
from headrace.cli.race_options import race_options, read_race
from headrace.cli.running_options import RunningOptions, running_options
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.domain.race import RaceMode
from headrace.formats.experiment import load_experiment
from headrace.operations.compare_arguments import change_experiment
from headrace.operations.run_experiment import run_experiment


@click.command(
    "run",
    cls=Verb,
    examples=(
        ("All arms over all lines", "headrace experiment run flows/ask_docs/experiment.yaml"),
        ("What it would take", "headrace experiment run flows/ask_docs/experiment.yaml --dry-run"),
        ("As a race", "headrace experiment run flows/ask_docs/experiment.yaml --race winner"),
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), metavar="PATH", help="Lines that every arm answers.")
@judging_options()
@environment_option()
@race_options()
@running_options()
@cache_option()
@click.option("--dry-run", is_flag=True, help="Run nothing; say what calls, tokens, cost and time to expect.")
@result_options()
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    file: Path,
    outputs: Outputs,
    race: RaceMode | None,
    race_alpha: float | None,
    race_range: float | None,
    batch: int | None,
    dry_run: bool,
    running: RunningOptions,
    **options: Any,
) -> int:
    """Run an experiment and say which of its arms to ship.

    FILE is an experiment with arms. Before the first call is paid the experiment is recorded: its
    definition, the versions of its flows, data and evaluators, and its runs by name. So it can be
    gone on with when it was interrupted (headrace experiment resume) and repeated when its files
    have changed (headrace experiment rerun). Ends with exit code 1 when lines failed, with 0 even
    when undecided.
    """
    given = {name: value for name, value in options.items() if value not in (None, (), {})}
    given |= {name: split_names(given[name]) for name in ("metrics", "slices") if name in given}
    experiment = change_experiment(load_experiment(file, given.get("environment")), given)
    experiment = read_race(experiment, mode=race, alpha=race_alpha, score_range=race_range, batch=batch)
    if dry_run:
        with command_workspace(session) as workspace:
            return forecast(session, workspace, experiment, running.where.max_concurrency)
    return run_and_write(
        session,
        outputs,
        running.events,
        lambda workspace, hear: run_experiment(workspace, experiment, hear, running.cap, running.where),
    )
