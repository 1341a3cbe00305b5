"""``headrace ab assign``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from headrace.cli.options import Verb, choose_form, form_option
from headrace.cli.session import Session, fail_usage
from headrace.cli.traffic_view import assignment_to_json, render_assignments
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.formats.traffic import read_traffic
from headrace.operations.preview_traffic import assign_units, find_revision
from headrace.planning.asked_facts import MAX_FACT_CHARS


@click.command(
    "assign",
    cls=Verb,
    examples=(
        ("Who gets what", "headrace ab assign flows/triage/traffic.yaml --unit ann --unit bob"),
        (
            "Where conditions look at something",
            "headrace ab assign traffic.yaml --unit ann --attribute x-country=DE",
        ),
        ("As it was", "headrace ab assign traffic.yaml --unit ann --revision 1"),
    ),
)
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--unit", "units", metavar="ID", multiple=True, required=True, help="A unit; repeatable.")
@click.option(
    "--attribute",
    "attributes",
    metavar="NAME=VALUE",
    multiple=True,
    help="What conditions look at: the name of a header, cookie or field, or place:name; repeatable.",
)
@click.option(
    "--revision",
    "number",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="What held; default: what holds, or what the file begins with.",
)
@form_option("json", "table", help="How to print; default: table at a terminal, else json.")
@click.pass_obj
def command(
    session: Session,
    *,
    file: Path,
    units: tuple[str, ...],
    attributes: tuple[str, ...],
    number: int | None,
    form: str | None,
) -> int:
    """Say which arm units get, and why.

    The same function as in the server: whoever writes in asks why they were shown something.
    """
    given = {name: value for text in attributes for name, value in _read_attribute(text)}
    _refuse_absent(units)
    traffic = read_traffic(file)
    with command_workspace(session) as workspace:
        revision = find_revision(workspace.store, traffic, workspace.now(), number)
    found = assign_units(traffic, revision, units, given)
    if revision.digest != traffic.digest:
        session.note(f"The file is not the one of revision {revision.number}, whose shares count here.")
    if choose_form(form, session) == "json":
        session.write_json(
            [assignment_to_json(unit, item, revision) for unit, item in zip(units, found, strict=True)]
        )
    else:
        session.write(render_assignments(units, found, session.terminal))
    return ExitCode.OK


def _refuse_absent(units: tuple[str, ...]) -> None:
    """Refuse what a server takes for no unit, as each request without one gets any arm."""
    if not all(0 < len(unit) <= MAX_FACT_CHARS for unit in units):
        fail_usage(
            f"A unit has 1 to {MAX_FACT_CHARS:,} characters; what a request gives beyond that counts as absent.",
            "Name a unit. A request without one is a unit of its own, and gets any arm.",
        )


def _read_attribute(text: str) -> Iterator[tuple[str, str]]:
    """An attribute by its name, and in small letters, as rules have the names of headers."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        fail_usage(f"{text!r} is no attribute.", "Write NAME=VALUE.")
    yield name, value
    yield name.lower(), value
