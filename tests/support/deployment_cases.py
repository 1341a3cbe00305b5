"""What goes wrong with deployments, made from the plain data of a problem's case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.support.commands import run_command
from tests.support.deploying import MEMORY
from tests.support.deployments import (
    RUNTIME,
    a_deployment,
    an_endpoint,
    open_memory_target,
    remember,
    remembered,
)

from headrace.deploy import base
from headrace.deploy.apply import Applying, apply_plan
from headrace.deploy.memory import FILE, MemoryTarget, change_memory
from headrace.deploy.moves import plan_destruction, plan_rollback, plan_traffic
from headrace.deploy.plan import plan_deployment
from headrace.deploy.safety import check_allowed, find_unsafe
from headrace.domain.deployment import Change, DeployPlan, Endpoint, EndpointState
from headrace.errors import Problem, RemoteRequestError

Case = Mapping[str, Any]


def plan_case(folder: Path, case: Case) -> Sequence[Problem]:
    """A plan: ``arms`` or ``version`` is wished for, ``there`` maps deployments to versions, ``traffic`` is theirs."""
    endpoint = _endpoint(case)
    state = _target(folder, case, endpoint).read_state()
    plan_deployment(endpoint, state, runtime=RUNTIME, traits=MemoryTarget.traits)
    return ()


def step_case(folder: Path, case: Case) -> Sequence[Problem]:
    """One ``step`` of a plan, the ``address`` of a deployment, or names of refusals to ``allow``."""
    if "allow" in case:
        check_allowed(case["allow"])
    endpoint = _endpoint(case)
    target = _target(folder, case, endpoint)
    if "address" in case:
        target.address(case["address"])
    else:
        target.apply(Change(what="", **case["step"]), endpoint)
    return ()


def unsafe_case(folder: Path, case: Case) -> Sequence[Problem]:
    """Why a plan is refused; see :func:`plan_case`. ``endpoint``, ``arm`` and ``traits`` change parts of its sides."""
    endpoint = replace(_endpoint(case), **case.get("endpoint", {}))
    if "arm" in case:
        endpoint = replace(
            endpoint, deployments=tuple(replace(item, **case["arm"]) for item in endpoint.deployments)
        )
    state = _target(folder, case, endpoint).read_state()
    traits = replace(MemoryTarget.traits, **case.get("traits", {}))
    if "destroy" in case:
        made = plan_destruction(endpoint, state, case["destroy"])
    elif "move" in case:
        made = plan_traffic(endpoint, state, case["move"])
    else:
        made = plan_deployment(endpoint, state, runtime=RUNTIME, traits=traits)
    return [problem for _, problem in find_unsafe(made, traits)]


def move_case(folder: Path, case: Case) -> Sequence[Problem]:
    """``move`` traffic, ``destroy`` a deployment or go back, as far as planning it."""
    endpoint = _endpoint(case)
    state = _target(folder, case, endpoint).read_state() if case.get("there") else EndpointState()
    if "move" in case:
        plan_traffic(endpoint, state, case["move"])
    elif "destroy" in case:
        plan_destruction(endpoint, state, case["destroy"])
    else:
        plan_rollback(endpoint, state)
    return ()


def apply_case(folder: Path, case: Case) -> Sequence[Problem]:
    """A plan is applied while ``meanwhile`` a deployment or the endpoint changes, or does not ``answer``."""
    endpoint = _endpoint(case)
    target = _target(folder, case, endpoint)

    def ask(name: str, settled: Endpoint) -> None:
        del settled
        if case.get("answer") is False:
            raise RemoteRequestError(Problem(code="P705", what="It answered 400."))
        for what, change in case.get("meanwhile", {}).items():
            change_memory(folder / FILE, partial(_meanwhile, what, change))

    def plan(state: EndpointState) -> DeployPlan:
        return plan_deployment(endpoint, state, runtime=RUNTIME, traits=MemoryTarget.traits)

    def replan(state: EndpointState) -> DeployPlan:
        if case.get("is_always_busy"):
            change_memory(folder / FILE, partial(_meanwhile, "endpoint", {"busy": True}))
            state = target.read_state()
        return plan(state)

    apply_plan(plan(target.read_state()), Applying(target=target, ask=ask, replan=replan))
    return ()


def _meanwhile(what: str, change: Mapping[str, Any], memory: dict[str, Any]) -> None:
    (memory["endpoint"] if what == "endpoint" else memory["deployments"][what]).update(change)


def _target(folder: Path, case: Case, endpoint: Endpoint) -> MemoryTarget:
    there = {}
    for name, version in case["there"].items():
        is_ours = name not in case.get("theirs", ())
        there[name] = remembered(version, is_ours=is_ours, health=case.get("health", {}).get(name, "healthy"))
    remember(
        folder,
        there,
        case["traffic"],
        previous=case.get("previous"),
        is_busy=case.get("is_always_busy", False),
    )
    return open_memory_target(folder, endpoint)


def _endpoint(case: Case) -> Endpoint:
    arms = [a_deployment(name, traffic_percent=share) for name, share in case.get("arms", {}).items()]
    return an_endpoint(*arms) if arms else an_endpoint(a_deployment(version=case.get("version", 1)))


def command_case(folder: Path, case: Case) -> Sequence[Problem]:
    """A ``command`` line whose target ``local`` only remembers, after the lines of ``before``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "TARGETS", {**base.TARGETS, "local": MEMORY})
        return run_command(folder, case["command"], before=case.get("before", ()))
