"""Things that go wrong in Azure while a deployment file is applied, for what is said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.support.azure.stand_in import StandIn
from tests.support.azure.things import Things, register
from tests.support.azure.workspace_connections import add_connection

from headrace.config import load_settings
from headrace.deploy.azure_failures import azure_failures
from headrace.domain.deployment import AzurePlace, Deployment, Endpoint, FlowChoice, Size
from headrace.errors import HeadraceError, Problem
from headrace.formats.positions import load_yaml
from headrace.providers.azure_credential import AzureCredential
from headrace.providers.azure_sources import AzureSources

DEPLOYMENT_FILE = """\
name: triage
target: azureml
flow: triage@3
azure:
  subscription: 00000000-0000-0000-0000-000000000000
  resource_group: rg
  workspace: ws
identities: [/x]
size: {instance_type: Standard_DS3_v2}
probes: {readiness: {period_s: 5}}
environment: {KEY: {keyvault: "https://kv.vault.azure.net/secrets/k"}}
scale: {min: 1}
"""


def endpoint(text: str = DEPLOYMENT_FILE) -> tuple[Endpoint, Deployment]:
    """An endpoint of a file, with one deployment that is called ``blue``."""
    data, source_map = load_yaml(text, "deployment.yaml")
    size = Size(instance_type=data.get("size", {}).get("instance_type", ""))
    blue = Deployment(name="blue", arm="blue", flow=FlowChoice(source="triage@3"), size=size)
    place = AzurePlace(subscription="0", resource_group="rg", workspace="ws")
    made = Endpoint(name="triage", target="azureml", deployments=(blue,), place=place, source_map=source_map)
    return made, blue


def azure_problems(folder: Path, case: Mapping[str, Any]) -> Sequence[Problem]:
    """The problems of one deployment that goes wrong.

    Args:
        folder: For the stand-in.
        case: ``fault``, see :class:`Fault`; ``deny``, see :meth:`Access.deny`; ``environment``, variables that are
            changed; ``group``, the resource group that is asked for; ``log``, lines of the container.
    """
    wished, blue = endpoint()
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        azure = stack.enter_context(StandIn(folder))
        azure.enter(patch)
        register(azure)
        for name, value in case.get("environment", {}).items():
            patch.setenv(name, value)
        if "fault" in case:
            azure.faults.add(**{"method": "PUT", "path": "things/blue$", **case["fault"]})
        if "deny" in case:
            azure.access.deny(**case["deny"])
        credential = stack.enter_context(AzureCredential())
        things = stack.enter_context(Things(azure, credential))
        try:
            with azure_failures("deployment blue", wished, blue, log=lambda: case.get("log", ())):
                things.put("blue", group=case.get("group", "rg")).result()
        except HeadraceError as error:
            return error.problems
        return ()


def azure_source_problems(folder: Path, case: Mapping[str, Any]) -> Sequence[Problem]:
    """The problems of a connection, or a secret, that is kept in Azure.

    Args:
        folder: For the stand-in.
        case: ``connection``, see :func:`add_connection`; ``secret``, an address in a vault; ``deny``, see
            :meth:`Access.deny`.
    """
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        azure = stack.enter_context(StandIn(folder))
        azure.enter(patch)
        if "deny" in case:
            azure.access.deny(**case["deny"])
        sources = AzureSources(load_settings(), folder)
        stack.callback(sources.close)
        try:
            if "secret" in case:
                azure.vaults.add("kv", "other", "value")
                sources.vault_secret(case["secret"])
            else:
                made = add_connection(azure, "c", **case["connection"])
                sources.find(f"azureml:/{made.id}")
        except HeadraceError as error:
            return error.problems
        return ()
