"""``headrace deploy invoke``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from headrace.cli.deploy_options import command_deployment, file_argument, overlay_option
from headrace.cli.inputs import read_inputs
from headrace.cli.options import ManyValues, Verb, path_option
from headrace.cli.session import Session, fail_usage
from headrace.deploy.moves import check_there
from headrace.errors import ExitCode
from headrace.formats.lines import read_dataset
from headrace.operations.ask_deployment import Answered, ask_deployment, stream_deployment
from headrace.operations.open_deployment import OpenDeployment
from headrace.operations.plan_deployment import sample_of


@click.command(
    "invoke",
    cls=Verb,
    examples=(
        ("The sample of the flow", "headrace deploy invoke"),
        (
            "Inputs of your own, to one deployment",
            "headrace deploy invoke --deployment green --inputs text=hello",
        ),
        ("Every line of a file", "headrace deploy invoke --data data/test.jsonl"),
        ("Piece by piece", "headrace deploy invoke --inputs question=why --stream"),
    ),
)
@file_argument()
@overlay_option()
@click.option("--deployment", "name", metavar="NAME", help="Ask this one, whatever its traffic.")
@click.option(
    "--inputs",
    "inputs",
    cls=ManyValues,
    multiple=True,
    metavar="KEY=VALUE...",
    help="Inputs of the flow, or a .json or .jsonl file; default its sample.",
)
@path_option("--data", help="Ask with every line of this file; writes a line of JSON each.")
@click.option("--stream", is_flag=True, help="Write the answer as it comes.")
@click.pass_obj
def command(
    session: Session,
    *,
    file: Path,
    environment: str | None,
    name: str | None,
    inputs: tuple[str, ...],
    data: Path | None,
    stream: bool,
) -> int:
    """Ask a deployed flow, and say which deployment has answered."""
    if data is not None and (inputs or stream):
        fail_usage("--data goes with neither --inputs nor --stream.", "Leave one of them away.")
    with command_deployment(session, file, environment) as opened:
        name = opened.named(name) if name else None
        if data is not None:
            for columns in _lines(data):
                answered = ask_deployment(opened, name, columns)
                line = {"outputs": answered.outputs, "deployment": answered.deployment}
                session.write(json.dumps({**line, "version": answered.version}, ensure_ascii=False))
            return ExitCode.OK
        given = read_inputs(inputs) if inputs else _sample(opened, name)
        if stream:
            _write_stream(session, opened, name, given)
        else:
            answered = ask_deployment(opened, name, given)
            session.write_json(answered.outputs)
            _say_who(session, answered)
    return ExitCode.OK


def _lines(data: Path) -> Iterator[Mapping[str, Any]]:
    yield from (line.columns for line in read_dataset(data).lines)


def _sample(opened: OpenDeployment, name: str | None) -> Mapping[str, Any]:
    state = opened.target.read_state()
    check_there(opened.endpoint, state, *([name] if name else []))
    return sample_of(opened, state, name)


def _write_stream(
    session: Session, opened: OpenDeployment, name: str | None, inputs: Mapping[str, Any]
) -> None:
    with stream_deployment(opened, name, inputs) as (answered, pieces):
        for piece in pieces:
            session.write(json.dumps(piece, ensure_ascii=False))
    _say_who(session, answered)


def _say_who(session: Session, answered: Answered) -> None:
    who = answered.deployment or "The endpoint"
    version = f" with {answered.version}" if answered.version else ""
    session.note(f"{who} answered{version} (request {answered.request_id}).")
