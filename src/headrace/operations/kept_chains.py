"""Chains of flows that were given a name: one JSON file each, in the form that ``pf experiment`` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import Any

from headrace.domain.chain import Chain, ChainNode
from headrace.domain.run import Run
from headrace.engine.events import OnEvent
from headrace.errors import Problem, StateError, UsageError, nearest
from headrace.formats.chain import load_chain
from headrace.formats.positions import read_text, read_yaml
from headrace.operations.new_files import write_files
from headrace.operations.run_chain import run_chain
from headrace.operations.workspace import Workspace
from headrace.providers.connection_files import FILE_NAME

NOT_STARTED, RUNNING, ENDED, STOPPED = "NotStarted", "InProgress", "Terminated", "Canceled"
"""Prompt flow's words; it ends a chain as Terminated whether it went well or not."""

Record = dict[str, Any]

_NO_CHANGES: Record = {"environment_variables": {}, "connections": {}, "init": {}}
"""What a node that changes nothing of its flow is shown with, as under prompt flow."""


def create_chain(workspace: Workspace, template: Path, name: str | None) -> Record:
    """Check a chain and keep it under a name, its paths absolute; its flows are used where they are.

    Args:
        workspace: Keeps it.
        template: The file.
        name: Default: the name of the file and the time.

    Raises:
        DefinitionError: Everything that is wrong with the file.
        UsageError: C507 for a name that cannot be a file's, S806 when it is taken.
        StateError: S808 when it cannot be written.
    """
    chain = load_chain(template)
    now = workspace.now()
    name = name or f"{template.stem}_{now:%Y%m%d_%H%M%S_%f}"
    if not FILE_NAME.fullmatch(name):
        fix = "Begin with a letter or digit, and use letters, digits, blanks and _ - . only."
        raise UsageError(Problem(code="C507", what=f"{name!r} cannot be the name of an experiment.", fix=fix))
    file = _file(workspace, name)
    if file.exists():
        what = f'An experiment named "{name}" exists already.'
        raise UsageError(Problem(code="S806", what=what, fix=f"Choose another name, or delete {file}."))
    record = {
        **_absolute(template, chain),
        "name": name,
        "node_runs": {},
        "status": NOT_STARTED,
        "properties": {},
        "created_on": now.isoformat(),
    }
    _write(workspace, record)
    return record


def read_chain(workspace: Workspace, name: str) -> Record:
    """What is kept under a name.

    Raises:
        UsageError: S816 when there is nothing.
        StateError: S808 when it cannot be read.
    """
    file = _file(workspace, name)
    if not chain_exists(workspace, name):
        if any(name in (item.id, item.name) for item in workspace.store.list_experiments()):
            what = f'"{name}" is an experiment with arms, and no chain of flows.'
            fix = f"Go on with it: headrace experiment resume {quote(name)}"
            raise UsageError(Problem(code="S816", what=what, fix=fix))
        names = [str(record["name"]) for record in list_chains(workspace)]
        near = nearest(name, names)
        fix = f'Did you mean "{near}"?' if near else "headrace experiment list shows those that were created."
        raise UsageError(Problem(code="S816", what=f'There is no experiment named "{name}".', fix=fix))
    return _read(file)


def chain_exists(workspace: Workspace, name: str) -> bool:
    """Whether a chain is kept under a name."""
    return FILE_NAME.fullmatch(name) is not None and _file(workspace, name).is_file()


def list_chains(workspace: Workspace) -> tuple[Record, ...]:
    """All that is kept, newest first."""
    records = [_read(file) for file in _folder(workspace).glob("*.json")]
    return tuple(sorted(records, key=lambda record: str(record["created_on"]), reverse=True))


def start_chain(
    workspace: Workspace, name: str, given: Mapping[str, Any], on_event: OnEvent | None = None
) -> tuple[Record, tuple[Run, ...]]:
    """Run a chain over all its lines; what it came to is kept.

    Returns:
        The record, and the runs in order.

    Raises:
        DefinitionError: A flow or its data is wrong.
        UsageError: S816 for an unknown name.
    """
    record = read_chain(workspace, name)
    chain = load_chain(_file(workspace, name))
    runs: list[Run] = []
    stop = _stop_file(workspace, name)
    stop.unlink(missing_ok=True)

    def hear(node: ChainNode, run: Run) -> bool:
        runs.append(run)
        record["node_runs"][node.name] = [{"name": run.spec.name, "status": run.status}]
        _write(workspace, record)
        return not stop.exists()

    record |= {"status": RUNNING, "node_runs": {}, "last_start_time": workspace.now().isoformat()}
    _write(workspace, record)
    status = STOPPED
    try:
        folder = _folder(workspace) / name
        run_chain(workspace, chain, given, folder=folder, on_run=hear, on_event=on_event)
        if not stop.exists() or len(runs) == len(chain.nodes):
            status = ENDED
    finally:
        stop.unlink(missing_ok=True)
        _write(workspace, record | {"status": status, "last_end_time": workspace.now().isoformat()})
    return _read(_file(workspace, name)), tuple(runs)


def stop_chain(workspace: Workspace, name: str) -> Record:
    """Ask a chain that another process runs to end after the flow that it is at.

    Raises:
        UsageError: S816 for an unknown name, C510 when it does not run.
    """
    record = read_chain(workspace, name)
    if record["status"] != RUNNING:
        what = f'The experiment "{name}" is not running.'
        fix = f"Start it with: headrace experiment start --name {quote(name)}"
        raise UsageError(Problem(code="C510", what=what, fix=fix))
    write_files({_stop_file(workspace, name): ""}, is_replacing=True)
    return record


def _absolute(template: Path, chain: Chain) -> Record:
    data, _, _ = read_yaml(read_text(template), str(template))
    paths = {node.name: node.path for node in chain.nodes}
    return {
        "description": chain.description,
        "data": [{**item, "path": chain.data[str(item["name"])]} for item in data.get("data") or ()],
        "inputs": list(data.get("inputs") or ()),
        "nodes": [{**_NO_CHANGES, **item, "path": paths[str(item["name"])]} for item in data["nodes"]],
    }


def _folder(workspace: Workspace) -> Path:
    return workspace.state_folder / "experiments"


def _file(workspace: Workspace, name: str) -> Path:
    return _folder(workspace) / f"{name}.json"


def _stop_file(workspace: Workspace, name: str) -> Path:
    return _folder(workspace) / f"{name}.stop"


def _read(file: Path) -> Record:
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        what = f"{file} cannot be read."
        raise StateError(
            Problem(code="S808", what=what, fix="Delete it and create the experiment again.")
        ) from error
    return dict(record)


def _write(workspace: Workspace, record: Record) -> None:
    text = json.dumps(record, indent=4, ensure_ascii=False, default=str) + "\n"
    write_files({_file(workspace, str(record["name"])): text}, is_replacing=True)
