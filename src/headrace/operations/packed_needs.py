"""What a packed flow needs to be installed with it, and which connections it names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from headrace.domain.connection import Connection, Secret, override_variable
from headrace.domain.flow import Flow
from headrace.errors import UsageError
from headrace.formats.paths import is_file
from headrace.formats.requirements import Requirement, parse_requirement
from headrace.operations.project_needs import connection_needs, python_sources
from headrace.operations.workspace import Workspace
from headrace.planning.flow_version import secret_values

_REFERENCE = re.compile(r"\$\{env:([^}]+)\}")
_INCLUDE = re.compile(r"(?:-r|--requirement)[ =]\s*(\S+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRequirements:
    """The lines of a flow's requirements.

    Attributes:
        lines: What is installed.
        replaced: Those that are not, because headrace brings their names.
        parsed: The former, as far as they name distributions.
    """

    lines: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()
    parsed: tuple[Requirement, ...] = ()


def flow_requirements(file: Path) -> FlowRequirements:
    """Read a file of requirements with those that it includes; a file that is not there asks for nothing.

    Raises:
        OSError: It cannot be read.
    """
    lines: list[str] = []
    replaced: list[str] = []
    parsed: list[Requirement] = []
    for line in _lines(file, set()):
        item = parse_requirement(line)
        if item is not None and re.fullmatch(r"promptflow(-[a-z]+)?|headrace", item.name):
            replaced.append(line)
            continue
        lines.append(line)
        if item is not None:
            parsed.append(item)
    return FlowRequirements(lines=tuple(lines), replaced=tuple(replaced), parsed=tuple(parsed))


def _lines(file: Path, seen: set[Path]) -> Iterator[str]:
    if file in seen or not is_file(file):
        return
    seen.add(file)
    for line in file.read_text(encoding="utf-8-sig", errors="replace").replace("\\\n", " ").splitlines():
        text = line.strip()
        included = _INCLUDE.fullmatch(text)
        if included:
            yield from _lines(file.parent / included[1], seen)
        elif text and not text.startswith("#"):
            yield text


def packed_connections(workspace: Workspace, flow: Flow) -> tuple[Connection, ...]:
    """The connections that a flow names, every secret as the variable that overrides it.

    Plain fields that read variables keep their references: what they hold here may be secret as well.
    """
    needs = connection_needs(workspace, flow, python_sources(flow, PurePath(flow.folder)))
    found = []
    for name in dict.fromkeys(need.name for need in needs if need.kind == "connection"):
        connection = _unresolved(workspace, name)
        if connection is not None and connection.type != "baseline":
            secrets = {key: Secret(variable=override_variable(name, key)) for key in connection.secrets}
            configs = {key: _without_key(name, key, text) for key, text in connection.configs.items()}
            found.append(replace(connection, configs=configs, secrets=secrets))
    return tuple(found)


def _without_key(name: str, key: str, text: str) -> str:
    """A plain field; a key or password that was written into one becomes a variable all the same."""
    return f"${{env:{override_variable(name, key)}}}" if secret_values({key: text}) else text


def _unresolved(workspace: Workspace, name: str) -> Connection | None:
    try:
        return replace(workspace.connections.stored(name), name=name)
    except UsageError:  # in no file: from the environment, or of prompt flow's JSON
        return workspace.connections.find(name)


def connection_variables(connections: Sequence[Connection]) -> tuple[str, ...]:
    """The variables that connections read, each once, in order."""
    return tuple(dict.fromkeys(_variables(connections)))


def _variables(connections: Iterable[Connection]) -> Iterator[str]:
    for connection in connections:
        yield from (secret.variable for secret in connection.secrets.values() if secret.variable)
        for text in connection.configs.values():
            yield from _REFERENCE.findall(text)


def needs_entra(connections: Iterable[Connection]) -> bool:
    """Whether a connection asks Microsoft Entra ID for tokens."""
    return any(
        item.type.startswith("azure_open_ai")
        and ("api_key" not in item.secrets or item.configs.get("auth_mode") == "meid_token")
        for item in connections
    )
