"""The flows that a deployment file names: which versions they are, whether they can be repeated, what to ask them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from headrace.domain.deployment import Deployment, Endpoint, FlowChoice
from headrace.domain.flow import Flow
from headrace.domain.version import FlowVersion
from headrace.errors import DefinitionError, HeadraceError, Problem, at_place, raise_if_errors
from headrace.formats.arms import parse_variant
from headrace.formats.flow_file import load_flow
from headrace.formats.lines import read_dataset
from headrace.formats.positions import read_text
from headrace.operations.check_flow import check_flow
from headrace.operations.keep_version import keep_flow_version
from headrace.operations.read_version import FlowSnapshot, read_snapshot
from headrace.operations.served_sources import find_served_file
from headrace.operations.uncommitted import find_uncommitted
from headrace.operations.versions import find_version, is_version, write_version
from headrace.operations.workspace import Workspace
from headrace.planning.chat import with_history
from headrace.source import Pointer, file_span

_SHORT = 12
"""Digits of a digest that people see."""
_MOST_FILES = 5
_SAMPLES = "samples.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedFlow:
    """A flow that a deployment serves, looked up.

    Attributes:
        flow: As it lies on this machine.
        snapshot: Its files as they are.
        kept: The version that the store keeps of them; ``None`` for none.
        is_chosen: Whether the file names a stored version, and not a folder.
        dirty: Why it could not be deployed again; ``None`` where it could.
        sample: Inputs to try it with; ``None`` where nobody has said any.
    """

    flow: Flow
    snapshot: FlowSnapshot
    kept: FlowVersion | None
    is_chosen: bool
    dirty: Problem | None
    sample: Mapping[str, Any] | None


def look_up_flows(
    workspace: Workspace, endpoint: Endpoint, *, is_keeping: bool = False
) -> tuple[Endpoint, tuple[DeployedFlow, ...]]:
    """The endpoint with the versions of its flows, and those flows in the order of its deployments.

    Args:
        workspace: For the store and connections.
        endpoint: As the file says.
        is_keeping: Keep in the store what it does not keep yet.

    Raises:
        DefinitionError: A flow is wrong, or a sample cannot be read; with its place in the deployment file where the
            flow has none.
        UsageError: S831 or S834 for the name of a version, V301 for a variant.
    """
    known: dict[tuple[str, str], DeployedFlow] = {}
    deployments = []
    for deployment in endpoint.deployments:
        key = (deployment.flow.source, deployment.flow.sample)
        if key not in known:
            known[key] = _look_up(workspace, endpoint, deployment, is_keeping=is_keeping)
        deployments.append(replace(deployment, flow=_choice(deployment.flow, known[key])))
    flows = tuple(known[item.flow.source, item.flow.sample] for item in endpoint.deployments)
    return replace(endpoint, deployments=tuple(deployments)), flows


def _look_up(
    workspace: Workspace, endpoint: Endpoint, deployment: Deployment, *, is_keeping: bool
) -> DeployedFlow:
    source = Path(deployment.flow.source)
    try:
        is_chosen = is_version(source)
        path = write_version(workspace, find_version(workspace, str(source))) if is_chosen else source
        file = find_served_file(path)
        raise_if_errors(tuple(item for item in check_flow(workspace, file) if item.code != "C503"))
        flow = load_flow(file)
        snapshot = read_snapshot(flow)
    except HeadraceError as error:
        place = _pointer(deployment, "flow")
        raise at_place(error, endpoint.span(*place) or file_span(endpoint.path), place) from error
    kept = workspace.store.find_flow_version(flow.name, snapshot.digest)
    dirty = None if is_chosen else _dirtiness(workspace, endpoint, deployment, flow, snapshot, kept)
    if kept is None and is_keeping:
        kept = keep_flow_version(workspace, flow, snapshot)
    return DeployedFlow(
        flow=flow,
        snapshot=snapshot,
        kept=kept,
        is_chosen=is_chosen,
        dirty=dirty,
        sample=read_sample(flow, deployment.flow.sample),
    )


def _choice(choice: FlowChoice, found: DeployedFlow) -> FlowChoice:
    """The choice with its version; a tag is settled, so that what is packed later is what was planned."""
    short = found.snapshot.digest[:_SHORT]
    named = found.kept.name if found.kept is not None else found.flow.name
    return replace(
        choice,
        source=found.kept.name if found.is_chosen and found.kept is not None else choice.source,
        version=f"{named} ({short})",
        digest=found.snapshot.digest,
        is_versioned=found.kept is not None,
        variant=choice.variant,
    )


def _dirtiness(
    workspace: Workspace,
    endpoint: Endpoint,
    deployment: Deployment,
    flow: Flow,
    snapshot: FlowSnapshot,
    kept: FlowVersion | None,
) -> Problem | None:
    reasons, fixes = [], []
    if kept is None:
        versions = workspace.store.list_flow_versions(flow.name)
        differs = (
            f"differs from the versions that are kept, the last of which is {versions[-1].name}"
            if versions
            else ""
        )
        reasons.append(differs or "is no version that is kept")
        fixes.append("Evaluate it, which keeps it: headrace run create --flow FLOW, or headrace compare.")
    changed = find_uncommitted(Path(flow.folder), [file.path for file in snapshot.manifest.files])
    if changed:
        more = f" and {len(changed) - _MOST_FILES} more" if len(changed) > _MOST_FILES else ""
        reasons.append(f"has changes that are not committed: {', '.join(changed[:_MOST_FILES])}{more}")
        fixes.append("Commit them.")
    if not reasons:
        return None
    pointer = _pointer(deployment, "flow")
    what = f"The flow {deployment.flow.source} {', and '.join(reasons)}."
    return Problem(code="X165", what=what, pointer=pointer, span=endpoint.span(*pointer), fix=" ".join(fixes))


def _pointer(deployment: Deployment, key: str) -> Pointer:
    return (*deployment.pointer, key)


def read_sample(flow: Flow, given: str) -> Mapping[str, Any] | None:
    """What a flow is tried with: the sample of the file, its own, the first one beside it, or its defaults.

    Args:
        flow: The flow.
        given: Path of the sample that the file names; empty for none.

    Raises:
        DefinitionError: F001 or D401 for a sample that cannot be read.
    """
    if given:
        return with_history(flow, _inputs_in(Path(given)))
    if flow.sample:
        return flow.sample
    beside = Path(flow.folder) / _SAMPLES
    if beside.is_file():
        return with_history(flow, _inputs_in(beside))
    inputs = with_history(
        flow, {item.name: item.default for item in flow.inputs.values() if item.has_default}
    )
    return inputs if set(inputs) == set(flow.inputs) else None


def _inputs_in(path: Path) -> Mapping[str, Any]:
    """The inputs in a JSON file, or the first ones in a list or in a file of lines.

    Raises:
        DefinitionError: F001 or D401.
    """
    if path.suffix == ".jsonl":
        return read_dataset(path).first.columns
    text = read_text(path)
    try:
        data = json.loads(text)
    except ValueError:
        data = None
    first = data[0] if isinstance(data, list) and data else data
    if not isinstance(first, dict):
        what = "The sample is no JSON object of input names and values, nor a list of such."
        fix = 'Write {"input": value, …}.'
        raise DefinitionError(Problem(code="D401", what=what, span=file_span(str(path)), fix=fix))
    return first


def no_sample(endpoint: Endpoint, deployment: Deployment, flow: Flow) -> Problem:
    """X153: nothing says what a flow is tried with."""
    needed = [item.name for item in flow.inputs.values() if not item.has_default]
    pointer = _pointer(deployment, "flow")
    what = f"Nothing says what to try {deployment.name or flow.name} with; it needs {', '.join(needed)}."
    fix = "Write inputs into a JSON file, and sample: FILE.json into the deployment file."
    return Problem(code="X153", what=what, pointer=pointer, span=endpoint.span(*pointer), fix=fix)


def settled_variant(flow: Flow, variant: str | None) -> str:
    """A variant in one spelling: empty where it is what the flow takes by default."""
    if not variant:
        return ""
    node, name = parse_variant(variant)
    offered = flow.node_variants.get(node)
    return "" if offered is not None and offered.default == name else f"{node}.{name}"
