"""What Container Apps answer as the state of an endpoint."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.deploy.container_app_state import (
    Share,
    failure_text,
    health,
    is_final_failure,
    named_shares,
    read_endpoint,
    relabelled,
    shares,
    tried_beside,
)
from headrace.domain.deployment import EndpointState, Scale


def a_revision(name: str, *, spec: str = "s1", label: str = "", **more: Any) -> dict[str, Any]:
    env = [
        {"name": "HEADRACE_DEPLOYMENT", "value": label},
        {"name": "HEADRACE_DEPLOYMENT_VERSION", "value": "triage@1"},
        {"name": "HEADRACE_DEPLOYMENT_SPEC", "value": spec},
        {"name": "HEADRACE_SERVE_KEY", "secretRef": "headrace-serve-key"},
    ]
    scale = {
        "minReplicas": None,
        "maxReplicas": 3,
        "rules": [{"name": "r", "http": {"metadata": {"concurrentRequests": "7"}}}],
    }
    template = {"containers": [{"env": env if spec else []}], "scale": scale}
    said = {
        "provisioningState": "Provisioned",
        "runningState": "Running",
        "healthState": "Healthy",
        "active": True,
    }
    return {
        "name": name,
        "somethingNew": 1,
        "properties": {**said, "replicas": 2, "template": template, **more},
    }


def an_app(*traffic: dict[str, Any], tags: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    ingress = {"fqdn": "triage.x.io", "external": True, "traffic": list(traffic)}
    properties = {"provisioningState": "Succeeded", "configuration": {"ingress": ingress}, **more}
    return {
        "name": "triage",
        "tags": tags,
        "identity": {"userAssignedIdentities": {"/i": {}}},
        "properties": properties,
    }


def test_nothing_is_there() -> None:
    assert read_endpoint(None, []) == EndpointState()


def test_labels_are_deployments_and_weights_their_traffic() -> None:
    app = an_app(
        {"revisionName": "triage--A", "weight": 90, "label": "blue"},
        {"revisionName": "triage--b", "weight": 10, "label": "green"},
        tags={"headrace": "1", "headrace-previous": '{"blue":[100,"1f2e"]}', "team": "x"},
    )
    state = read_endpoint(
        app, [a_revision("triage--a"), a_revision("triage--b", spec="s2", healthState="Unhealthy")], ["/I"]
    )
    assert state.traffic == {"blue": 90, "green": 10}
    assert state.previous == {"blue": 100}
    assert state.previous_specs == {"blue": "1f2e"}
    assert state.address == "https://triage.x.io/score"
    assert state.settings == {
        "authentication": "key",
        "identities": ["/I"],
        "public": True,
        "tags": {"team": "x"},
    }
    blue, green = state.deployments
    assert (blue.name, blue.health, blue.spec, blue.version, blue.n_copies) == (
        "blue",
        "healthy",
        "s1",
        "triage@1",
        2,
    )
    assert blue.scale == Scale(minimum=0, maximum=3, requests_at_once=7)
    assert (green.health, green.is_ours) == ("failed", True)
    assert "Unhealthy" in green.message


def test_what_nobody_moved_on_purpose_counts_as_nobodys() -> None:
    app = an_app(
        {"revisionName": "triage--a", "weight": 100, "label": "blue"}, tags={"headrace-unmoved": "true"}
    )
    state = read_endpoint(app, [a_revision("triage--a")])
    assert state.traffic == {}
    assert [item.name for item in state.deployments] == ["blue"]


def test_the_latest_of_others_is_a_deployment_as_well_and_not_ours() -> None:
    app = an_app({"latestRevision": True, "weight": 100}, latestRevisionName="triage--abc1234")
    state = read_endpoint(app, [a_revision("triage--abc1234", spec="")])
    assert state.traffic == {"abc1234": 100}
    assert [(item.name, item.is_ours) for item in state.deployments] == [("abc1234", False)]
    assert "authentication" not in state.settings


def test_an_app_in_single_mode_has_no_weights_and_all_goes_to_the_latest() -> None:
    app = an_app(latestReadyRevisionName="triage--r1", latestRevisionName="triage--r2")
    assert shares(app) == (Share(revision="triage--r1", percent=100),)


@pytest.mark.parametrize("state", ["InProgress", "inprogress", "Deleting"])
def test_busy_is_what_is_under_way(state: str) -> None:
    assert read_endpoint(an_app(provisioningState=state), []).is_busy


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, "healthy"),
        ({"runningState": "RunningAtMaxScale", "healthState": "None"}, "healthy"),
        ({"runningState": "ScaledToZero", "healthState": "None", "replicas": 0}, "healthy"),
        ({"runningState": "Scale to 0", "healthState": None}, "healthy"),
        ({"runningState": "Processing", "healthState": "None"}, "starting"),
        ({"provisioningState": "Provisioning", "runningState": None, "healthState": None}, "starting"),
        ({"healthState": "Unhealthy"}, "failed"),
        ({"runningState": "Degraded", "healthState": "Unhealthy"}, "failed"),
        ({"runningState": "Failed"}, "failed"),
        ({"provisioningState": "Failed", "runningState": None}, "failed"),
        ({"active": False}, "stopped"),
        ({"runningState": "Stopped", "healthState": "None"}, "stopped"),
        ({"runningState": "Stopped", "healthState": "None", "replicas": 0}, "healthy"),
        ({"runningState": "Unknown", "healthState": None}, "unknown"),
    ],
)
def test_health_by_what_is_said(said: dict[str, Any], expected: str) -> None:
    assert health(a_revision("r", **said)) == expected


def test_a_revision_that_is_only_unhealthy_may_come_back() -> None:
    assert not is_final_failure(a_revision("r", healthState="Unhealthy", runningState="Degraded"))
    assert is_final_failure(a_revision("r", provisioningState="failed"))
    assert failure_text(a_revision("r", provisioningError="no image")) == "no image"


def test_a_revision_of_ours_without_a_label_is_called_as_it_was_made() -> None:
    app = an_app(
        {"latestRevision": True, "weight": 60},
        {"revisionName": "triage--x", "weight": 40},
        {"revisionName": "triage--g", "weight": 0, "label": "green"},
        latestRevisionName="triage--a",
    )
    revisions = [
        a_revision("triage--a", label="blue"),
        a_revision("triage--x", spec=""),
        a_revision("triage--g", label="green"),
    ]
    assert named_shares(app, revisions) == (
        Share(revision="triage--a", percent=60, label="blue"),
        Share(revision="triage--x", percent=40),
        Share(revision="triage--g", percent=0, label="green"),
    )
    assert read_endpoint(app, revisions).traffic == {"blue": 60, "x": 40}


def test_a_label_takes_its_share_along() -> None:
    entries = (
        Share(revision="a", percent=70, label="blue"),
        Share(revision="n", percent=10),
        Share(revision="x", percent=20),
        Share(revision="y", percent=0),
    )
    assert relabelled(entries, "blue", "n") == (
        Share(revision="x", percent=20),
        Share(revision="n", percent=80, label="blue"),
    )
    assert sum(item.percent for item in relabelled(entries, "green", "new")) == 100


def test_a_label_goes_to_what_is_tried_and_the_share_stays_where_it_is() -> None:
    before = (
        Share(revision="a--1", percent=90, label="blue"),
        Share(revision="b--1", percent=10, label="green"),
    )

    beside = tried_beside(before, "blue", "a--2")
    assert {(item.revision, item.percent, item.label) for item in beside} == {
        ("a--1", 90, ""),
        ("b--1", 10, "green"),
        ("a--2", 0, "blue"),
    }
    again = tried_beside(beside, "blue", "a--3")
    assert ("a--2", 0, "") not in {(item.revision, item.percent, item.label) for item in again}
    back = tried_beside(again, "blue", "A--1")
    assert {(item.revision.lower(), item.percent, item.label) for item in back} == {
        ("a--1", 90, "blue"),
        ("b--1", 10, "green"),
    }


def test_an_arm_with_two_revisions_is_what_answers_and_what_is_tried() -> None:
    revisions = [
        a_revision("triage--blue-1", spec="s1", label="blue"),
        a_revision("triage--blue-2", spec="s2", label="blue"),
    ]
    entries = (
        {"revisionName": "triage--blue-1", "weight": 100},
        {"revisionName": "triage--blue-2", "weight": 0, "label": "blue"},
    )

    state = read_endpoint(an_app(*entries), revisions)
    (blue,) = state.deployments
    assert (blue.spec, blue.latest.spec, state.traffic) == ("s1", "s2", {"blue": 100})
    (unmoved,) = read_endpoint(an_app(*entries, tags={"headrace-unmoved": "true"}), revisions).deployments
    assert (unmoved.spec, unmoved.tried) == ("s2", None)
