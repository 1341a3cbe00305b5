"""The variables that a deployment runs with: text, or a secret of Key Vault, of a connection, or of the caller."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from headrace.config import is_variable
from headrace.domain.connection import override_variable
from headrace.domain.deployment import ACA, Deployment, Setting, TargetName
from headrace.errors import Problem
from headrace.formats.deployment_limits import LIMITS
from headrace.formats.deployment_secrets import looks_secret
from headrace.formats.experiment_parts import no_mapping, refuse
from headrace.formats.shape import Block, Findings
from headrace.formats.traffic_parts import one_of
from headrace.source import Pointer, Span

SOURCES: Final = ("keyvault", "connection", "env")
VAULT_URL: Final = (
    r"^https://[A-Za-z0-9-]+\.vault\.[a-z0-9.]+/secrets/[A-Za-z0-9-]{1,127}(/[A-Za-z0-9]{1,64})?/?$"
)
VARIABLE: Final = r"^[A-Za-z_][A-Za-z0-9_]*$"
_VAULT_URL = re.compile(VAULT_URL)
_VARIABLE = re.compile(VARIABLE)
_ENV = re.compile(r"\$\{env:([A-Za-z_]\w*)\}")
_KEPT = ("description", "$schema")
_KEY_FIELD = "api_key"
UNSET = "unset"
"""Stands for a variable that is not set, so that only that is said of it."""


def resolve_variables(data: Any, variables: Mapping[str, str], findings: Findings) -> Any:
    """A file's data with the values of variables in place of ``${env:NAME}``.

    Args:
        data: As read.
        variables: Of the environment.
        findings: Takes X101 for a variable that is not set, F005 for what names none, and X108 for a key that would
            become text of ``environment`` or ``tags``.
    """

    def resolve(value: Any, pointer: Pointer) -> Any:
        if isinstance(value, dict):
            return {
                key: item if not pointer and key in _KEPT else resolve(item, (*pointer, str(key)))
                for key, item in value.items()
            }
        if isinstance(value, list):
            return [resolve(item, (*pointer, place)) for place, item in enumerate(value)]
        return _resolve_text(value, pointer, variables, findings) if isinstance(value, str) else value

    return resolve(data, ())


def _resolve_text(text: str, pointer: Pointer, variables: Mapping[str, str], findings: Findings) -> str:
    if "${env:" in _ENV.sub("", text):
        what = "Here is ${env: without the name of a variable and a brace."
        findings.add("F005", pointer, what, "Write ${env:NAME}.")
        return text
    names = _ENV.findall(text)
    for name in names:
        if _is_shown(pointer) and looks_secret(name, variables.get(name, "")):
            what = f"What {name} holds seems to be a key, and it would be readable text of the deployment."
            findings.add("X108", pointer, what, f"Write {{env: {name}}}, or better {{keyvault: ADDRESS}}.")
        elif name not in variables:
            what = f"The variable {name} is not set."
            findings.add("X101", pointer, what, f"Set the environment variable {name}, or write the value.")
    return _ENV.sub(lambda found: variables.get(found[1], UNSET), text)


def _is_shown(pointer: Pointer) -> bool:
    """Whether a text stands where the target shows it to all who may read the deployment."""
    return pointer[-2:-1] in (("environment",), ("tags",)) or pointer[-3:-2] == ("connections",)


def unset_variables(deployments: Iterable[Deployment], variables: Mapping[str, str]) -> tuple[Problem, ...]:
    """X101 for every variable whose value is to become a secret of the target, and which is not set."""
    problems: dict[str, Problem] = {}
    for deployment in deployments:
        for item in deployment.settings:
            if item.variable and item.variable not in variables:
                problems.setdefault(item.name, unset_variable(item.variable, item.name, item.span))
    return tuple(problems.values())


def unset_variable(variable: str, name: str, span: Span | None = None) -> Problem:
    """X101 for a variable that is not set.

    Args:
        variable: Of whoever applies.
        name: The variable of the deployment that has its value.
        span: Where the file says so.
    """
    what = f"The variable {variable}, which {name} is taken from, is not set."
    return Problem(code="X101", what=what, span=span, fix=f"Set the environment variable {variable}.")


def read_environment(block: Block, target: TargetName) -> list[Setting]:
    """The settings of ``environment``."""
    return _read_settings(block.block("environment"), target, lambda name: name)


def read_connections(block: Block, target: TargetName) -> list[Setting]:
    """The settings of ``connections``: of each connection its key, or fields by name."""
    found: list[Setting] = []
    connections = block.block("connections")
    for name, item in connections.blocks():
        if any(key in SOURCES for key in item.data):
            setting = _read_setting(
                override_variable(name, _KEY_FIELD), item.pointer, item.data, item.findings
            )
            found += (
                [setting]
                if setting is not None and _is_fit(setting, item.pointer, item.findings, target)
                else []
            )
        else:
            found += _read_settings(item, target, partial(override_variable, name))
    return found


def _read_settings(block: Block, target: TargetName, called: Callable[[str], str]) -> list[Setting]:
    found = []
    for key, value in block.data.items():
        setting = _read_setting(called(key), block.at(key), value, block.findings)
        if setting is not None and _is_fit(setting, block.at(key), block.findings, target):
            found.append(setting)
    return found


def _read_setting(name: str, pointer: Pointer, value: Any, findings: Findings) -> Setting | None:
    span = findings.source_map.span(pointer)
    if not isinstance(value, dict):
        if isinstance(value, list):
            no_mapping(pointer, findings, "text, or a mapping with keyvault, connection or env")
            return None
        plain = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        return Setting(name=name, value=plain, span=span)
    block = Block(value, pointer, findings)
    block.check_keys((*SOURCES, "field"), "A variable", severity="error")
    source = one_of(block, SOURCES, "The variable")
    text = block.required_text(source, "The variable") if source else None
    if source != "connection" and "field" in block:
        what = "A field is chosen only of a connection."
        findings.add("F005", block.at("field"), what, "Remove field.", at_key=True)
    if source is None or text is None:
        return None
    setting = Setting(name=name, span=span)
    if source == "connection":
        return replace(setting, connection=text, field=block.text("field") or "key")
    wanted, pattern = _FORMS[source]
    if not pattern.fullmatch(text):
        refuse(block, source, wanted)
        return None
    return (
        replace(setting, vault_url=text.rstrip("/"))
        if source == "keyvault"
        else replace(setting, variable=text)
    )


_FORMS: Final = {
    "keyvault": ("the address of a secret, https://NAME.vault.azure.net/secrets/NAME", _VAULT_URL),
    "env": ("the name of a variable", _VARIABLE),
}


def _is_fit(setting: Setting, pointer: Pointer, findings: Findings, target: TargetName) -> bool:
    if not _VARIABLE.fullmatch(setting.name) or not is_variable(setting.name, setting.value or ""):
        what = f"{setting.name!r} cannot be a variable of the environment."
        fix = "Use letters, digits and _, the first no digit; a value has no null character."
        findings.add("F005", pointer, what, fix, at_key=True)
        return False
    if setting.connection is not None and target == ACA:
        what = f"{LIMITS[target].called} cannot read the connections of a workspace."
        fix = "Take the key from a Key Vault, {keyvault: ADDRESS}, or from a variable, {env: NAME}."
        findings.add("X104", pointer, what, fix)
        return False
    return True
