"""``headrace data from-traffic``."""

from __future__ import annotations

from pathlib import Path

import click

from headrace.cli.data_view import say_origin
from headrace.cli.options import Verb, pairs_option
from headrace.cli.session import Session
from headrace.cli.wording import plural
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.sample_traffic import TrafficSample, sample_traffic


@click.command(
    "from-traffic",
    cls=Verb,
    examples=(
        ("What people disliked", "headrace data from-traffic triage disliked.jsonl --feedback thumbs=0"),
        ("As many of every arm", "headrace data from-traffic triage live.jsonl --per-arm 100 --seed 7"),
        (
            "A slice, without a field",
            "headrace data from-traffic triage de.jsonl --where header:x-country=DE --redact text",
        ),
    ),
)
@click.argument("test", metavar="TEST")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "--arm", "arms", multiple=True, metavar="NAME", help="Only requests of this arm; may be repeated."
)
@click.option(
    "--feedback",
    multiple=True,
    metavar="METRIC=VALUE",
    help="Only requests of which this was said: thumbs=0, rating<3, rating>=4; may be repeated.",
)
@click.option("--failed", is_flag=True, help="Only requests that failed in their arm.")
@pairs_option(
    "--where", help="Only requests with this input, output:NAME, or attribute such as header:x-country."
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Draw at most N requests.")
@click.option(
    "--per-arm", type=click.IntRange(min=1), metavar="N", help="Draw at most N requests of each arm."
)
@click.option("--seed", type=int, default=0, metavar="N", help="Another draw; default 0.")
@click.option(
    "--redact", multiple=True, metavar="FIELD", help="Leave this field out as well; may be repeated."
)
@click.option("-y", "--yes", is_flag=True, help="Overwrite the file.")
@click.pass_obj
def command(
    session: Session,
    *,
    test: str,
    file: Path,
    arms: tuple[str, ...],
    feedback: tuple[str, ...],
    failed: bool,
    where: dict[str, str],
    limit: int | None,
    per_arm: int | None,
    seed: int,
    redact: tuple[str, ...],
    yes: bool,
) -> int:
    """Make data of logged live requests, for the next experiment.

    FILE gets one JSON line for each request: its inputs, what the arm answered, and what was said of it.
    Where the traffic file asks for consent, only requests that gave it are taken; units are never
    written. The file is kept as a version of data that says where it comes from.
    """
    sample = TrafficSample(
        test=test,
        arms=arms,
        feedback=feedback,
        is_failed=failed,
        where=where,
        limit=limit,
        per_arm=per_arm,
        seed=seed,
        redact=redact,
    )
    with command_workspace(session) as workspace:
        version = sample_traffic(workspace, sample, workspace.cwd / file, is_replacing=yes)
    session.write(f"{plural(version.n_lines, 'line')} written to {file}, version {version.name}.")
    if version.origin is not None:
        session.note(say_origin(version.origin))
    return ExitCode.OK
