"""Find a recorded experiment by its id or name, and say what has changed since it was begun."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from shlex import quote

from headrace.domain.evaluation import Experiment
from headrace.domain.flow_diff import Change
from headrace.domain.recorded_experiment import PinnedFlow, RecordedExperiment
from headrace.domain.run import RUNNING
from headrace.errors import DefinitionError, HeadraceError, Problem, UsageError, nearest
from headrace.formats.flow_file import load_flow
from headrace.formats.lines import read_dataset
from headrace.operations.diff_flows import diff_versions
from headrace.operations.keep_version import find_named_change
from headrace.operations.kept_chains import chain_exists, list_chains
from headrace.operations.read_version import read_snapshot
from headrace.operations.run_owner import is_at_work, is_owner_at_work
from headrace.operations.workspace import Workspace

_MOST_CHANGES = 4


def find_experiment(workspace: Workspace, text: str) -> RecordedExperiment:
    """The experiment of an id, else the newest of a name.

    Raises:
        UsageError: S816 when there is none: nothing of the kind, a chain of flows, or one of an older headrace.
    """
    found = workspace.store.read_experiment(text)
    if found is not None:
        return found
    every = workspace.store.list_experiments()
    named = newest_named(every, text)
    if named is not None:
        return named
    what, fix = f'There is no experiment named "{text}".', "headrace experiment list shows all."
    if chain_exists(workspace, text):
        what = f'"{text}" is a chain of flows, and no experiment with arms.'
        fix = f"Run it with: headrace experiment start --name {quote(text)}"
    elif workspace.store.list_runs(experiment=text, limit=1):
        what = f'The experiment "{text}" was begun by an older headrace, which recorded only its runs.'
        fix = f"Compare them with: headrace compare --again {quote(text)}"
    elif near := nearest(
        text,
        [
            *(item.name for item in every),
            *(item.id for item in every),
            *(str(chain["name"]) for chain in list_chains(workspace)),
        ],
    ):
        fix = f'Did you mean "{near}"?'
    raise UsageError(Problem(code="S816", what=what, fix=fix))


def newest_named(every: Iterable[RecordedExperiment], name: str) -> RecordedExperiment | None:
    """The newest of some experiments that has a name; they are in the order of the store, newest first."""
    return next((item for item in every if item.name == name), None)


def is_experiment_at_work(workspace: Workspace, record: RecordedExperiment) -> bool:
    """Whether a process works on an experiment, as far as can be told from its heartbeats."""
    now = workspace.now()
    if record.status == RUNNING and is_owner_at_work(record.owner, record.heartbeat_at, now):
        return True
    return any(is_at_work(run, now) for run in workspace.store.list_runs(experiment=record.id))


def check_unchanged(workspace: Workspace, record: RecordedExperiment) -> None:
    """Refuse to go on with an experiment whose flows or data are not what they were.

    Raises:
        UsageError: S819 for each of them, with what has changed.
    """
    changed = [*_changed_data(record)]
    generated = _generated(record)
    for pin in record.flows:
        if pin.role == "flow" or generated.isdisjoint(pin.used_by):
            changed += _changed_flow(workspace, pin, Path(pin.path))
    _refuse(record, changed)


def check_evaluators(workspace: Workspace, record: RecordedExperiment, checked: Experiment) -> None:
    """The same for evaluators that are no flows of their own: built-in ones and Python.

    Raises:
        UsageError: S819.
    """
    now = {item.name: item.flow_path or "" for item in checked.evaluators}
    changed: list[str] = []
    generated = _generated(record)
    for pin in record.flows:
        if pin.role == "evaluator" and not generated.isdisjoint(pin.used_by):
            changed += _changed_flow(workspace, pin, Path(now[pin.used_by[0]]))
    _refuse(record, changed)


def is_unchanged(pin: PinnedFlow, path: Path) -> bool:
    """Whether a flow is exactly what it was."""
    try:
        return read_snapshot(load_flow(path)).digest == pin.digest
    except (HeadraceError, OSError):
        return False


def resume_command(experiment: str) -> str:
    """How to go on with an experiment."""
    return f"headrace experiment resume {quote(experiment)}"


def _refuse(record: RecordedExperiment, changed: list[str]) -> None:
    if not changed:
        return
    fix = (
        "Undo the change, or begin a new experiment with the recorded versions: "
        f"headrace experiment rerun {quote(record.id)}"
    )
    raise UsageError(
        *(
            Problem(code="S819", what=f'The experiment "{record.id}" cannot go on: {what}.', fix=fix)
            for what in changed
        )
    )


def _generated(record: RecordedExperiment) -> frozenset[str]:
    """The evaluators that are no flows of their own: their flows are written from what they are."""
    return frozenset(item["name"] for item in record.definition["evaluators"] if item["flow_path"] is None)


def _changed_data(record: RecordedExperiment) -> Iterator[str]:
    pin = record.data
    try:
        dataset = read_dataset(Path(pin.path))
    except DefinitionError as error:
        yield f"the data {pin.name} cannot be read any more ({error.problems[0].what.rstrip('.')})"
        return
    if dataset.digest != pin.digest:
        lines = (
            "" if len(dataset.lines) == pin.n_lines else f", {len(dataset.lines):,} lines for {pin.n_lines:,}"
        )
        yield f"the data {pin.name} has changed since version {pin.number}{lines}"


def _changed_flow(workspace: Workspace, pin: PinnedFlow, path: Path) -> Iterator[str]:
    kind = f"the evaluator {pin.used_by[0]!r}" if pin.role == "evaluator" else f"the flow {pin.name}"
    try:
        changed = find_named_change(workspace, pin.name, pin.digest, read_snapshot(load_flow(path)))
    except (HeadraceError, OSError):
        yield f"{kind} cannot be read any more; it was {pin.version_name} in {pin.path}"
        return
    if changed is not None:
        said = describe_change(workspace, pin, path) or changed
        yield f"{kind} has changed since {pin.version_name}: {said}"


def describe_change(workspace: Workspace, pin: PinnedFlow, path: Path) -> str:
    """What differs, node by node; empty where it cannot be told."""
    try:
        changes = diff_versions(workspace, pin.version_name, str(path)).changes
    except (HeadraceError, OSError):
        return ""
    nodes: dict[str, list[Change]] = {}
    for change in changes:
        nodes.setdefault(change.node, []).append(change)
    told = [_describe(node, found) for node, found in nodes.items()]
    more = f" and {len(told) - _MOST_CHANGES} more" if len(told) > _MOST_CHANGES else ""
    return "; ".join(told[:_MOST_CHANGES]) + more


def _describe(node: str, changes: list[Change]) -> str:
    kinds: Mapping[str, None] = dict.fromkeys(
        f"{change.kind} {change.what}" if change.what and change.what != change.kind else change.kind
        for change in changes
    )
    return f"node {node} ({', '.join(kinds)})" if node else ", ".join(kinds)
