"""``headrace ab simulate``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click

from headrace.cli.options import Number, Verb, choose_form, form_option
from headrace.cli.progress import show_count
from headrace.cli.session import Session, fail_usage
from headrace.cli.simulation_view import render_simulation, simulation_to_json
from headrace.domain.scenario import Scenario
from headrace.domain.traffic import Traffic
from headrace.errors import ExitCode
from headrace.formats.scenario import read_scenario, usual_scenario, with_first_metric
from headrace.formats.traffic import read_traffic
from headrace.operations.simulate_ab import simulate_ab

_POSITIVE = Number(min=0.0, min_open=True)
_SHARE = Number(0.0, 1.0)


@click.command(
    "simulate",
    cls=Verb,
    examples=(
        (
            "How long a test runs at 2,000 requests a day",
            "headrace ab simulate flows/triage/traffic.yaml --requests-per-day 2000 --base 0.7 --effect 0.05",
        ),
        (
            "What a test without any difference decides",
            "headrace ab simulate flows/triage/traffic.yaml --effect 0 --runs 400",
        ),
        (
            "What becomes of an arm that breaks on its second day",
            "headrace ab simulate flows/triage/traffic.yaml --scenario scenario.yaml",
        ),
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--scenario",
    "scenario_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What is supposed of arms, traffic and feedback; options below go first.",
)
@click.option("--days", type=_POSITIVE, metavar="N", help="The longest that the test may run; default 28.")
@click.option("--requests-per-day", type=_POSITIVE, metavar="N", help="Default 1000.")
@click.option(
    "--requests-per-unit",
    type=Number(min=1.0),
    metavar="N",
    help="Requests of a user or session, on average; default 1.",
)
@click.option(
    "--feedback-share", type=_SHARE, metavar="P", help="Requests of which something is said; default 1."
)
@click.option(
    "--feedback-delay",
    type=Number(min=0.0),
    metavar="SECONDS",
    help="Until it is said, on average; default 60.",
)
@click.option("--base", type=Number(), metavar="X", help="What the baseline scores on the first metric.")
@click.option(
    "--effect", type=Number(), metavar="D", help="How much more the other arms score on it; default 0."
)
@click.option("--runs", type=click.IntRange(1, 100_000), default=100, metavar="N", help="Default 100.")
@click.option("--seed", type=int, default=0, metavar="N", help="The same one gives the same runs; default 0.")
@click.option(
    "--every",
    "look_s",
    type=_POSITIVE,
    metavar="SECONDS",
    help="Time between two looks; default what the traffic file says, at most 200 looks.",
)
@click.option(
    "--planned-units",
    type=click.IntRange(min=20),
    metavar="N",
    help="Units of the fixed horizon beside; default what it needs.",
)
@form_option("table", "json", help="Form of the result; default a table at a terminal, else JSON.")
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    file: Path,
    scenario_file: Path | None,
    days: float | None,
    requests_per_day: float | None,
    requests_per_unit: float | None,
    feedback_share: float | None,
    feedback_delay: float | None,
    base: float | None,
    effect: float | None,
    runs: int,
    seed: int,
    look_s: float | None,
    planned_units: int | None,
    form: str | None,
) -> int:
    """Play an online test many times, and say when it decides.

    FILE is a traffic file. Requests, answers and feedback are made up; assignment, evidence, verdicts and rollbacks are
    those of a live test. Nothing is asked and nothing is recorded.
    """
    traffic = read_traffic(file)
    scenario = usual_scenario(traffic) if scenario_file is None else read_scenario(scenario_file, traffic)
    given = {
        "days": days,
        "requests_per_day": requests_per_day,
        "requests_per_unit": requests_per_unit,
        "feedback_share": feedback_share,
        "feedback_delay_s": feedback_delay,
    }
    known = {name: value for name, value in given.items() if value is not None}
    scenario = replace(scenario, **known)  # type: ignore[arg-type]
    if base is not None or effect is not None:
        scenario = _with_effect(traffic, scenario, base, effect)
    with show_count(session, "runs", runs) as count:
        simulation = simulate_ab(
            traffic,
            scenario,
            runs=runs,
            seed=seed,
            look_s=look_s,
            planned_units=planned_units,
            on_played=count,
        )
    if choose_form(form, session) == "json":
        session.write_json(simulation_to_json(simulation))
    else:
        session.write(render_simulation(simulation, session.terminal))
    return ExitCode.OK


def _with_effect(traffic: Traffic, scenario: Scenario, base: float | None, effect: float | None) -> Scenario:
    try:
        return with_first_metric(traffic, scenario, base=base, effect=effect)
    except ValueError as error:
        fail_usage(str(error), "Give --base and --effect within the range of the metric, or use --scenario.")
