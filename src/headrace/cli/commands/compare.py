"""``headrace compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from headrace.cli.experiment_result import (
    Outputs,
    forecast,
    report_failures,
    result_options,
    write_all,
)
from headrace.cli.inputs import read_variables
from headrace.cli.judging_options import CHANGES, JUDGING, judging_options
from headrace.cli.options import (
    Verb,
    cache_option,
    environment_option,
    evaluators_option,
    judges_option,
    pairs_option,
    split_names,
    variables_option,
)
from headrace.cli.progress import show_progress
from headrace.cli.race_options import race_options, read_race
from headrace.cli.running_options import RunningOptions, running_options
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.domain.evaluation import Experiment
from headrace.domain.race import RaceMode
from headrace.domain.scores import MetricSpec
from headrace.engine.events import OnEvent
from headrace.errors import Problem, UsageError
from headrace.formats.experiment import is_experiment, load_experiment
from headrace.operations.compare_arguments import (
    CompareArguments,
    add_margins,
    change_experiment,
    make_experiment,
    parse_metrics,
)
from headrace.operations.compare_runs import ComparisonResult, compare_experiment_again, compare_runs
from headrace.operations.named_versions import settle_flow
from headrace.operations.run_experiment import ResumeExperiment, resume_experiment, run_experiment
from headrace.operations.workspace import Workspace

_FLAGS = {
    "metrics": "metric",
    "slices": "slice",
    "margins": "margin",
    "environment": "env",
    "evaluators": "evaluator",
    "judges": "judge",
}


@click.command(
    "compare",
    cls=Verb,
    examples=(
        ("An experiment", "headrace compare flows/ask_docs/experiment.yaml"),
        ("For one environment", "headrace compare flows/ask_docs/experiment.yaml --env dev"),
        ("Runs that exist", "headrace compare first second third --metric f1"),
        (
            "Without an experiment file",
            "headrace compare --flow my_flow --data test.jsonl --variants zero_shot,few_shot "
            "--evaluation my_flow/evaluation/answer --metric f1 "
            "--evaluation-mapping truth='${data.answer}' prediction='${run.outputs.answer}'",
        ),
        ("Every score as a table", "headrace compare --again EXPERIMENT_ID --scores scores.csv"),
        (
            "With built-in evaluators",
            "headrace compare --flow my_flow --data test.jsonl --models baseline,my_aoai/gpt-4o-mini "
            "--evaluator f1 --evaluator latency --metric f1",
        ),
        (
            "Without the calls of arms that cannot win any more",
            "headrace compare flows/ask_docs/experiment.yaml --race winner",
        ),
        ("Recorded runs once more, as Markdown", "headrace compare --again EXPERIMENT_ID --output markdown"),
    ),
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option(
    "--flow", type=click.Path(path_type=Path), metavar="PATH", help="Flow, or version, whose arms race."
)
@click.option("--data", type=click.Path(path_type=Path), metavar="PATH", help="Lines that every arm answers.")
@click.option(
    "--variants", multiple=True, metavar="A,B", help="Variants; default: all of the node that has them."
)
@click.option(
    "--models",
    multiple=True,
    metavar="M1,M2",
    help="Models as CONNECTION/MODEL; every variant with every model.",
)
@click.option("--evaluation", type=click.Path(path_type=Path), metavar="PATH", help="Evaluation flow.")
@evaluators_option()
@judges_option()
@judging_options()
@pairs_option("--column-mapping", help="Where the flow's inputs come from.")
@pairs_option("--evaluation-mapping", help="Where the evaluation flow's inputs come from.")
@environment_option()
@race_options()
@variables_option()
@running_options()
@cache_option()
@click.option("--dry-run", is_flag=True, help="Run nothing; say what calls, tokens, cost and time to expect.")
@click.option(
    "--resume", metavar="ID|NAME", help="Go on with this experiment, as headrace experiment resume does."
)
@click.option("--again", metavar="ID|NAME", help="Compare the recorded runs of this experiment once more.")
@result_options()
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    targets: tuple[str, ...],
    outputs: Outputs,
    again: str | None,
    resume: str | None,
    race: RaceMode | None,
    race_alpha: float | None,
    race_range: float | None,
    batch: int | None,
    dry_run: bool,
    running: RunningOptions,
    **options: Any,
) -> int:
    """Race arms over the same lines and say which one to ship.

    An arm is a variant of a flow with a model. Every arm answers every line, evaluators score the
    answers, and the arms are compared line by line with a baseline: difference, interval, p
    adjusted for the number of arms, and a verdict. TARGET is an experiment file, or the names of
    two or more runs that have been evaluated. An HTML report is written for every experiment. Ends
    with exit code 1 when lines failed, with 0 even when undecided.
    """
    with command_workspace(session) as workspace:
        experiment = _find_experiment(session, workspace, targets, again, resume, options)
        experiment = read_race(experiment, mode=race, alpha=race_alpha, score_range=race_range, batch=batch)
        if dry_run:
            return forecast(session, workspace, experiment, running.where.max_concurrency)
        outputs.make_room()
        is_new = experiment is not None or resume is not None
        if is_new:
            with show_progress(session, running.events) as hear:
                result = _run(workspace, experiment, resume or "", hear, running)
        else:
            result = _compare_recorded(workspace, targets, again, options)
        report = outputs.report_of(workspace, result) if is_new else outputs.report
    write_all(session, result, outputs, report, is_new=is_new)
    return report_failures(session, result)


def _run(
    workspace: Workspace,
    experiment: Experiment | None,
    resumed: str,
    hear: OnEvent,
    running: RunningOptions,
) -> ComparisonResult:
    """Run an experiment, or go on with the one that is named, or both."""
    if experiment is None:
        request = ResumeExperiment(name=resumed, cap=running.cap)
        return resume_experiment(workspace, request, hear, running.where)
    return run_experiment(workspace, experiment, hear, running.cap, running.where, resumed or None)


def _find_experiment(
    session: Session,
    workspace: Workspace,
    targets: Sequence[str],
    again: str | None,
    resume: str | None,
    options: Mapping[str, Any],
) -> Experiment | None:
    """The experiment to run; ``None`` when recorded runs are to be compared, or an experiment is only named.

    Raises:
        UsageError: C507 when it is not clear what to compare, or when an option does not go with it; S831 or S834 for
            a version of a flow that is not there or not clear.
    """
    ways = [bool(targets), options["flow"] is not None, again is not None]
    if sum(ways) == 0 and resume is not None:
        _refuse_others(
            {name: value for name, value in options.items() if value not in (None, (), {})},
            (),
            "--resume alone",
        )
        return None
    if sum(ways) != 1:
        fail_usage(
            "headrace compare needs one thing to compare: an experiment file, runs, --flow, or --again.",
            "Name an experiment file, or two or more runs. headrace compare --help shows examples.",
        )
    given = {name: value for name, value in options.items() if value not in (None, (), {})}
    if again is not None:
        _refuse_others(given, (), "--again")
        return None
    if options["flow"] is not None:
        _refuse_others(given, [name for name in given if name != "environment"], "--flow")
        arguments = _arguments(session, given)
        flow, versions = settle_flow(workspace, str(arguments.flow))
        return replace(make_experiment(replace(arguments, flow=Path(flow))), versions=versions)
    path = Path(targets[0])
    if len(targets) == 1 and is_experiment(path):
        _refuse_others(given, CHANGES, "an experiment file")
        for name in ("metrics", "slices"):
            if name in given:
                given[name] = split_names(given[name])
        return change_experiment(load_experiment(path, given.get("environment")), given)
    _refuse_others(given, JUDGING, "runs")
    return None


def _refuse_others(given: Mapping[str, Any], allowed: Sequence[str], what: str) -> None:
    refused = [_flag(name) for name in given if name not in allowed]
    if refused:
        known = ", ".join(_flag(name) for name in allowed) or "none of them"
        fail_usage(
            f"{', '.join(refused)} cannot be given together with {what}.",
            f"Leave it away. Allowed with {what}: {known}.",
        )


def _flag(name: str) -> str:
    return "--" + _FLAGS.get(name, name).replace("_", "-")


def _arguments(session: Session, given: Mapping[str, Any]) -> CompareArguments:
    if "data" not in given:
        fail_usage("headrace compare --flow needs --data.", "Give --data PATH.")
    if "evaluation" not in given and "evaluators" not in given:
        fail_usage(
            "headrace compare --flow needs --evaluation or --evaluator.",
            "Give --evaluation PATH, or --evaluator NAME; headrace evaluator list shows the built-in ones.",
        )
    lists = ("variants", "models", "metrics", "slices")
    changes = {name: split_names(given[name]) for name in lists if name in given}
    variables = read_variables(
        given.get("environment_variables", ()), session.folder, session.settings.environment
    )
    return CompareArguments(**{**given, **changes, "environment_variables": variables})


def _compare_recorded(
    workspace: Workspace, targets: Sequence[str], again: str | None, options: Mapping[str, Any]
) -> ComparisonResult:
    if again is not None:
        return compare_experiment_again(workspace, again)
    if len(targets) < 2:
        raise UsageError(
            Problem(
                code="G902",
                what=f'"{targets[0]}" is no experiment file, and one run alone cannot be compared.',
                fix="Name an experiment file that ends in .yaml, or two or more runs.",
            )
        )
    return compare_runs(
        workspace,
        targets,
        baseline=options["baseline"],
        metrics=_recorded_metrics(options["metrics"], options["margins"]),
        alpha=options["alpha"],
        cluster=options["cluster"],
        slices=split_names(options["slices"]),
        family=options["family"],
    )


def _recorded_metrics(texts: Sequence[str], margins: Sequence[str]) -> Sequence[str | MetricSpec]:
    """Names alone stand for what an experiment recorded of them."""
    names = split_names(texts)
    if margins:
        return add_margins(parse_metrics(names), margins)
    found = parse_metrics(names)
    return [item.name if item.is_bare else item for item in found]
