"""``headrace experiment suggest``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.options import (
    Verb,
    cache_option,
    choose_form,
    environment_option,
    form_option,
    path_option,
    yes_option,
)
from headrace.cli.progress import show_progress
from headrace.cli.running_options import RunningOptions, running_options
from headrace.cli.session import Session
from headrace.cli.suggestion_view import render_suggestion, suggestion_to_json
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.formats.experiment import load_experiment
from headrace.operations.compare_arguments import change_experiment
from headrace.operations.suggest_examples import SuggestRequest, suggest_examples


@click.command(
    "suggest",
    cls=Verb,
    examples=(
        (
            "Examples from a train file",
            "headrace experiment suggest flows/triage/experiment.yaml --train flows/triage/data/train.jsonl",
        ),
        ("From the lines of a split", "headrace experiment suggest experiment.yaml --train split=train"),
        (
            "Questions and answers written otherwise",
            "headrace experiment suggest experiment.yaml --train 0.5 --example 'Question: {{question}}' "
            "--answer '{{answer}} [{{source}}]'",
        ),
    ),
)
@click.argument("file", type=click.Path(path_type=Path))
@environment_option()
@click.option(
    "--train",
    required=True,
    metavar="PATH|COLUMN=VALUE|SHARE",
    help="Lines to choose from: a file, a split of the experiment's data, or a share of its lines.",
)
@click.option(
    "--baseline", metavar="ARM", help="Arm whose prompt gets examples; default that of the experiment."
)
@click.option("--node", metavar="NODE", help="Its llm node; default the only one.")
@click.option(
    "--shots", type=click.IntRange(min=1), default=8, metavar="K", help="Examples of a prompt; default 8."
)
@click.option(
    "--candidates",
    type=click.IntRange(min=1, max=50),
    default=3,
    metavar="N",
    help="Selections of each kind; default 3.",
)
@click.option(
    "--example", metavar="TEMPLATE", help="How a question is written; default as the prompt's last message."
)
@click.option(
    "--answer",
    metavar="COLUMN|TEMPLATE",
    help="What an example answers; default the column evaluators compare with.",
)
@click.option("--seed", type=int, metavar="N", help="Seed of all draws; default that of the experiment.")
@path_option("--out", "folder", help="Folder to write; default that of the flow with _suggested behind it.")
@yes_option("Write into a folder that exists.")
@running_options()
@cache_option()
@form_option("table", "json", help="Form of the result; default a table at a terminal, else JSON.")
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    file: Path,
    environment: str | None,
    train: str,
    baseline: str | None,
    node: str | None,
    shots: int,
    candidates: int,
    example: str | None,
    answer: str | None,
    seed: int | None,
    folder: Path | None,
    yes: bool,
    running: RunningOptions,
    cache: bool | None,
    form: str | None,
) -> int:
    """Suggest examples for a prompt, and measure what they gain.

    FILE is an experiment, which may have one arm only. Examples are selected in one half of the train lines: those that
    stand for most others, those that the baseline gets wrong, and random ones. The best selection is chosen by the
    other half and then measured on the lines of the experiment, which had no part in it, beside the baseline and random
    examples. The flow is copied with the new prompts as variants; nothing that exists is changed.
    """
    given = {"baseline": baseline, "cache": cache}
    experiment = load_experiment(file, environment, may_be_alone=True)
    experiment = change_experiment(
        experiment, {key: value for key, value in given.items() if value is not None}
    )
    request = SuggestRequest(
        train=train, folder=folder, node=node, shots=shots, candidates=candidates, example=example, answer=answer,
        seed=seed, is_replacing=yes,
    )  # fmt: skip
    with command_workspace(session) as workspace, show_progress(session, running.events) as on_event:
        found = suggest_examples(workspace, experiment, request, on_event, running.cap, running.where)
    if choose_form(form, session) == "json":
        session.write_json(suggestion_to_json(found))
    else:
        session.write(render_suggestion(found, session))
    return ExitCode.OK
