"""``headrace flow serve``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from headrace.cli.access_options import access_options, read_access
from headrace.cli.inputs import read_inputs, read_variables
from headrace.cli.options import ManyValues, Verb, path_option, variables_option
from headrace.cli.session import Session
from headrace.cli.workspace import command_workspace
from headrace.errors import ExitCode
from headrace.operations.serve_flow import ServeRequest, serve_flow
from headrace.operations.served_sources import FlowSource

DEFAULT_HOST, DEFAULT_PORT = "localhost", 8080
ENGINES = ("flask", "fastapi")


@click.command(
    "serve",
    cls=Verb,
    examples=(
        ("On this machine", "headrace flow serve --source my_flow"),
        (
            "Two flows by their names",
            "headrace flow serve --source ask=flows/ask --source triage=triage@prod",
        ),
        ("For others who have a key", "headrace flow serve --source my_flow --host 0.0.0.0 --keys keys.yaml"),
        (
            "Behind a gateway that checks callers",
            "headrace flow serve --source my_flow --host 0.0.0.0 --no-auth",
        ),
    ),
)
@path_option(
    "--source",
    "sources",
    multiple=True,
    help="Flow folder or file, stored version, or folder of flows; with NAME= before it, answers at /NAME.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    metavar="PORT",
    help=f"Default {DEFAULT_PORT}; 0 takes any.",
)
@click.option(
    "--host", default=DEFAULT_HOST, metavar="ADDRESS", help=f"Where to listen; default {DEFAULT_HOST}."
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    metavar="|".join(ENGINES),
    help="Taken for the sake of pf's scripts; there is one server.",
)
@variables_option()
@click.option(
    "--init",
    cls=ManyValues,
    multiple=True,
    metavar="KEY=VALUE...",
    help="Arguments of a flex flow's class, or one .json file.",
)
@access_options()
@click.option("--skip-open-browser", is_flag=True, help="Taken likewise; no browser is ever opened.")
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    sources: tuple[Path, ...],
    port: int,
    host: str,
    engine: str | None,
    environment_variables: tuple[str, ...],
    init: tuple[str, ...],
    skip_open_browser: bool,
    **access: Any,
) -> int:
    """Serve a flow over HTTP.

    POST a JSON object of inputs to /score; the outputs come back as JSON, or piece by piece to a
    client that accepts text/event-stream. There are /health, /version, /swagger.json and
    /feedback as well. Aggregation nodes do not run. Ends with Ctrl-C. Needs the extra serve.

    An address that other machines reach needs keys or tokens, or --no-auth.
    """
    del engine, skip_open_browser
    request = ServeRequest(
        sources=sources,
        host=host,
        port=port,
        environment_variables=read_variables(
            environment_variables, session.folder, session.settings.environment
        ),
        init=read_inputs(init),
        access=read_access(session, access),
    )

    def on_ready(base_url: str, served: Sequence[FlowSource]) -> None:
        answers = "".join(f"{item.source} answers at {base_url}{item.path}/score\n" for item in served)
        session.write(f"{answers}Ctrl-C stops the server.")

    with command_workspace(session) as workspace:
        try:
            serve_flow(workspace, request, on_ready)
        except KeyboardInterrupt:  # the way to stop a server: nothing went wrong
            session.note("\nStopped.")
    return ExitCode.OK
