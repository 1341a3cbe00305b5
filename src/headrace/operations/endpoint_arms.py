"""Arms behind an address as flows: what the experiment says of one becomes a flow file of its own.

The file is written below the state folder of the workspace, under a name made of its content, as those of evaluators
are. So such an arm is run, resumed, shared over processes, versioned and recorded like any flow.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from headrace.domain.evaluation import Experiment
from headrace.domain.remote import RemoteFlow
from headrace.domain.variant import Arm
from headrace.errors import DefinitionError, HeadraceError, Problem, at_place
from headrace.formats.flow_file import load_flow
from headrace.formats.remote import remote_file
from headrace.operations.competing_flows import mapping_of
from headrace.operations.new_files import write_files
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_left_out

_FIND_DEPLOYED = "headrace.operations.deployed_arms:find_deployed"
"""Reached by name: few arms are deployed, and targets need much."""


def with_endpoint_flows(workspace: Workspace, experiment: Experiment) -> Experiment:
    """The experiment with a flow in place of every address.

    What is sent is what the level says, else what ``column_mapping`` names, else the inputs of the other flows.

    Raises:
        DefinitionError: F006 where none of them says what is sent; a flow of another arm, or a deployment file, cannot
            be read.
        UsageError: X143 for what is not deployed.
        RemoteError: The target of what is deployed cannot be asked.
        StateError: S808 when a file cannot be written.
    """
    if all(arm.remote is None for arm in experiment.arms):
        return experiment
    arms = tuple(
        arm
        if arm.remote is None
        else replace(
            arm,
            remote=None,
            flow_path=str(_write_arm(workspace, experiment, arm, arm.remote)),
        )
        for arm in experiment.arms
    )
    return replace(experiment, arms=arms)


@contextmanager
def placed_in(experiment: Experiment, arm: Arm) -> Iterator[None]:
    """Let what is wrong with an address point to the experiment file, which says it, during the block.

    Raises:
        DefinitionError: As the block does.
    """
    levels = (
        level
        for factor in experiment.factors
        for level in factor.levels
        if level.remote is not None and arm.factors.get(factor.name) == level.name
    )
    level = next(levels, None)
    try:
        yield
    except DefinitionError as error:
        if level is None or experiment.file is None:
            raise
        problems = (
            replace(item, span=experiment.place(*level.pointer, *(item.pointer or ())))
            for item in error.problems
        )
        raise DefinitionError(*problems) from error


def _write_arm(workspace: Workspace, experiment: Experiment, arm: Arm, remote: RemoteFlow) -> Path:
    asked = _with_inputs(experiment, arm, remote)
    try:
        return write_endpoint_flow(workspace, asked, _level(experiment, arm))
    except HeadraceError as error:
        place = experiment.place("factors", "flow") or experiment.place()
        raise (error if place is None else at_place(error, place, ("factors", "flow"))) from error.__cause__


def _level(experiment: Experiment, arm: Arm) -> str:
    """What the level of an arm is called that names the address."""
    for factor in experiment.factors:
        if any(level.remote is not None for level in factor.levels):
            return arm.factors.get(factor.name, arm.name)
    return arm.name


def _with_inputs(experiment: Experiment, arm: Arm, remote: RemoteFlow) -> RemoteFlow:
    if remote.inputs:
        return remote
    names = tuple(dict.fromkeys(mapping_of(experiment, arm) or _inputs_of_others(experiment)))
    if not names:
        whom = remote.url or (remote.deployed.file if remote.deployed is not None else "")
        what = f"Nothing says which inputs {whom} is sent."
        fix = "Name them, inputs: [question], or map columns to them with column_mapping."
        place = experiment.place("factors")
        raise DefinitionError(Problem(code="F006", what=what, span=place, fix=fix))
    return replace(remote, inputs=names)


def _inputs_of_others(experiment: Experiment) -> Iterator[str]:
    paths = dict.fromkeys(
        arm.flow_path or experiment.flow_path for arm in experiment.arms if arm.remote is None
    )
    for path in paths:
        yield from load_flow(Path(path)).inputs


def write_endpoint_flow(workspace: Workspace, remote: RemoteFlow, name: str) -> Path:
    """The folder of a flow that runs elsewhere; written unless it is there already.

    Args:
        workspace: For its state folder.
        remote: The address; it names its inputs. The target of what is deployed is asked for it.
        name: How the flow is called.

    Raises:
        StateError: S808 when the file cannot be written.
        DefinitionError, UsageError, RemoteError: What is deployed cannot be found.
    """
    if remote.deployed is not None and not remote.url:
        remote = load_left_out(_FIND_DEPLOYED)(workspace, remote, remote.deployed)
    text = remote_file(remote, name)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    folder = workspace.state_folder / "endpoints" / digest / (re.sub(r"[^\w.-]+", "_", name) or "endpoint")
    file = folder / "flow.endpoint.yaml"
    if not file.is_file() or file.read_text(encoding="utf-8") != text:
        write_files({file: text}, is_replacing=True)
    return folder
