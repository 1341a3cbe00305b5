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
from headrace.errors import ExitCode, Problem
from headrace.operations.serve_flow import ServeCalls, ServeRequest, serve_flow
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
            "With a tenth of its requests, and all that fail, kept as lines of a run",
            "headrace flow serve --source my_flow --keep errors,share=0.1",
        ),
        ("With its requests split among arms", "headrace flow serve --traffic flows/triage/traffic.yaml"),
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
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    metavar="N",
    help="Processes that share the port; default: PROMPTFLOW_WORKER_NUM, else 1.",
)
@click.option(
    "--reload", "is_watching", is_flag=True, help="Take over new versions of the flows as they come."
)
@path_option(
    "--traffic",
    "traffic",
    multiple=True,
    help="File of an online test that splits the requests of a flow among arms; once for each flow.",
)
@click.option(
    "--no-watch", "is_unwatched", is_flag=True, help="Leave it to headrace ab watch to judge these tests."
)
@click.option(
    "--keep",
    is_flag=False,
    flag_value="1",
    metavar="[SHARE]",
    help="Keep this share of the requests, with inputs and outputs, as lines of a run; or those of a rule, such as "
    "errors,slow=2,share=0.1. Alone: all. Default: HEADRACE_SERVE_KEEP, else none.",
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
    workers: int | None,
    is_watching: bool,
    traffic: tuple[Path, ...],
    is_unwatched: bool,
    keep: str | None,
    environment_variables: tuple[str, ...],
    init: tuple[str, ...],
    skip_open_browser: bool,
    **access: Any,
) -> int:
    """Serve a flow over HTTP.

    POST a JSON object of inputs to /score; the outputs come back as JSON, or piece by piece to a
    client that accepts text/event-stream. There are /health, /readyz, /version, /swagger.json and
    /feedback as well. Aggregation nodes do not run. Ends with Ctrl-C or SIGTERM, after the
    requests in flight. Needs the extra serve.

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
        workers=workers,
        is_watching=is_watching,
        traffic=traffic,
        is_judging=not is_unwatched,
        keep=keep,
    )

    def on_ready(base_url: str, served: Sequence[FlowSource]) -> None:
        answers = "".join(f"{item.given} answers at {base_url}{item.path}/score\n" for item in served)
        session.write(f"{answers}Ctrl-C stops the server.")

    def tell(text: str, problems: tuple[Problem, ...]) -> None:
        session.note(text)
        if problems:
            session.show_problems(*problems)

    with command_workspace(session) as workspace:
        try:
            serve_flow(workspace, request, ServeCalls(on_ready=on_ready, tell=tell))
        except KeyboardInterrupt:  # the way to stop a server: nothing went wrong
            session.note("\nStopped.")
    return ExitCode.OK
