"""Options of commands about accounts of Azure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from headrace.operations.deploy_models import GROUP, SUBSCRIPTION


def azure_account_options() -> Callable[..., Any]:
    """``--account``, ``--group`` and ``--subscription`` of an account that models are deployed in."""
    account = "Account of Azure OpenAI or Foundry; default: the only one."
    options = (
        click.option("--subscription", metavar="ID", help=f"Subscription of Azure; default: {SUBSCRIPTION}."),
        click.option("--group", metavar="NAME", help=f"Resource group; default: {GROUP}, or any."),
        click.option("--account", metavar="NAME", help=account),
    )

    def add(function: Any) -> Any:
        for option in options:
            function = option(function)
        return function

    return add
