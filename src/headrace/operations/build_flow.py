"""Pack a flow for a container: ``flow build`` (promptflow-format: 10)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Any

from headrace import __version__
from headrace.domain.connection import Connection, Secret
from headrace.domain.flow import DAG, Flow
from headrace.domain.variant import Arm, Variant
from headrace.errors import DefinitionError, Problem, UsageError, raise_if_errors
from headrace.formats.connection_file import render_connection
from headrace.formats.flow_file import read_flow
from headrace.formats.includes import copy_merged
from headrace.formats.paths import is_file
from headrace.formats.positions import dump_yaml, read_text, read_yaml
from headrace.operations.check_flow import check_flow
from headrace.operations.describe_tools import describe_flow_tools
from headrace.operations.new_files import cannot_write, write_files
from headrace.operations.project_needs import connection_needs, python_sources
from headrace.operations.served_sources import find_served_file
from headrace.operations.workspace import Workspace
from headrace.planning.select import apply_arm, parse_variant
from headrace.providers.authorization import override_variable

_IMAGE = Path(__file__).parent / "image"
_BASE = "docker.io/library/python:3.12-slim"
_NOT_PACKED = (".env", ".env.*", "*.env", ".azureml")
_OWN_FILES = ("flow", "connections", "settings.json", "Dockerfile", "start.sh", "README.md")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltFlow:
    """What was packed.

    Attributes:
        folder: Where it is.
        settings: Environment variables that the container needs.
        left_out: Files of the flow that were not packed, because they hold secrets.
        warnings: Findings that did not stop it.
    """

    folder: Path
    settings: tuple[str, ...]
    left_out: tuple[str, ...]
    warnings: tuple[Problem, ...]


def build_flow(
    workspace: Workspace,
    source: Path,
    output: Path,
    *,
    variant: str | None = None,
    is_flow_only: bool = False,
) -> BuiltFlow:
    """Write everything that serves a flow into ``output``: an earlier build there is replaced.

    Args:
        workspace: For the connections that the flow names.
        source: Flow folder or file.
        output: Folder to write.
        variant: ``${node.variant}``; default: the default variants.
        is_flow_only: Only the flow, straight into ``output``.

    Raises:
        DefinitionError: Everything that is wrong with the flow; a secret that is not set here is no obstacle.
        UsageError: V301 or V302 for the variant, S806 when ``output`` holds something else.
        StateError: S808 when it cannot be written.
    """
    file = find_served_file(source)
    problems = tuple(item for item in check_flow(workspace, file) if item.code != "C503")
    raise_if_errors(problems)
    flow, _ = read_flow(file)
    if flow is None:  # then there was an error
        raise DefinitionError(*problems)
    choices = dict([parse_variant(variant)]) if variant else {}
    arm = Arm(name="build", variant=Variant(name="build", choices=choices))
    chosen = apply_arm(flow, arm, lambda _: None)
    _make_room(output)
    target = output if is_flow_only else output / "flow"
    left_out = _copy_flow(flow, file, target, choices)
    _describe_tools(target, file.name)
    settings: tuple[str, ...] = ()
    if not is_flow_only:
        connections = tuple(_connections(workspace, chosen))
        settings = tuple(_variables(connections))
        write_files(_image_files(output, chosen, file, connections, settings), is_replacing=True)
    return BuiltFlow(folder=output, settings=settings, left_out=left_out, warnings=problems)


def _make_room(output: Path) -> None:
    """Take an earlier build away.

    Raises:
        UsageError: S806 when the folder holds anything else.
    """
    if not output.exists():
        return
    inside = sorted(path.name for path in output.iterdir()) if output.is_dir() else [output.name]
    is_build = {"flow", "Dockerfile", "start.sh"} <= set(inside)
    if inside and not is_build:
        what = f"{output} holds something that is no earlier build."
        raise UsageError(Problem(code="S806", what=what, fix="Name an empty folder with --output."))
    try:
        for name in (name for name in _OWN_FILES if name in inside):
            path = output / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise cannot_write(output, error) from error


def _copy_flow(flow: Flow, file: Path, target: Path, choices: Mapping[str, str]) -> tuple[str, ...]:
    """Copy the flow with its includes, its variants settled in the file; what was left out comes back."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            target.rmdir()  # empty, or it would have been refused
        copy_merged(flow, target)
        left_out = sorted({path for pattern in _NOT_PACKED for path in target.rglob(pattern)})
        for path in left_out:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    except OSError as error:
        raise cannot_write(target, error) from error
    if flow.node_variants or flow.additional_includes:
        text = dump_yaml(_settled(flow, file, choices))
        write_files({target / file.name: text}, is_replacing=True)
    return tuple(path.relative_to(target).as_posix() for path in left_out)


def _settled(flow: Flow, file: Path, choices: Mapping[str, str]) -> dict[str, Any]:
    """The content of the flow file without variants and includes: those of choice stand in their places."""
    data, _, _ = read_yaml(read_text(file), str(file))
    choices = {**{name: offer.default for name, offer in flow.node_variants.items()}, **choices}
    offered = data.pop("node_variants", None) or {}
    data.pop("additional_includes", None)
    nodes = data.get("nodes")
    if isinstance(nodes, list):
        data["nodes"] = [_chosen_node(node, offered, choices) for node in nodes]
    return dict(data)


def _chosen_node(node: Any, offered: Mapping[str, Any], choices: Mapping[str, str]) -> Any:
    if not isinstance(node, dict) or not node.get("use_variants"):
        return node
    name = str(node["name"])
    return {"name": node["name"], **offered[name]["variants"][choices[name]]["node"]}


def _describe_tools(target: Path, name: str) -> None:
    """Write ``.promptflow/flow.tools.json`` beside a DAG flow."""
    flow, _ = read_flow(target / name)
    if flow is None or flow.kind != DAG:
        return
    with chdir(target):
        described = describe_flow_tools(flow, Path(flow.folder))
    for compiled in sorted(target.rglob("__pycache__")):  # the tools were imported from here
        shutil.rmtree(compiled, ignore_errors=True)
    text = json.dumps(described.to_json(), indent=4, ensure_ascii=False) + "\n"
    write_files({target / ".promptflow" / "flow.tools.json": text}, is_replacing=True)


def _connections(workspace: Workspace, flow: Flow) -> Iterator[Connection]:
    """The connections that the flow names, their secrets as environment variables."""
    needs = connection_needs(workspace, flow, python_sources(flow, PurePath(flow.folder)))
    for name in dict.fromkeys(need.name for need in needs if need.kind == "connection"):
        connection = workspace.connections.find(name)
        if connection is not None and connection.type != "baseline":
            secrets = {key: Secret(variable=override_variable(name, key)) for key in connection.secrets}
            yield replace(connection, secrets=secrets)


def _variables(connections: Sequence[Connection]) -> Iterator[str]:
    for connection in connections:
        yield from (secret.variable for secret in connection.secrets.values() if secret.variable)


def _image_files(
    output: Path, flow: Flow, file: Path, connections: Sequence[Connection], settings: Sequence[str]
) -> dict[Path, str]:
    options = "".join(f" --env {name}=…" for name in settings)
    readme = (_IMAGE / "README.md").read_text(encoding="utf-8")
    files = {
        output / "Dockerfile": _dockerfile(flow, file, connections),
        output / "start.sh": (_IMAGE / "start.sh").read_text(encoding="utf-8"),
        output / "settings.json": json.dumps(dict.fromkeys(settings, ""), indent=2) + "\n",
        output / "README.md": readme.format(name=_image_name(flow.name), variables=options),
    }
    for connection in connections:
        path = output / "connections" / f"{connection.name}.yaml"
        files[path] = render_connection(connection, show_secrets=True)
    return files


def _image_name(name: str) -> str:
    """A name that Docker takes."""
    plain = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in name.lower())
    return plain.strip("-") or "flow"


def _dockerfile(flow: Flow, file: Path, connections: Sequence[Connection]) -> str:
    wanted = _environment(flow, file)
    needs_entra = any(item.type == "azure_open_ai" and "api_key" not in item.secrets for item in connections)
    extras = "serve,azure" if needs_entra else "serve"
    lines = [
        "# syntax=docker/dockerfile:1",
        f"FROM {wanted.get('image', _BASE)}",
        "WORKDIR /app",
        "RUN useradd --create-home app && chown app /app",
        f'ARG HEADRACE="headrace[{extras}]=={__version__}"',
        'RUN pip install --no-cache-dir "$HEADRACE"',
    ]
    requirements = wanted.get("python_requirements_txt", "requirements.txt")
    if is_file(file.parent / requirements):
        lines += [
            f"COPY ./flow/{requirements} /tmp/requirements.txt",
            "RUN pip install --no-cache-dir --requirement /tmp/requirements.txt",
        ]
    if "conda_file" in wanted:
        lines.append("# The conda_file of the flow is not read: list its packages in requirements.txt.")
    lines.append("COPY --chown=app ./flow ./flow")
    if "setup_sh" in wanted:
        lines.append(f"RUN sh ./flow/{wanted['setup_sh']}")
    if connections:
        lines.append("COPY --chown=app ./connections ./connections")
    lines += ["COPY --chown=app ./start.sh ./", "USER app", "EXPOSE 8080", 'CMD ["sh", "./start.sh"]']
    return "\n".join(lines) + "\n"


def _environment(flow: Flow, file: Path) -> dict[str, str]:
    """The block ``environment`` of the flow file."""
    if file.suffix == ".prompty":
        return {}
    data, _, _ = read_yaml(read_text(file), str(file))
    found = data.get("environment")
    return {key: str(value) for key, value in found.items() if value} if isinstance(found, dict) else {}
