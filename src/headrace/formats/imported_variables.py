"""Variables of deployments that other tools made: what is for prompt flow's runtime, and what is the flow's own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.formats.deployment_secrets import looks_secret
from headrace.formats.deployment_settings import VARIABLE
from headrace.formats.import_notes import ImportNotes
from headrace.formats.shape import Block

_VAULT = re.compile(r"\$\{\{\s*keyvault:(https://[^\s}]+)\s*\}\}")
_CONNECTION = re.compile(
    r"\$\{\{\s*azureml://connections/([^/\s}]+)/(?:credentials/([^/\s}]+)|(target|metadata/[^/\s}]+))\s*\}\}"
)
_PROVIDER = re.compile(
    r"(?i)azureml:/{0,2}/?subscriptions/([^/]+)/resourcegroups/([^/]+)/providers/"
    r"microsoft\.machinelearningservices/workspaces/([^/]+)/?"
)
_PLACEHOLDER = re.compile(r"<[^<>]*>|\{\{.*\}\}|\$\{.*\}|\$\(.*\)|VAR_\w+|#\{.*\}#?")
_OVERRIDES: Final = {
    "deployment.subscription_id": "subscription",
    "deployment.resource_group": "resource_group",
    "deployment.workspace_name": "workspace",
}
_RUNTIME: Final = {
    "PROMPTFLOW_RUN_MODE": "headrace always serves.",
    "PROMPTFLOW_SERVING_ENGINE": "There is one server.",
    "PROMPTFLOW_MDC_ENABLE": "collect is the share of the requests that is collected.",
    "PF_DISABLE_TRACING": "Nothing is traced to anywhere unless telemetry variables say so.",
    "AML_APP_ROOT": "headrace says itself where the flow lies.",
}
_IS_VARIABLE = re.compile(VARIABLE)


@dataclass(slots=True)
class ImportedVariables:
    """What variables say.

    Attributes:
        environment: Of our file.
        place: Key of ``azure`` to value.
    """

    environment: dict[str, Any] = field(default_factory=dict)
    place: dict[str, str] = field(default_factory=dict)


def read_variables(block: Block, notes: ImportNotes) -> ImportedVariables:
    """Translate the variables of a block.

    Args:
        block: Name to value.
        notes: Takes what becomes of each; values are in none of them.
    """
    found = ImportedVariables()
    for name, value in block.data.items():
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        if name in _RUNTIME:
            notes.leave(block, name, _RUNTIME[name])
        elif name.startswith("AZUREML_"):
            notes.leave(block, name, "Azure Machine Learning sets it by itself.")
        elif name == "PROMPTFLOW_ENCODED_CONNECTIONS":
            found.environment[name] = {"env": name}
            why = (
                f"It holds connections with their keys: pack them with the flow, or set the variable {name}."
            )
            notes.ask(block, name, why, f"environment.{name}")
        elif name == "PRT_CONFIG_OVERRIDE":
            _read_override(block, name, text, found, notes)
        elif name == "PROMPTFLOW_CONNECTION_PROVIDER":
            _read_provider(block, name, text, found, notes)
        elif not _IS_VARIABLE.fullmatch(name):
            notes.leave(block, name, "No operating system has variables of this name.")
        else:
            _take(block, name, text, found, notes)
    return found


def _take(block: Block, name: str, text: str, found: ImportedVariables, notes: ImportNotes) -> None:
    target = f"environment.{name}"
    vault, connection = _VAULT.fullmatch(text.strip()), _CONNECTION.fullmatch(text.strip())
    if vault:
        found.environment[name] = {"keyvault": vault[1]}
        notes.add("translated", block, name, target, "The same secret of the Key Vault.")
    elif connection:
        found.environment[name] = {"connection": connection[1], "field": connection[2] or connection[3]}
        notes.add("translated", block, name, target, "The same connection of the workspace.")
    elif text and _PLACEHOLDER.fullmatch(text.strip()):
        is_key = looks_secret(name, "left out") is not None
        found.environment[name] = {"env": name} if is_key else f"${{env:{name}}}"
        notes.ask(block, name, f"Its value is filled in by another tool: set the variable {name}.", target)
    elif looks_secret(name, text):
        found.environment[name] = {"env": name}
        why = f"It is a key as text: keep it in a Key Vault, or set the variable {name} where you deploy."
        notes.ask(block, name, why, target)
    else:
        found.environment[name] = text
        notes.add("taken", block, name, target)


def _read_override(block: Block, name: str, text: str, found: ImportedVariables, notes: ImportNotes) -> None:
    others = []
    for part in text.split(","):
        key, _, value = part.strip().partition("=")
        place = _OVERRIDES.get(key.strip())
        if place is not None and value.strip() and not _PLACEHOLDER.fullmatch(value.strip()):
            found.place[place] = value.strip()
        elif place is None and key and not key.startswith("deployment."):
            others.append(key)
    why = "It says where the workspace is."
    if others:
        why += f" Settings of the old runtime are left out: {', '.join(others)}."
    notes.add("translated", block, name, "azure", why)


def _read_provider(block: Block, name: str, text: str, found: ImportedVariables, notes: ImportNotes) -> None:
    workspace = _PROVIDER.fullmatch(text.strip())
    if workspace is None:
        notes.leave(
            block, name, "Connections are packed with the flow, and their keys are named in connections."
        )
        return
    for key, value in zip(("subscription", "resource_group", "workspace"), workspace.groups(), strict=True):
        found.place.setdefault(key, value)
    why = "It says where the workspace is; connections of the flow are named in connections."
    notes.add("translated", block, name, "azure", why)
