"""Refusals: each with its name, and only where there is a reason."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.deployments import RUNTIME, a_deployment, an_endpoint, spec_of

from headrace.deploy.memory import MemoryTarget
from headrace.deploy.moves import plan_destruction, plan_rollback, plan_traffic
from headrace.deploy.plan import plan_deployment
from headrace.deploy.safety import (
    REFUSALS,
    Findings,
    check_allowed,
    find_unsafe,
    raise_if_unsafe,
)
from headrace.domain.deployment import DeploymentState, DeployPlan, Endpoint, EndpointState
from headrace.errors import ExitCode, Problem, StateError, UsageError

TRAITS = replace(MemoryTarget.traits, most_deployments=9)


def a_copy(name: str, version: int = 1, **parts: Any) -> DeploymentState:
    return replace(
        DeploymentState(
            name=name, version=f"triage@{version}", spec=spec_of(version), health="healthy", is_ours=True
        ),
        **parts,
    )


def a_state(*copies: DeploymentState, **traffic: int) -> EndpointState:
    shares = {name.replace("_", "-"): share for name, share in traffic.items()}
    return EndpointState(exists=True, deployments=copies, traffic=shares)


def names(plan: DeployPlan, findings: Findings | None = None, **options: Any) -> list[str]:
    return [name for name, _ in find_unsafe(plan, options.pop("traits", TRAITS), findings, **options)]


def plan(endpoint: Endpoint, state: EndpointState) -> DeployPlan:
    return plan_deployment(endpoint, state, runtime=RUNTIME, traits=TRAITS)


def two_arms(first: int, second: int, **parts: Any) -> Endpoint:
    return an_endpoint(
        a_deployment("few-shot", traffic_percent=first), a_deployment("mini", traffic_percent=second), **parts
    )


BOTH = (a_copy("few-shot"), a_copy("mini"))
FIRST = an_endpoint()


def test_a_first_deployment_a_canary_and_what_is_there_are_safe() -> None:
    assert names(plan(FIRST, EndpointState())) == []
    assert names(plan(an_endpoint(a_deployment(version=2)), a_state(a_copy("blue"), blue=100))) == []
    assert names(plan(FIRST, a_state(a_copy("blue"), blue=100)), Findings(dirty={"blue": PROBLEM})) == []


PROBLEM = Problem(code="X165", what="It is not kept.", fix="Keep it.")


@pytest.mark.parametrize(
    ("first", "second", "refusal"), [(90, 5, ["traffic"]), (0, 0, ["traffic", "shift"]), (90, 10, [])]
)
def test_shares_add_to_a_hundred(first: int, second: int, refusal: list[str]) -> None:
    assert names(plan(two_arms(first, second), a_state(*BOTH, few_shot=100))) == refusal


def test_a_share_moves_as_far_as_max_shift() -> None:
    state = a_state(*BOTH, few_shot=100)

    assert names(plan(two_arms(50, 50), state)) == []
    assert names(plan(two_arms(49, 51), state)) == ["shift"]
    assert names(plan(two_arms(49, 51, max_shift=60), state)) == []
    ((_, problem),) = find_unsafe(plan(two_arms(0, 100), state), TRAITS)
    assert "few-shot=50" in (problem.fix or "")
    assert "--allow shift" in (problem.fix or "")


def test_what_has_died_may_lose_everything_at_once_and_a_rollback_may_go_all_the_way() -> None:
    dead = a_state(a_copy("few-shot", health="failed"), a_copy("mini"), few_shot=100)
    moved = replace(a_state(*BOTH, mini=100), previous={"few-shot": 100})

    assert names(plan_traffic(FIRST, dead, {"mini": 100})) == []
    assert names(plan_rollback(FIRST, moved), is_rollback=True) == []
    assert names(plan_rollback(FIRST, moved)) == ["shift"]


def test_nothing_unhealthy_gets_more_requests() -> None:
    failed = a_copy("mini", health="failed", message="the probe failed")
    state = a_state(a_copy("few-shot"), failed, few_shot=60, mini=40)

    assert names(plan_traffic(FIRST, state, {"mini": 50})) == ["unhealthy"]
    assert names(plan_traffic(FIRST, state, {"mini": 10})) == []


def test_what_answers_is_not_replaced_by_what_nobody_has_tried_out() -> None:
    state = a_state(a_copy("few-shot", version=2), a_copy("mini"), few_shot=50, mini=50)
    made = plan(two_arms(50, 50), state)

    assert names(made) == ["in-place"]
    assert names(made, traits=replace(TRAITS, replaces_in_place=True)) == ["in-place"]
    assert names(made, traits=replace(TRAITS, tries_beside=True)) == []
    unasked = a_state(a_copy("few-shot", version=2), a_copy("mini"), mini=100)
    assert names(plan(two_arms(0, 100), unasked)) == []
    failed = a_state(a_copy("few-shot", version=2, health="failed"), a_copy("mini"), few_shot=50, mini=50)
    assert names(plan(two_arms(50, 50), failed)) == []


def test_the_last_healthy_one_is_not_deleted_by_the_way() -> None:
    state = a_state(a_copy("blue"), a_copy("green", health="failed"))

    assert names(plan_destruction(FIRST, state, "blue")) == ["last-healthy"]
    assert names(plan_destruction(FIRST, state, "green")) == []


def test_what_others_made_is_neither_changed_nor_deleted() -> None:
    theirs = a_state(a_copy("few-shot", version=2, is_ours=False, spec=""), a_copy("mini"), mini=100)

    assert names(plan(two_arms(0, 100), theirs)) == ["others"]
    assert names(plan_destruction(FIRST, theirs)) == ["others"]
    assert names(plan_destruction(FIRST, theirs, "few-shot")) == ["others"]


def test_what_is_open_unpinned_or_cannot_be_mirrored_is_said() -> None:
    deployment = a_deployment(image="registry/triage:latest", mirror_percent=10)
    made = plan(an_endpoint(deployment, authentication="none"), EndpointState())
    there = replace(made, endpoint=replace(made.endpoint, target="aca"))

    assert names(there, traits=replace(TRAITS, can_mirror=False)) == ["open", "unpinned-image", "mirror"]
    assert names(replace(there, endpoint=replace(there.endpoint, is_public=False))) == ["unpinned-image"]


def test_findings_count_for_what_is_made_or_gets_more_requests() -> None:
    findings = Findings(
        dirty={"few-shot": PROBLEM, "mini": PROBLEM},
        gate={"few-shot": PROBLEM, "mini": PROBLEM},
        untested={"few-shot": PROBLEM, "mini": PROBLEM},
        secrets=(PROBLEM,),
    )
    made = plan(two_arms(80, 20), a_state(a_copy("few-shot"), few_shot=100))
    moved = plan(two_arms(80, 20), a_state(*BOTH, few_shot=100))

    assert names(made, findings) == ["dirty", "plain-secret", "gate", "untested"]
    assert names(moved, findings) == ["gate", "untested"]


def test_a_plan_is_refused_with_all_reasons_unless_each_is_overridden_by_name() -> None:
    made = plan(two_arms(0, 90), a_state(*BOTH, few_shot=100))
    unsafe = replace(made, unsafe=find_unsafe(made, TRAITS))

    with pytest.raises(StateError) as caught:
        raise_if_unsafe(unsafe, ())
    assert [problem.code for problem in caught.value.problems] == ["X160", "X161"]
    assert caught.value.exit_code == ExitCode.STATE
    with pytest.raises(StateError):
        raise_if_unsafe(unsafe, ["traffic"])
    raise_if_unsafe(unsafe, ["traffic", "shift"])


def test_names_that_are_no_refusals_are_named_with_what_may_be_meant() -> None:
    check_allowed(tuple(REFUSALS))
    with pytest.raises(UsageError) as caught:
        check_allowed(["shfit"])
    assert (caught.value.problems[0].code, caught.value.problems[0].fix) == ("X145", "Did you mean shift?")
