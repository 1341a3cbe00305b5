"""Deployments that other tools made, as deployment files: what goes over, what does not, and what is left to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import relpath
from pathlib import Path, PurePath
from typing import Any, Final

from headrace.domain.version import parse_version_name
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.arms import BASELINE
from headrace.formats.deployment import read_deployment
from headrace.formats.flow_file import read_flow
from headrace.formats.import_notes import ImportNote, ImportNotes
from headrace.formats.llmops import read_template
from headrace.formats.managed_deployment import ManagedPart, managed_kind, read_managed
from headrace.formats.paths import exists, is_file, is_folder
from headrace.formats.positions import dump_yaml, read_text, read_yaml
from headrace.formats.template_deployment import read_template_deployments
from headrace.operations.project_needs import connection_needs, python_sources
from headrace.operations.workspace import Workspace

TEMPLATE_FILE: Final = "deployment_config.json"
_MARKS = ("onlineendpoint", "onlinedeployment", "endpoint_name", "auth_mode")
_PLACES: Final = {
    "subscription": "AZURE_SUBSCRIPTION_ID",
    "resource_group": "AZURE_RESOURCE_GROUP",
    "workspace": "AZUREML_WORKSPACE",
}
_MODEL = re.compile(
    r"(?:/registries/(?P<registry>[^/]+))?/models/(?P<name>[^/]+)/versions/(?P<version>[^/]+)"
)
_ORDER: Final = (
    "name", "description", "target", "flow", "azure", "authentication", "identities", "network", "size", "scale",
    "requests", "probes", "environment", "connections", "collect", "sample", "tags", "arms",
)  # fmt: skip
_ALWAYS_WHOLE: Final = ("name", "description", "authentication", "identities", "network")


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedDeployment:
    """Deployment files and what a reader must know of them.

    Attributes:
        files: The file and its overlays: path to text.
        notes: What became of every key, and what is left to do.
    """

    files: Mapping[Path, str]
    notes: tuple[ImportNote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What the files at a path say: of the endpoint, of its deployments, and where the flow may be."""

    endpoint: ManagedPart | None
    deployments: Sequence[ManagedPart]
    flow: str = ""


def import_deployment(
    workspace: Workspace, path: Path, output: Path, flow: str | None = None
) -> ImportedDeployment:
    """Convert the YAML files of a managed online endpoint, or the configuration of the LLMOps template.

    Deployments keep their names, so that each of them answers the same requests as before.

    Args:
        workspace: Knows which connections there are.
        path: A file, or a folder with the files of one endpoint.
        output: Where the file is meant to be; its paths are relative to the folder.
        flow: The flow that is served, where the files do not lead to it: a path, or the name of a version.

    Raises:
        DefinitionError: A file cannot be read, or there is nothing of the kind.
        UsageError: X111 for files of several endpoints.
    """
    notes = ImportNotes()
    template = _template_file(path)
    stages = _read_stages(template, notes) if template is not None else [("", _read_yaml_files(path, notes))]
    documents = [(stage, _document(workspace, found, output.parent, flow, notes)) for stage, found in stages]
    head = f"# Taken over from {path.name}; look at it, then: headrace deploy plan {output.name}\n"
    files = {output: head + dump_yaml(documents[0][1])}
    for stage, document in documents[1:]:
        overlay = output.with_name(f"{output.stem}.{re.sub(r'[^A-Za-z0-9_-]', '-', stage)}{output.suffix}")
        files[overlay] = dump_yaml(_difference(documents[0][1], document))
    return ImportedDeployment(files=files, notes=_once(notes.found))


def check_imported(files: Mapping[Path, str]) -> tuple[Problem, ...]:
    """What is wrong with deployment files that were written; variables count as set."""
    names = {name for text in files.values() for name in re.findall(r"\$\{env:(\w+)\}", text)}
    variables = dict.fromkeys(names, "set")
    main, *overlays = files
    found: dict[tuple[str, str], Problem] = {}
    for overlay in (None, *overlays):
        stage = None if overlay is None else overlay.stem.removeprefix(f"{main.stem}.")
        try:
            read_deployment(main, stage, variables)
        except DefinitionError as error:
            found |= {(str(item.span), item.what): item for item in error.problems}
    return tuple(found.values())


def _template_file(path: Path) -> Path | None:
    if path.suffix == ".json":
        is_managed = is_file(path) and managed_kind(read_yaml(read_text(path), str(path))[0]) is not None
        return None if is_managed else path
    places = (path / TEMPLATE_FILE, path / "configs" / TEMPLATE_FILE)
    return next((file for file in places if is_file(file)), None) if is_folder(path) else None


def _read_stages(file: Path, notes: ImportNotes) -> list[tuple[str, _Found]]:
    flow = _template_flow(file)
    return [
        (stage, _Found(endpoint=None, deployments=[part], flow=flow))
        for stage, part in read_template_deployments(file, notes)
    ]


def _template_flow(file: Path) -> str:
    """The flow of the experiment beside the configuration; empty where there is none that can be read."""
    for folder in (file.parent.parent, file.parent):
        experiment = folder / "experiment.yaml"
        if is_file(experiment):
            try:
                return str(folder / read_template(experiment).flow)
            except DefinitionError:
                return ""
    return ""


def _read_yaml_files(path: Path, notes: ImportNotes) -> _Found:
    files = [path]
    if is_folder(path):
        files = sorted(
            item for item in path.iterdir() if item.suffix in (".yml", ".yaml") and _may_be_one(item)
        )
    parts = [part for file in files if (part := read_managed(file, notes)) is not None]
    if is_file(path):
        parts += _endpoint_beside(path, parts, notes)
    endpoints = [part for part in parts if part.kind == "endpoint"]
    deployments = [part for part in parts if part.kind == "deployment"]
    names = {part.endpoint for part in (*endpoints, *deployments)}
    if len(names) > 1:
        what = f"The folder has files of {len(names)} endpoints: {', '.join(sorted(names))}."
        raise UsageError(
            Problem(code="X111", what=what, fix="Name the file of one deployment in place of the folder.")
        )
    if not names and parts:
        what = f"{parts[0].name} is deployed on Kubernetes, which is no target here."
        fix = "Build an image for it: headrace flow build. Or write a deployment file for azureml or aca."
        raise DefinitionError(Problem(code="F004", what=what, fix=fix))
    if not names:
        what = f"{path} holds no managed online endpoint or deployment of Azure Machine Learning."
        fix = f"Name its YAML file or their folder, or the {TEMPLATE_FILE} of the LLMOps template."
        raise DefinitionError(Problem(code="F004", what=what, fix=fix))
    return _Found(endpoint=endpoints[0] if endpoints else None, deployments=deployments)


def _may_be_one(file: Path) -> bool:
    """Whether a YAML file of a folder has the words of an endpoint or a deployment."""
    try:
        text = read_text(file).lower()
    except DefinitionError:
        return False
    return any(mark in text for mark in _MARKS)


def _endpoint_beside(path: Path, parts: Sequence[ManagedPart], notes: ImportNotes) -> list[ManagedPart]:
    """The endpoint that a single file of a deployment belongs to, where its file is in the same folder."""
    if not parts or parts[0].kind != "deployment":
        return []
    for file in sorted(path.parent.iterdir()):
        if file != path and file.suffix in (".yml", ".yaml") and _may_be_one(file):
            before = len(notes.found)
            try:
                part = read_managed(file, notes)
            except DefinitionError:
                part = None
            if part is not None and part.kind == "endpoint" and part.name == parts[0].endpoint:
                return [part]
            del notes.found[before:]
    return []


def _document(
    workspace: Workspace, found: _Found, folder: Path, flow: str | None, notes: ImportNotes
) -> dict[str, Any]:
    parts = found.deployments
    said: dict[str, Any] = {"target": "azureml"}
    for part in (found.endpoint, *parts):
        if part is not None:
            said |= {key: value for key, value in part.said.items() if key in _ALWAYS_WHOLE}
            said["name"] = part.endpoint
    if found.endpoint is not None:
        said |= found.endpoint.said
    arms = [dict(part.said) for part in parts]
    shared = {
        key: value
        for key, value in (arms[0] if arms else {}).items()
        if key not in _ALWAYS_WHOLE and all(arm.get(key) == value for arm in arms)
    }
    said = {**shared, **said, "tags": {**shared.get("tags", {}), **said.get("tags", {})}}
    said["azure"] = _place(parts, notes)
    flows = [_find_flow(part, found.flow, flow, folder, notes) for part in parts]
    if flows:
        said["flow"] = flows[0]
        said["connections"] = _connections(workspace, folder, flows, notes)
    if any(part.name for part in parts):
        own = [
            {key: value for key, value in arm.items() if key not in shared and key not in _ALWAYS_WHOLE}
            for arm in arms
        ]
        said["arms"] = _arms(found, own, flows, notes)
    if "sample" in said:
        said["sample"] = Path(relpath(said["sample"], folder)).as_posix()
    return {key: said[key] for key in _ORDER if said.get(key) not in (None, {}, [], "")}


def _arms(
    found: _Found, own: Sequence[dict[str, Any]], flows: Sequence[str], notes: ImportNotes
) -> list[dict[str, Any]]:
    parts = found.deployments
    traffic = dict(found.endpoint.traffic) if found.endpoint is not None else {}
    for part in parts:
        traffic |= part.traffic
    mirror = found.endpoint.mirror if found.endpoint is not None else {}
    missing = [name for name in (*traffic, *mirror) if name not in [part.name for part in parts]]
    for name in dict.fromkeys(missing):
        why = f"{name} has no file here: add it as an arm, with the version of the flow that it serves."
        notes.found.append(ImportNote(kind="to do", source=f"traffic.{name}", target="arms", why=why))
        traffic.pop(name, None)
    if len(parts) == 1 and traffic.get(parts[0].name) != 100:
        traffic = {parts[0].name: 100}
    arms = []
    for part, rest, flow in zip(parts, own, flows, strict=True):
        arm: dict[str, Any] = {"name": part.name}
        if part.name in mirror:
            arm["mirror"] = mirror[part.name]
        elif traffic:
            arm["traffic"] = traffic.get(part.name, 0)
        arms.append(arm | ({"flow": flow} if flow != flows[0] else {}) | rest)
    return arms


def _place(parts: Sequence[ManagedPart], notes: ImportNotes) -> dict[str, str]:
    place = {key: value for part in reversed(parts) for key, value in part.place.items()}
    for key, variable in _PLACES.items():
        if key not in place:
            place[key] = f"${{env:{variable}}}"
            why = f"The files do not say it: set the variable {variable}, or write it."
            notes.found.append(ImportNote(kind="to do", source="", target=f"azure.{key}", why=why))
    return {key: place[key] for key in _PLACES}


def _find_flow(part: ManagedPart, beside: str, given: str | None, folder: Path, notes: ImportNotes) -> str:
    """The flow of a deployment as the file says it; a name to fill in where nothing leads to it."""
    if given is not None:
        is_version = parse_version_name(given) is not None and not exists(Path(given))
        return given if is_version else _relative(Path(given), folder)
    path = part.file.parent / part.model if part.model else Path(beside) if beside else None
    source = "model.path" if part.model else "model"
    if path is not None and (holder := _flow_folder(path)) is not None:
        found = _relative(holder, folder)
        notes.found.append(ImportNote(kind="taken", source=source, target="flow", span=None))
        return found
    if part.asset:
        name, command = _download(part.asset)
        why = f"The flow is the registered model {name}: {command}, and name its folder, or import again with --flow."
        notes.found.append(ImportNote(kind="to do", source="model", target="flow", why=why))
        return name
    why = "Nothing says which flow it is: name its folder, or import again with --flow."
    if path is not None:
        why = f"There is no flow at {_relative(path, folder)}: name its folder, or import again with --flow."
    notes.found.append(ImportNote(kind="to do", source=source, target="flow", why=why))
    return _relative(path, folder) if path is not None else "flow"


def _download(asset: str) -> tuple[str, str]:
    """Name of a registered model, and the command that fetches it.

    Args:
        asset: ``azureml:NAME:VERSION``, ``azureml:NAME@latest``, or the address of a model of a workspace or registry.
    """
    address = _MODEL.search(asset)
    if address is not None:
        name, version = address["name"], address["version"]
        registry = f" --registry-name {address['registry']}" if address["registry"] else ""
        return name, f"az ml model download --name {name} --version {version}{registry}"
    named = asset.removeprefix("azureml:")
    name, _, label = named.partition("@")
    name, _, version = name.partition(":")
    chosen = f"--version {version}" if version else f"--label {label or 'latest'}"
    return name, f"az ml model download --name {name} {chosen}"


def _flow_folder(path: Path) -> Path | None:
    """The folder itself, or the one folder in it, that holds a flow."""
    inner = sorted(item for item in path.iterdir() if item.is_dir()) if is_folder(path) else []
    return next((item for item in (path, *inner) if exists(item) and read_flow(item)[0] is not None), None)


def _relative(path: Path, folder: Path) -> str:
    return Path(relpath(path, folder)).as_posix()


def _connections(
    workspace: Workspace, folder: Path, flows: Sequence[str], notes: ImportNotes
) -> dict[str, Any]:
    """The connections that the flows name, with keys from connections of the workspace that have the same names."""
    found = {}
    for name, is_met in _named(workspace, folder, flows):
        found[name] = {"connection": name}
        why = f"The key comes from the connection {name} of the workspace."
        target = f"connections.{name}"
        notes.found.append(ImportNote(kind="translated", source="", target=target, why=why))
        if not is_met:
            why = (
                f"Make the connection {name} known here, so that it is packed: headrace connection create, or headrace "
                "config set connection.provider=azureml, which looks it up in the workspace."
            )
            notes.found.append(ImportNote(kind="to do", source="", target=target, why=why))
    return found


def _named(workspace: Workspace, folder: Path, flows: Sequence[str]) -> Iterator[tuple[str, bool]]:
    for text in dict.fromkeys(flows):
        flow = read_flow(folder / text)[0] if exists(folder / text) else None
        if flow is not None:
            for need in connection_needs(workspace, flow, python_sources(flow, PurePath(flow.folder))):
                if need.name != BASELINE:
                    yield need.name, need.is_met


def _difference(base: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What an overlay has to say so that the base becomes the other one."""
    said: dict[str, Any] = dict.fromkeys(key for key in base if key not in other)
    for key, value in other.items():
        before = base.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = _difference(before, value)
            said |= {key: inner} if inner else {}
        elif value != before:
            said[key] = value
    return said


def _once(notes: Sequence[ImportNote]) -> tuple[ImportNote, ...]:
    """Without what was noted of several stages or deployments in the same words."""
    found: dict[tuple[str, str, str, str, str], ImportNote] = {}
    for note in notes:
        place = str(note.span) if note.span else ""
        found.setdefault((note.kind, note.source, note.target, note.why, place), note)
    return tuple(found.values())
