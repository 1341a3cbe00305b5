"""What goes wrong with deployments, made from the plain data of a problem's case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.deployments import (
    RUNTIME,
    a_deployment,
    an_endpoint,
    open_memory_target,
    remember,
    remembered,
)

from headrace.deploy.memory import MemoryTarget
from headrace.deploy.plan import plan_deployment
from headrace.domain.deployment import Change, Endpoint
from headrace.errors import Problem

Case = Mapping[str, Any]


def plan_case(folder: Path, case: Case) -> Sequence[Problem]:
    """A plan: ``arms`` or ``version`` is wished for, ``there`` maps deployments to versions, ``traffic`` is theirs."""
    endpoint = _endpoint(case)
    remember(folder, {name: remembered(version) for name, version in case["there"].items()}, case["traffic"])
    state = open_memory_target(folder, endpoint).read_state()
    plan_deployment(endpoint, state, runtime=RUNTIME, traits=MemoryTarget.traits)
    return ()


def step_case(folder: Path, case: Case) -> Sequence[Problem]:
    """One ``step`` of a plan, or the ``address`` of a deployment."""
    endpoint = _endpoint(case)
    remember(folder, {name: remembered(version) for name, version in case["there"].items()}, case["traffic"])
    target = open_memory_target(folder, endpoint)
    if "address" in case:
        target.address(case["address"])
    else:
        target.apply(Change(what="", **case["step"]), endpoint)
    return ()


def _endpoint(case: Case) -> Endpoint:
    arms = [a_deployment(name, traffic_percent=share) for name, share in case.get("arms", {}).items()]
    return an_endpoint(*arms) if arms else an_endpoint(a_deployment(version=case.get("version", 1)))
