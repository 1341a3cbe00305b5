"""``headrace init``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePath
from shlex import quote

import click

from headrace.cli.options import Verb, yes_option
from headrace.cli.session import Session, fail_usage
from headrace.errors import ExitCode
from headrace.operations.init_project import FLOW, PROJECT, init_project, offered_name

_MADE = {
    "flows": "a flow with data, evaluation, experiments, a gate, live traffic and deployment files",
    "connections": "a model service without a key",
    "tests": "gates and plain tests, for pytest",
    "infra": "everything in Azure that lives longer than a version",
    ".github": "evaluate pull requests, deploy behind an approval, make the infrastructure",
}
"""What is in the folders of a project, for people."""


@click.command(
    "init",
    cls=Verb,
    examples=(
        ("A project in a new folder", "headrace init shop_help --flow answers"),
        ("In this folder, without Azure and GitHub", "headrace init --no-infra --no-workflows"),
    ),
)
@click.argument("where", default=".", required=False, metavar="[FOLDER]")
@click.option("--name", metavar="NAME", help="What the project is called; default: as its folder.")
@click.option(
    "--flow", default=FLOW, metavar="NAME", help=f"What its flow and its endpoint are called; default {FLOW}."
)
@click.option("--no-infra", is_flag=True, help="Leave out azure.yaml and infra.")
@click.option("--no-workflows", is_flag=True, help="Leave out .github.")
@yes_option("Overwrite files that are in the way.")
@click.pass_obj
def command(
    session: Session,
    *,
    where: str,
    name: str | None,
    flow: str,
    no_infra: bool,
    no_workflows: bool,
    yes: bool,
) -> int:
    """Create a project: a flow that is evaluated, gated, tested and deployed.

    Everything in it works at once, without a key and without a network: its flow answers with
    baseline, a non-neural reader that is built in. For Azure there are deployment files, the
    infrastructure that they need, and workflows of GitHub; README.md says what is where.
    Nothing that exists is overwritten without --yes.
    """
    if not where:
        fail_usage("The name of the folder is empty.", "Name a folder, or leave it away for this one.")
    folder = Path(where)
    called = name or offered_name(folder.resolve().name) or PROJECT
    without = [part for part, is_out in (("infra", no_infra), ("workflows", no_workflows)) if is_out]
    written = init_project(folder, called, flow, without=without, is_replacing=yes)
    session.write(f"{called} in {folder}, {len(written)} files:")
    session.write(_made(path.relative_to(folder) for path in written))
    session.note(_next(folder, flow))
    return ExitCode.OK


def _made(paths: Iterable[PurePath]) -> str:
    """A line for each folder with the number of its files, and one for the files beside them."""
    counts = Counter(path.parts[0] if len(path.parts) > 1 else "" for path in paths)
    rows = [(name, f"{counts[name]:3}  {text}") for name, text in _MADE.items() if counts[name]]
    rows.append(("README.md", f"{counts['']:3}  what is where; and other files of a project"))
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:{width}}  {text}" for name, text in rows)


def _next(folder: Path, flow: str) -> str:
    lines = [
        *([f"cd {quote(str(folder))}"] if folder != Path() else []),
        f"headrace compare flows/{flow}/experiment.yaml",
        "pytest",
        f"headrace deploy plan flows/{flow}/deployment.yaml",
    ]
    return "\n".join(("", "Next:", *(f"  {line}" for line in lines)))
