"""``headrace gate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import click

from headrace.cli.compare_outputs import (
    Destination,
    files_of,
    make_room,
    outputs_option,
    read_destinations,
    write_output,
)
from headrace.cli.gate_outputs import GATE_FORMS, append_summary, render_gate
from headrace.cli.options import (
    Number,
    Verb,
    cache_option,
    environment_option,
)
from headrace.cli.progress import show_progress
from headrace.cli.running_options import RunningOptions, running_options
from headrace.cli.session import Session, fail_usage
from headrace.cli.workspace import command_workspace
from headrace.domain.evaluation import Experiment
from headrace.domain.gate import GateSpec, GateTest
from headrace.errors import ExitCode
from headrace.formats.experiment import is_experiment, load_experiment
from headrace.operations.compare_arguments import change_experiment
from headrace.operations.compare_runs import ComparisonResult, compare_experiment_again, compare_runs
from headrace.operations.gate_comparison import (
    GateReport,
    check_gate,
    choose_questions,
    gate_comparison,
)
from headrace.operations.ready_gate import ready_gate
from headrace.operations.recorded_gates import gates_of, recorded_gates
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import Workspace

_TESTS = {name.replace("_", "-"): name for name in get_args(GateTest)}
_CODES = {"passed": ExitCode.OK, "failed": ExitCode.FAILED, "undecided": ExitCode.UNDECIDED}


@click.command(
    "gate",
    cls=Verb,
    examples=(
        (
            "An arm must not be worse than the baseline",
            "headrace gate flows/triage/experiment.yaml --arm few_shot --test non-inferiority --margin 0.05",
        ),
        (
            "A pull request against the comparison of the main branch",
            "headrace gate flows/triage/experiment.yaml --against main.json --margin 0.05 --output github "
            "--output comment.md",
        ),
        (
            "What runs in production",
            "headrace gate flows/triage/experiment.yaml --against @prod --margin 0.05",
        ),
        ("Recorded runs", "headrace gate --again EXPERIMENT_ID --arm few_shot --margin 0.05"),
        ("What an execution may cost", "headrace gate zero few --arm few --metric cost --limit 0.002"),
    ),
)
@click.argument("targets", nargs=-1, metavar="[TARGET]...")
@click.option("--again", metavar="ID|NAME", help="Ask about the recorded runs of this experiment.")
@environment_option()
@click.option("--arm", metavar="ARM", help="The arm that is asked about; default the only one there is.")
@click.option(
    "--against",
    metavar="ARM|FILE|ID|VERSION|BRANCH",
    help="What it is compared with: an arm, FILE.json of an earlier comparison, the id of an experiment, a version of "
    "a flow (triage@7, @prod) or a branch that was run; #ARM behind it names its arm; default the baseline.",
)
@click.option(
    "--metric", metavar="NAME", help="Score, or cost, latency, tokens, failures; default the first score."
)
@click.option(
    "--test",
    type=click.Choice(tuple(_TESTS)),
    metavar="|".join(_TESTS),
    help="What must be shown; default what the metric is for.",
)
@click.option("--margin", type=Number(), metavar="D", help="Difference that does not matter.")
@click.option("--limit", type=Number(), metavar="X", help="Of a budget: the value that must be kept.")
@click.option(
    "--undecided",
    type=click.Choice(("fail", "pass")),
    default="fail",
    help="What too few lines to tell mean for the exit code; default fail.",
)
@running_options()
@cache_option()
@outputs_option(GATE_FORMS)
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    targets: tuple[str, ...],
    again: str | None,
    outputs: tuple[str, ...],
    undecided: str,
    running: RunningOptions,
    cache: bool | None,
    environment: str | None,
    **given: Any,
) -> int:
    """Let an arm through, or hold it back, by a statistical test.

    TARGET is an experiment file, which is run, or the names of evaluated runs. The questions are those of the options,
    else those of the experiment file, else whether the arm does what its first metric is for. A gate passes where the
    lines show what is asked and fails where they exclude it; between these it is undecided, which more lines would
    settle. Exit codes: 0 passed, 1 failed, 6 undecided (0 with --undecided pass).
    """
    destinations = read_destinations(outputs, GATE_FORMS)
    if all(destination.file is not None for destination in destinations):
        destinations = (Destination(GATE_FORMS[0], None), *destinations)
    experiment = _find_experiment(targets, again, environment)
    asked = _check_early(given)
    for path in files_of(destinations):
        make_room(path)
    with command_workspace(session) as workspace:
        if experiment is None:
            result = _recorded(workspace, targets, again)
        else:
            settled, asked = ready_gate(workspace, experiment, asked)
            experiment = change_experiment(settled, {} if cache is None else {"cache": cache})
            with show_progress(session, running.events) as on_event:
                result = run_experiment(workspace, experiment, on_event, running.cap, running.where)
        gates = gates_of(experiment) if experiment else recorded_gates(result.runs[0].spec.judgement)
        metrics = [metric.spec for metric in result.comparison.metrics]
        report = gate_comparison(workspace, result, choose_questions(metrics, gates, asked))
    _write(session, report, destinations, experiment, is_let=undecided == "pass")
    is_let = report.outcome == "undecided" and undecided == "pass"
    return ExitCode.OK if is_let else _CODES[report.outcome]


def _find_experiment(targets: Sequence[str], again: str | None, environment: str | None) -> Experiment | None:
    """The experiment to run; ``None`` when recorded runs are asked about."""
    if bool(targets) == (again is not None):
        fail_usage(
            "headrace gate needs one thing to ask about: an experiment file, runs, or --again.",
            "Name an experiment file, or two or more runs. headrace gate --help shows examples.",
        )
    path = Path(targets[0]) if len(targets) == 1 else None
    if path is not None and is_experiment(path):
        return load_experiment(path, environment)
    if environment is not None:
        fail_usage("--env belongs to an experiment file, and none is named.", "Leave it away.")
    return None


def _check_early(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The question, once it is known to make sense by itself."""
    asked = {**given, "test": _TESTS.get(given["test"] or "")}
    test: GateTest = asked["test"] or ("budget" if asked["limit"] is not None else "superiority")
    check_gate(
        GateSpec(
            metric=asked["metric"] or "the metric", test=test, margin=asked["margin"], limit=asked["limit"]
        )
    )
    return asked


def _recorded(workspace: Workspace, targets: Sequence[str], again: str | None) -> ComparisonResult:
    if again is not None:
        return compare_experiment_again(workspace, again)
    return compare_runs(workspace, targets, at_least=1)


def _write(
    session: Session,
    report: GateReport,
    destinations: Sequence[Destination],
    experiment: Experiment | None,
    *,
    is_let: bool,
) -> None:
    source_map, file = (experiment.source_map, experiment.file) if experiment else (None, None)
    for form, path in destinations:
        text = render_gate(report, form, source_map, file, is_undecided_let=is_let).rstrip("\n")
        if path is None:
            session.write(text)
        else:
            write_output(path, text + "\n")
            session.note(str(path))
        if form == "github":
            append_summary(session, report)
