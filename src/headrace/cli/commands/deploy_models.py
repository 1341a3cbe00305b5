"""``headrace deploy models``."""

from __future__ import annotations

import click

from headrace.cli.account_options import azure_account_options
from headrace.cli.deploy_options import JSON, shape_option
from headrace.cli.model_view import models_to_json, render_models, render_serverless, serverless_to_json
from headrace.cli.options import Verb
from headrace.cli.session import Session
from headrace.errors import ExitCode
from headrace.operations.deploy_models import WORKSPACE, find_place, list_serverless, read_account


@click.command(
    "models",
    cls=Verb,
    examples=(
        ("Of the only account of a resource group", "headrace deploy models --group rg-support"),
        ("For a program", "headrace deploy models --account support-ai --format json"),
        ("Of a workspace, classic ones", "headrace deploy models --classic --workspace ml-support"),
    ),
)
@azure_account_options()
@click.option(
    "--classic", "is_classic", is_flag=True, help="List classic serverless API endpoints of a workspace."
)
@click.option("--workspace", metavar="NAME", help=f"Workspace of the classic ones; default: {WORKSPACE}.")
@shape_option()
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    account: str | None,
    group: str | None,
    subscription: str | None,
    is_classic: bool,
    workspace: str | None,
    form: str,
) -> int:
    """List the models that are deployed in an account of Azure OpenAI or Foundry.

    With version, SKU, capacity and state, and the day on which the version retires. Nothing is changed.
    """
    environment = session.settings.environment
    terminal = session.terminal
    width = terminal.width if terminal.has_tty_out else None
    if is_classic:
        endpoints = list_serverless(environment, subscription, group, workspace)
        if form == JSON:
            session.write_json(serverless_to_json(endpoints))
        elif endpoints:
            session.write(render_serverless(endpoints, ink=terminal.out, width=width))
        else:
            session.note("The workspace has no classic serverless API endpoints.")
        return ExitCode.OK
    contents = read_account(find_place(environment, subscription, group, account), session.note)
    if form == JSON:
        session.write_json(models_to_json(contents))
    elif contents.deployments:
        session.write(render_models(contents, ink=terminal.out, width=width))
    else:
        session.note(f"{contents.account.name} has no models yet: headrace deploy model NAME --model MODEL")
    return ExitCode.OK
