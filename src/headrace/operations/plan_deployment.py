"""Plan what a deployment file wishes for: with the versions of its flows, the gate, prices, and what is unsafe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.deploy.moves import plan_destruction, plan_rollback, plan_traffic, plan_withdrawal
from headrace.deploy.plan import plan_deployment
from headrace.deploy.price import price_plan
from headrace.deploy.safety import Findings, find_unsafe, moved_shares
from headrace.domain.deployment import Deployment, DeployPlan, EndpointState
from headrace.errors import DefinitionError, HeadraceError, Problem
from headrace.formats.deployment_secrets import plain_secrets
from headrace.formats.flow_file import load_flow
from headrace.operations.deployed_flows import DeployedFlow, look_up_flows, no_sample, read_sample
from headrace.operations.deployment_gate import check_gate, check_gate_of
from headrace.operations.open_deployment import NEW, RUNTIME, OpenDeployment
from headrace.operations.versions import find_version, write_version


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPlan:
    """A plan, and what its deployments are tried with.

    Attributes:
        samples: Deployment to the inputs of its smoke test; without those that have none.
        is_kept: Whether the store keeps the versions of all flows, so that it can be applied as it is.
    """

    plan: DeployPlan
    samples: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    is_kept: bool = True


def prepare_plan(
    opened: OpenDeployment,
    state: EndpointState | None = None,
    *,
    is_keeping: bool = False,
    is_priced: bool = False,
) -> PreparedPlan:
    """The plan from what is there to what the file wishes for.

    Args:
        opened: The file and its target.
        state: What is there; read unless given.
        is_keeping: Keep versions of flows in the store that are not kept yet.
        is_priced: Look up what it costs, which may take some seconds.

    Raises:
        DefinitionError: A flow or a sample is wrong.
        UsageError: A version or a variant does not exist.
        StateError: X141 or X142.
        RemoteError: The target cannot be read.
    """
    endpoint, flows = look_up_flows(opened.workspace, opened.endpoint, is_keeping=is_keeping)
    there = opened.target.read_state() if state is None else state
    plan = plan_deployment(endpoint, there, runtime=RUNTIME, traits=opened.target.traits)
    names = [item.name for item in plan.endpoint.deployments]
    gate = check_gate(opened.workspace, endpoint, flows)
    findings = Findings(
        dirty={name: flow.dirty for name, flow in zip(names, flows, strict=True) if flow.dirty is not None},
        secrets=plain_secrets(plan.endpoint),
        gate={names[place]: problem for place, problem in gate.items()},
        untested=_untested(plan, flows),
    )
    plan = replace(plan, unsafe=find_unsafe(plan, opened.target.traits, findings))
    samples = {name: flow.sample for name, flow in zip(names, flows, strict=True) if flow.sample is not None}
    if is_priced:
        cache = opened.workspace.state_folder / "prices.json"
        plan = price_plan(plan, opened.workspace.settings, cache)
    is_kept = all(flow.kept is not None for flow in flows)
    return PreparedPlan(
        plan=opened.choice.name_in_plan(_with_versions(plan, flows)), samples=samples, is_kept=is_kept
    )


def _untested(plan: DeployPlan, flows: Sequence[DeployedFlow]) -> dict[str, Problem]:
    return {
        deployment.name: no_sample(plan.endpoint, deployment, flow.flow)
        for deployment, flow in zip(plan.endpoint.deployments, flows, strict=True)
        if flow.sample is None
    }


def _with_versions(plan: DeployPlan, flows: Sequence[DeployedFlow]) -> DeployPlan:
    """The plan with a note about flows whose version is kept when it is applied."""
    names = dict.fromkeys(flow.flow.name for flow in flows if flow.kept is None)
    notes = tuple(f"{name} is kept as a version when this is applied." for name in names)
    return replace(plan, notes=(*plan.notes, *notes)) if plan.changes else plan


def prepare_traffic(
    opened: OpenDeployment,
    shares: Mapping[str, int],
    state: EndpointState | None = None,
    *,
    is_rollback: bool = False,
    is_at_least: bool = False,
) -> PreparedPlan:
    """The plan that moves traffic as a person, or an online test, says.

    Args:
        opened: The file and its target.
        shares: Deployment or arm to percent.
        state: What is there; read unless given.
        is_rollback: Whether traffic goes back, which neither the limit of a shift nor the gate holds up.
        is_at_least: Whether who has as much already keeps what it has.

    Raises:
        UsageError: X143 or X150 for what is not there.
        RemoteError: The target cannot be read.
    """
    there = opened.target.read_state() if state is None else state
    named = {opened.named(name): share for name, share in shares.items()}
    if is_at_least:
        named = {name: share for name, share in named.items() if there.traffic.get(name, 0) < share}
    return _moving(opened, plan_traffic(opened.endpoint, there, named), is_rollback=is_rollback)


def prepare_rollback(
    opened: OpenDeployment, state: EndpointState | None = None, name: str | None = None
) -> PreparedPlan:
    """The plan back to the traffic before the last move, or that takes one deployment out of traffic.

    Args:
        opened: The file and its target.
        state: What is there; read unless given.
        name: Deployment or arm that is taken out, whatever moves have brought it in; ``None`` for the last move.

    Raises:
        StateError: X149 when there is no way back.
        UsageError: X143 or X150 for what is not there.
        RemoteError: The target cannot be read.
    """
    there = opened.target.read_state() if state is None else state
    if name is None:
        return _moving(opened, plan_rollback(opened.endpoint, there), is_rollback=True)
    place = opened.named(name)
    if name == NEW and there.find(place) is None:
        return PreparedPlan(plan=DeployPlan(endpoint=opened.endpoint, state=there, changes=()))
    return _moving(opened, plan_withdrawal(opened.endpoint, there, place), is_rollback=True)


def prepare_destruction(
    opened: OpenDeployment, name: str | None, state: EndpointState | None = None
) -> PreparedPlan:
    """The plan that takes down an endpoint, or one deployment of it.

    Raises:
        StateError: X154 for a deployment that answers requests.
        RemoteError: The target cannot be read.
    """
    there = opened.target.read_state() if state is None else state
    plan = plan_destruction(opened.endpoint, there, None if name is None else opened.named(name))
    plan = replace(plan, unsafe=find_unsafe(plan, opened.target.traits))
    return PreparedPlan(plan=opened.choice.name_in_plan(plan))


def _moving(opened: OpenDeployment, plan: DeployPlan, *, is_rollback: bool) -> PreparedPlan:
    samples: dict[str, Mapping[str, Any]] = {}
    untested: dict[str, Problem] = {}
    for change in plan.changes:
        if change.action == "smoke test":
            try:
                samples[change.deployment] = sample_of(opened, plan.state, change.deployment)
            except HeadraceError as error:
                untested[change.deployment] = error.problems[0]
    gate: Mapping[str, Problem] = {}
    if not is_rollback:
        shares = moved_shares(plan) or {}
        copies = [item for item in plan.state.deployments if shares.get(item.name)]
        gate = check_gate_of(opened.workspace, opened.endpoint, copies)
    findings = Findings(untested=untested, gate=gate)
    unsafe = find_unsafe(plan, opened.target.traits, findings, is_rollback=is_rollback)
    return PreparedPlan(plan=opened.choice.name_in_plan(replace(plan, unsafe=unsafe)), samples=samples)


def sample_of(opened: OpenDeployment, state: EndpointState, name: str | None) -> Mapping[str, Any]:
    """Inputs to try a deployment with: of the version that it holds where the store keeps it, else of the file's flow.

    Args:
        opened: The file and its target.
        state: What is there.
        name: The deployment; ``None`` for the endpoint.

    Raises:
        DefinitionError: The flow or the sample cannot be read, or X153 there is no sample.
        UsageError: The version of the file does not exist.
    """
    wish = _wish(opened, name)
    found = state.find(name) if name is not None else None
    version = (found.version if found is not None else "").partition(" ")
    digest = version[2].strip("()")
    if "@" in version[0] and digest:
        try:
            kept = find_version(opened.workspace, version[0], expects=digest)
            flow = load_flow(write_version(opened.workspace, kept))
            sample = read_sample(flow, wish.flow.sample)
        except HeadraceError:
            sample = None
        if sample is not None:
            return sample
    _, (looked_up, *_) = look_up_flows(opened.workspace, replace(opened.endpoint, deployments=(wish,)))
    if looked_up.sample is None:
        raise DefinitionError(no_sample(opened.endpoint, wish, looked_up.flow))
    return looked_up.sample


def _wish(opened: OpenDeployment, name: str | None) -> Deployment:
    found = opened.endpoint.find(name) if name is not None else None
    return found or opened.endpoint.deployments[0]
