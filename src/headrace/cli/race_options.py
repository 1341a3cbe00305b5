"""Options of a command whose arms may race."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, get_args

import click

from headrace.cli.options import Number, all_options
from headrace.cli.session import fail_usage
from headrace.domain.evaluation import Experiment
from headrace.domain.race import RaceMode, RaceSpec


def race_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``--race`` and what goes with it."""
    options = (
        click.option(
            "--race",
            type=click.Choice(get_args(RaceMode)),
            help="Drop arms that cannot win any more: over these lines, or over all lines like these.",
        ),
        click.option(
            "--race-alpha",
            type=Number(0, 1, min_open=True, max_open=True),
            metavar="P",
            help="Chance of dropping the winner that you accept; default 0.05.",
        ),
        click.option(
            "--race-range",
            type=Number(0, min_open=True),
            metavar="R",
            help="Largest less smallest score that is possible; default 1.",
        ),
        click.option(
            "--batch",
            type=click.IntRange(min=1),
            metavar="N",
            help="Lines between two decisions of a race; default 10 or more.",
        ),
    )

    return all_options(*options)


ExperimentT = TypeVar("ExperimentT", Experiment, Experiment | None)


def read_race(
    experiment: ExperimentT,
    *,
    mode: RaceMode | None,
    alpha: float | None,
    score_range: float | None,
    batch: int | None,
) -> ExperimentT:
    """The experiment with the race that was asked for; options go before what its file says.

    Raises:
        UsageError: C507 when nothing is to run, or an option is of a race and there is none.
    """
    asked = {
        "--race": mode,
        "--race-alpha": alpha,
        "--race-range": score_range,
        "--batch": batch,
    }
    given = [name for name, value in asked.items() if value is not None]
    if not given:
        return experiment
    if experiment is None:
        fail_usage(
            f"{', '.join(given)} cannot be given for runs that exist.",
            "Name an experiment file, or give --flow and --data.",
        )
    race = experiment.race
    if mode is not None:
        race = replace(race or RaceSpec(), mode=mode)
    if race is None:
        fail_usage(f"{', '.join(given)} needs a race.", "Add --race winner or --race population.")
    race = replace(
        race,
        alpha=race.alpha if alpha is None else alpha,
        score_range=race.score_range if score_range is None else score_range,
        batch=race.batch if batch is None else batch,
    )
    return replace(experiment, race=race)
