"""``headrace evaluator show``."""

from __future__ import annotations

from collections.abc import Mapping

import click

from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.operations.describe_evaluators import find_evaluator


@click.command("show", cls=Verb, examples=(("One of them", "headrace evaluator show f1"),))
@click.argument("name", metavar="NAME")
@click.option("--output", type=click.Choice(["text", "json"]), default="text", help="Form; default text.")
@click.pass_obj
def command(session: Session, /, *, name: str, output: str) -> int:
    """Say what an evaluator measures, takes and gives.

    Its inputs, options and outputs, what happens to empty and wrong values, the library behind it
    with its version, and an entry of an experiment file.
    """
    found = find_evaluator(name)
    if output == "json":
        session.write_json(found.to_json())
        return ExitCode.OK
    library = f"\n\nlibrary: {found.library} {found.version or '(not installed)'}" if found.library else ""
    parts = [
        f"{found.name}: {found.title}\n{found.note}",
        _section("inputs", found.inputs),
        _section("options", found.options),
        _section("outputs", found.outputs),
        f"example\n  evaluators:\n  - {found.example}",
    ]
    session.write("\n\n".join(part for part in parts if part) + library)
    return ExitCode.OK


def _section(title: str, entries: Mapping[str, str]) -> str:
    lines = [f"  {name}: {text}" for name, text in entries.items()]
    return "\n".join([title, *lines]) if lines else ""
