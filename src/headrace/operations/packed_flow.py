"""A copy of a flow that can be served elsewhere: its includes beside it, its variants settled, no keys in it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.domain.flow import DAG, Flow, Node
from headrace.formats.flow_file import FLOW_FILE_NAMES, read_flow
from headrace.formats.flow_files import find_flow_files, is_secret_file
from headrace.formats.ignore_file import is_ignored, parse_ignore_file
from headrace.formats.includes import copy_merged
from headrace.formats.positions import dump_yaml, read_text, read_yaml
from headrace.operations.describe_tools import describe_flow_tools
from headrace.operations.new_files import cannot_write, write_files
from headrace.operations.snapshot import IGNORE_FILE
from headrace.planning.flow_version import hide_secrets, secret_values
from headrace.planning.select import MODEL_PARAMETERS

MOST_BYTES = 4 * 1024 * 1024
"""The largest file in which keys are looked for."""

_NEVER_PACKED = frozenset((".azureml", ".runs", ".DS_Store", ".mypy_cache", ".ruff_cache", ".pytest_cache"))
_SETTINGS = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".prompty")
_ADDRESS_KEY = re.compile(rb"(\bhttps?://)[^\s/@\"'${}]+@")
"""The user and password in the address of an index of packages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedFlow:
    """What became of a flow.

    Attributes:
        left_out: Paths of files that are not there, because they hold secrets by their names.
        ignored: Paths that are not there, because the flow's ``.amlignore`` says so.
        unnamed: Folders of data, and flows of their own, that are there although nothing in the flow names them.
        emptied: Paths of files in which keys were replaced.
    """

    left_out: tuple[str, ...]
    ignored: tuple[str, ...]
    unnamed: tuple[str, ...]
    emptied: tuple[str, ...]


def pack_flow(
    flow: Flow, file: Path, target: Path, choices: Mapping[str, str], pointed: Flow | None = None
) -> PackedFlow:
    """Copy a flow.

    Args:
        flow: As it was read.
        file: Its file.
        target: Folder to write, which does not exist.
        choices: Variants by node; the default ones for all others.
        pointed: The flow with its llm nodes pointed at another model; ``None`` to leave them as they are.

    Raises:
        DefinitionError: F001 for an include that does not exist.
        StateError: S808 when something cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_merged(flow, target)
        found = find_flow_files(flow)
        ignored = tuple(_remove_ignored(target, found.files))
        unnamed = tuple(_find_unnamed(target, found.files))
        left_out = tuple(_remove_private(target))
        emptied = tuple(_hide_keys(target, secret_values(found.data)))
    except OSError as error:
        raise cannot_write(target, error) from error
    if flow.node_variants or flow.additional_includes or pointed is not None:
        packed = target / file.name
        settled = _settled(flow, packed, choices)
        text = dump_yaml(settled if pointed is None else _with_models(settled, pointed))
        write_files({packed: text}, is_replacing=True)
    _describe_tools(target, file.name)
    return PackedFlow(left_out=left_out, ignored=ignored, unnamed=unnamed, emptied=emptied)


def _remove_ignored(target: Path, counted: Collection[str]) -> Iterator[str]:
    """Remove what ``.amlignore`` names, but for files that the flow cannot do without; their paths come back."""
    ignore_file = target / IGNORE_FILE
    if not ignore_file.is_file():
        return
    patterns = parse_ignore_file(ignore_file.read_text(encoding="utf-8", errors="replace"))
    for path in sorted(target.rglob("*")):
        name = path.relative_to(target).as_posix()
        is_folder = path.is_dir() and not path.is_symlink()
        if (
            not is_ignored(name, patterns, is_folder=is_folder)
            or _is_needed(name, counted)
            or not path.exists()
        ):
            continue
        if is_folder:
            shutil.rmtree(path)
        else:
            path.unlink()
        yield name


def _find_unnamed(target: Path, counted: Collection[str]) -> Iterator[str]:
    """Folders that do not count in a version: ``data`` folders and flows of their own. prompt flow packs them too."""
    for path in sorted(target.rglob("*")):
        name = path.relative_to(target).as_posix()
        is_folder = path.is_dir() and not path.is_symlink()
        is_other = path.name == "data" or any((path / file).is_file() for file in FLOW_FILE_NAMES)
        if is_folder and is_other and not _is_needed(name, counted):
            yield name


def _is_needed(name: str, counted: Collection[str]) -> bool:
    """Whether a path, or anything below it, counts in the flow's version."""
    return any(file == name or file.startswith(f"{name}/") for file in counted)


def _remove_private(target: Path) -> Iterator[str]:
    """Remove what holds secrets by its name, and what tools left behind; the former come back."""
    for path in sorted(target.rglob("*")):
        if not path.exists():  # inside of a folder that is gone by now
            continue
        is_secret = is_secret_file(path.name)
        if is_secret or path.name in _NEVER_PACKED:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        if is_secret:
            yield path.relative_to(target).as_posix()


def _hide_keys(target: Path, known: Collection[str]) -> Iterator[str]:
    """Take keys and passwords out of texts; the paths of those that held some come back."""
    for path in sorted(target.rglob("*")):
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            continue
        before = path.read_bytes()
        is_settings = path.name.endswith(_SETTINGS)
        after = hide_secrets(before, known, is_code=path.suffix == ".py", is_settings=is_settings)
        if is_settings or path.suffix == ".txt":
            after = _ADDRESS_KEY.sub(rb"\1", after)
        if after != before:
            path.write_bytes(after)
            yield path.relative_to(target).as_posix()


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


def _with_models(settled: dict[str, Any], pointed: Flow) -> dict[str, Any]:
    """The content of a flow file whose llm nodes ask the models of ``pointed``."""
    found = {node.name: node for node in pointed.nodes if node.type == "llm"}
    nodes = [_with_model(node, found) for node in settled.get("nodes") or []]
    return {**settled, "nodes": nodes}


def _with_model(written: Any, found: Mapping[str, Node]) -> Any:
    node = found.get(str(written.get("name"))) if isinstance(written, dict) else None
    if node is None:
        return written
    others = {key: value for key, value in written.items() if key not in ("provider", "module")}
    return {**others, "connection": node.connection, "inputs": _model_inputs(written, node)}


def _model_inputs(written: Mapping[str, Any], node: Node) -> dict[str, Any]:
    """The inputs of an llm node as its file writes them, but for the name of the model."""
    own = {key: value for key, value in (written.get("inputs") or {}).items() if key not in MODEL_PARAMETERS}
    return {**{key: node.inputs[key] for key in MODEL_PARAMETERS if key in node.inputs}, **own}


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
