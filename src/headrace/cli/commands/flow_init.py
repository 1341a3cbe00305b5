"""``headrace flow init``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from shlex import quote

import click

from headrace.cli.options import Verb, pairs_option, path_option, yes_option
from headrace.cli.session import Session, fail_usage
from headrace.errors import ExitCode
from headrace.operations.init_flow import KINDS, RUN_BY_FILE, init_flow
from headrace.providers.loading import load_by_name

_WRAP = "headrace.operations.wrap_function:wrap_function"
"""Reached by name: it loads what runs Python tools."""


@click.command(
    "init",
    cls=Verb,
    examples=(
        ("A flow in a new folder", "headrace flow init --flow my_flow"),
        (
            "An evaluation flow beside it",
            "headrace flow init --flow my_flow/evaluation/exact --type evaluation",
        ),
        ("One that answers from pages", "headrace flow init --flow my_flow --type rag"),
        (
            "A flow around a function that you have",
            "headrace flow init --flow intent --entry intent.py --function extract_intent "
            "--prompt-template prompt=ask.jinja2",
        ),
    ),
)
@path_option("--flow", required=True, help="Folder for the flow; made when it is missing.")
@click.option(
    "--type",
    "kind",
    type=click.Choice(KINDS),
    default=KINDS[0],
    metavar="|".join(KINDS),
    help=f"What kind of flow; default {KINDS[0]}.",
)
@click.option("--entry", metavar="FILE", help="Python file in the folder that holds --function.")
@click.option("--function", metavar="NAME", help="Function that the flow is made around.")
@pairs_option("--prompt-template", help="Parameters of the function that a template's text goes to.")
@yes_option("Overwrite files that are in the way.")
@click.pass_obj
def command(
    session: Session,
    *,
    flow: Path,
    kind: str,
    entry: str | None,
    function: str | None,
    prompt_template: Mapping[str, str],
    yes: bool,
) -> int:
    """Create a flow that runs, to start from.

    A standard flow fills a prompt and counts its words in Python; a chat flow talks to a model;
    an evaluation flow scores every line of a run and logs metrics over all of them; a rag flow
    answers from pages and says from which; a prompty is a prompt in one file; a flex flow is a
    class. All run without a key, with baseline, a non-neural reader that is built in. With
    --entry and --function, a flow is written around a function that exists. Nothing that
    exists is overwritten without --yes.
    """
    if bool(entry) != bool(function) or (prompt_template and not entry):
        fail_usage("--entry and --function belong together.", "Say --entry FILE.py --function NAME.")
    if entry and function:
        return _wrap(session, flow, entry, function, prompt_template, is_replacing=yes)
    for path in init_flow(flow, kind, is_replacing=yes):
        session.write(str(path))
    session.note(f"\nRun it:  headrace flow test --flow {quote(str(flow / RUN_BY_FILE.get(kind, '')))}")
    return ExitCode.OK


def _wrap(
    session: Session,
    flow: Path,
    entry: str,
    function: str,
    templates: Mapping[str, str],
    *,
    is_replacing: bool,
) -> int:
    made = load_by_name(_WRAP)(flow, entry, function, templates, is_replacing=is_replacing)
    for path in made.files:
        session.write(str(path))
    if made.left_out:
        session.note(f"\nThese keep the default of {function}: {', '.join(made.left_out)}.")
    for name in made.connections:
        session.note(f"\nIt uses a connection named {name}: correct the name in flow.dag.yaml, or create it.")
    given = " ".join(f"{name}=VALUE" for name in made.inputs)
    session.note(
        f"\nRun it:  headrace flow test --flow {quote(str(flow))}" + (f" --inputs {given}" if given else "")
    )
    return ExitCode.OK
