"""The target ``aca`` through the real packages of Azure against the stand-in, which runs what is deployed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.support.azure import StandIn
from tests.support.azure.container_apps import add_environment
from tests.support.azure.registry import add_registry
from tests.support.azure.subscriptions import add_identity, assign_role
from tests.support.container_app_target import APP, Ground, bring, made, make_ground, step, write_flow

from headrace.deploy.apply import Applied, Applying, apply_plan
from headrace.deploy.container_app_template import KEY_SECRET
from headrace.deploy.plan import plan_deployment
from headrace.domain.deployment import PREVIOUS_TAG, Probe, Scale, Setting, Size
from headrace.domain.deployment_notes import render_previous
from headrace.errors import (
    AccessDeniedError,
    DefinitionError,
    Problem,
    RemoteRequestError,
    RemoteTimeoutError,
    RemoteUnavailableError,
    StateError,
    UsageError,
)

IMAGE = "myacr.azurecr.io/headrace/triage@sha256:" + "1" * 64


@pytest.fixture
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    with StandIn(tmp_path) as azure:
        azure.enter(monkeypatch)
        made_ground = make_ground(azure, tmp_path)
        yield made_ground
        made_ground.close()


@pytest.fixture
def pretended(ground: Ground) -> Ground:
    """Nothing is built or run, so that only requests are tried."""
    ground.azure.apps.is_pretending = True
    ground.azure.registries.add_image(IMAGE)
    return ground


def ask(address: Any, text: str = "hi", **headers: str) -> httpx2.Response:
    with httpx2.Client() as http:
        return http.post(address.url, json={"text": text}, headers={**address.headers, **headers})


def test_a_version_comes_beside_another_and_takes_over_and_goes_back(ground: Ground) -> None:
    azure = ground.azure
    log = (Setting(name="HEADRACE_ACCESS_LOG", value="stderr"),)
    blue, green = (
        ground.deployment("blue", "v1", settings=log),
        ground.deployment("green", "v2", scale=Scale(minimum=0, maximum=2)),
    )
    target = ground.open(ground.endpoint(blue))
    assert not target.read_state().exists

    target.apply(step("create endpoint"), ground.endpoint(blue))
    bring(target, ground.endpoint(blue), [blue])
    assert target.read_state().traffic == {}
    assert ask(target.address("blue")).json() == {"answer": "v1 hi"}
    target.apply(step("move traffic", after={"blue": 100}), ground.endpoint(blue))
    assert ask(target.address(None)).json() == {"answer": "v1 hi"}
    assert ask(replace(target.address(None), headers={})).status_code == 401

    both = ground.endpoint(blue, green)
    bring(target, both, [green])
    state = target.read_state()
    assert state.traffic == {"blue": 100}
    assert {item.name: item.health for item in state.deployments} == {"blue": "healthy", "green": "healthy"}
    assert ask(target.address("green")).json() == {"answer": "v2 hi"}
    noted = render_previous(state.traffic, {item.name: item.spec for item in state.deployments})
    target.apply(step("move traffic", after={"blue": 90, "green": 10}, **{PREVIOUS_TAG: noted}), both)
    azure.apps.idle(APP)  # green has no copy until somebody asks
    assert {item.name: item.n_copies for item in target.read_state().deployments} == {"blue": 1, "green": 0}
    address = target.address(None)
    assert Counter(ask(address).json()["answer"] for _ in range(20)) == {"v1 hi": 18, "v2 hi": 2}

    streamed = ask(address, accept="text/event-stream")
    assert streamed.headers["content-type"].startswith("text/event-stream")
    assert 'data: {"answer": "v1 hi"}' in streamed.text
    azure.faults.add(path="logstream", status=429, times=2)
    lines = [*target.read_logs("blue", 3)]
    assert len(lines) == 3
    assert all("/score" in line for line in lines)
    with pytest.raises(UsageError):
        [*target.read_logs("red", 3)]

    _promote_and_go_back(ground, target, both, noted)
    assert ground.n_packed == 2
    assert not azure.unanswered


def _promote_and_go_back(ground: Ground, target: Any, both: Any, noted: str) -> None:
    address = target.address(None)
    target.apply(step("move traffic", after={"green": 100}, **{PREVIOUS_TAG: noted}), both)
    assert ask(address).json() == {"answer": "v2 hi"}
    target.apply(step("move traffic", after=dict(target.read_state().previous)), both)
    assert ask(address).json() == {"answer": "v1 hi"}
    target.apply(step("delete deployment", "green"), both)
    assert [item.name for item in target.read_state().deployments] == ["blue"]
    for _ in range(2):
        target.apply(step("delete endpoint"), both)
    assert not target.read_state().exists
    assert not ground.azure.apps.by_id


def test_a_copy_gets_its_variables_and_secrets_and_the_key_stays_when_it_changes(ground: Ground) -> None:
    url = ground.azure.vaults.add("kv", "mood", "of the vault")
    settings = (Setting(name="MOOD", vault_url=url),)
    blue = ground.deployment("blue", "v1", settings=settings)
    target = ground.open(ground.endpoint(blue), {"LOCAL_MOOD": "of here"})
    bring(target, ground.endpoint(blue), [blue])
    first = target.address("blue")
    assert ask(first).json() == {"answer": "v1 hi of the vault"}

    changed = replace(blue, settings=(Setting(name="MOOD", variable="LOCAL_MOOD"),))
    target.apply(step("update deployment", "blue", made(changed)), ground.endpoint(changed))
    assert ask(target.address(None)).json() == {"answer": "v1 hi of here"}
    assert target.address("blue").headers == first.headers
    running = [item for item in ground.azure.apps.find(APP).revisions.values() if item.is_active]
    assert len(running) == 1
    written = str([item.body for item in ground.azure.recording.find("PATCH") if "tags" in str(item.body)])
    assert "of the vault" not in written
    assert "of here" not in str(target.read_state())


def test_a_server_that_does_not_start_is_told_with_its_last_lines_and_gets_no_label(ground: Ground) -> None:
    blue = ground.deployment("blue", "v1")
    target = ground.open(ground.endpoint(blue))
    bring(target, ground.endpoint(blue), [blue])
    target.apply(step("move traffic", after={"blue": 100}), ground.endpoint(blue))
    broken = replace(blue, settings=(Setting(name="HEADRACE_SERVE_KEY", value="short"),))
    with pytest.raises(RemoteRequestError) as raised:
        target.apply(step("update deployment", "blue", made(broken)), ground.endpoint(broken))
    problem = raised.value.problems[0]
    assert problem.code == "X278"
    assert any("HEADRACE_SERVE_KEY" in line for line in problem.detail)
    state = target.read_state()
    assert [(item.name, item.health, item.spec) for item in state.deployments] == [
        ("blue", "healthy", made(blue)["spec"])
    ]
    assert ask(target.address(None)).json() == {"answer": "v1 hi"}


def test_a_build_that_fails_is_told_with_its_last_lines(ground: Ground) -> None:
    blue = ground.deployment("blue", "v1")
    folder = write_flow(ground.folder / "flows" / "v1", "v1")
    (folder / "requirements.txt").write_text("no-such-package-anywhere\n", encoding="utf-8")
    target = ground.open(ground.endpoint(blue))
    with pytest.raises(RemoteRequestError) as raised:
        target.apply(step("prepare", "blue", made(blue)), ground.endpoint(blue))
    assert raised.value.problems[0].code == "X276"
    assert (
        "No matching distribution found for no-such-package-anywhere" in raised.value.problems[0].detail[-1]
    )
    assert "sig=" not in str(raised.value.problems)


def test_what_was_built_is_found_again_also_where_the_registry_is_closed(ground: Ground) -> None:
    blue = ground.deployment("blue", "v1")
    for is_closed in (False, False, True):
        ground.azure.registries.is_closed = is_closed
        target = ground.open(ground.endpoint(blue))
        target.apply(step("prepare", "blue", made(blue)), ground.endpoint(blue))
    assert len(ground.azure.recording.find("POST", "scheduleRun")) == 1


def test_a_registry_elsewhere_in_the_subscription_is_found(ground: Ground) -> None:
    azure = ground.azure
    azure.resources.delete(f"{azure.group_id}/providers/Microsoft.ContainerRegistry/registries/myacr")
    other = f"{azure.subscription_id}/resourceGroups/shared"
    azure.resources.put(replace(azure.resources.get(azure.group_id), id=other))
    add_registry(azure, "aacr", other)
    add_registry(azure, "MyAcr", other)
    blue = ground.deployment("blue", "v1")
    target = ground.open(ground.endpoint(blue))
    target.apply(step("prepare", "blue", made(blue)), ground.endpoint(blue))
    assert "/resourcegroups/shared/" in azure.recording.find("POST", "scheduleRun")[0].path.lower()


def a_pretended(ground: Ground, *names: str, **more: Any) -> Any:
    deployments = [ground.deployment(name, name, image=IMAGE, **more) for name in names]
    return ground.endpoint(*deployments)


def create(ground: Ground, *names: str, **patience: float) -> tuple[Any, Any]:
    endpoint = a_pretended(ground, *names)
    target = ground.open(endpoint, **patience)
    bring(target, endpoint, endpoint.deployments)
    return target, endpoint


def test_steps_made_twice_do_no_more(pretended: Ground) -> None:
    target, endpoint = create(pretended, "blue", "green")
    shares = {"blue": 60, "green": 40}
    target.apply(step("move traffic", after=shares, **{PREVIOUS_TAG: '{"blue":[100,"x"]}'}), endpoint)
    n_changes = len(pretended.azure.recording.find("PATCH"))
    bring(target, endpoint, endpoint.deployments)
    target.apply(step("move traffic", after=shares, **{PREVIOUS_TAG: '{"blue":[60,"x"]}'}), endpoint)
    for deployment in endpoint.deployments:
        target.apply(step("set scale", deployment.name), endpoint)
    assert len(pretended.azure.recording.find("PATCH")) == n_changes
    assert target.read_state().previous == {"blue": 100}


def test_another_scale_is_another_revision_of_the_same_image_in_the_same_place(pretended: Ground) -> None:
    target, endpoint = create(pretended, "blue")
    target.apply(step("move traffic", after={"blue": 100}), endpoint)
    wider = replace(
        endpoint.deployments[0], scale=Scale(minimum=0, maximum=9, requests_at_once=4, cpu_percent=80)
    )
    target.apply(step("set scale", "blue"), replace(endpoint, deployments=(wider,)))
    state = target.read_state()
    assert state.traffic == {"blue": 100}
    assert state.deployments[0].scale == wider.scale
    assert state.deployments[0].spec == made(wider)["spec"]
    assert [item.is_active for item in pretended.azure.apps.find(APP).revisions.values()] == [False, True]


def test_an_endpoint_changes_whom_it_lets_in_and_where_it_can_be_reached(pretended: Ground) -> None:
    target, endpoint = create(pretended, "blue", ingress_s=0.5)  # an address inside is known to nobody here
    other = add_identity(pretended.azure, "other")
    assign_role(
        pretended.azure,
        pretended.azure.group_id + "/providers/Microsoft.ContainerRegistry/registries/myacr",
        "AcrPull",
        other.properties["principalId"],
    )
    changed = replace(
        endpoint,
        authentication="none",
        is_public=False,
        tags={"team": "x"},
        identities=(other.id, pretended.identity),
    )
    target.apply(step("update endpoint", headrace="2"), changed)
    settings = pretended.open(changed).read_state().settings
    assert settings["authentication"] == "none"
    assert settings["public"] is False
    assert settings["tags"] == {"team": "x"}
    assert set(settings["identities"]) == {other.id, pretended.identity}
    assert target.address("blue").headers == {}
    assert ".internal." in target.address("blue").url
    # The file names blue no more, which still has the traffic.
    gone = replace(changed.deployments[0], name="green")
    target.apply(step("update endpoint"), replace(changed, authentication="key", deployments=(gone,)))
    assert target.address("blue").headers["Authorization"].startswith("Bearer hr_")


def test_an_app_of_others_gets_a_revision_beside_theirs_and_keeps_what_it_has(pretended: Ground) -> None:
    azure = pretended.azure
    template = {
        "containers": [{"name": "web", "image": IMAGE}],
        "volumes": [{"name": "v", "storageType": "EmptyDir"}],
    }
    body = {
        "location": "westeurope",
        "identity": {"type": "UserAssigned", "userAssignedIdentities": {pretended.identity: {}}},
        "tags": {"cost": "42"},
        "properties": {
            "environmentId": f"{azure.group_id}/providers/Microsoft.App/managedEnvironments/cae",
            "configuration": {
                "ingress": {"external": True, "targetPort": 80, "stickySessions": {"affinity": "none"}},
                "registries": [{"server": "myacr.azurecr.io", "identity": pretended.identity}],
                "secrets": [{"name": "theirs", "value": "a"}],
            },
            "template": template,
        },
    }
    endpoint = a_pretended(pretended, "blue")
    target = pretended.open(endpoint)
    target._client.put(body)
    theirs = target.read_state().deployments[0]
    bring(target, endpoint, endpoint.deployments)
    state = target.read_state()
    assert state.traffic == {theirs.name: 100}
    assert {item.name: item.is_ours for item in state.deployments} == {theirs.name: False, "blue": True}
    target.apply(step("move traffic", after={"blue": 25, theirs.name: 75}), endpoint)
    assert target.read_state().traffic == {"blue": 25, theirs.name: 75}
    resource = azure.apps.find(APP).resource
    assert resource.tags["cost"] == "42"
    assert {item["name"] for item in resource.hidden["secrets"]} == {"theirs", KEY_SECRET}
    target.apply(step("move traffic", after={"blue": 100}), endpoint)
    assert azure.apps.find(APP).revisions[theirs.revision].is_active  # others' are never stopped
    assert resource.properties["configuration"]["ingress"]["targetPort"] == 80


def test_traffic_goes_to_nobody_who_does_not_answer(pretended: Ground) -> None:
    target, endpoint = create(pretended, "blue", "green")
    target.apply(step("move traffic", after={"blue": 100}), endpoint)
    green = pretended.azure.apps.find(APP).revisions[target.read_state().find("green").revision]
    green.is_ill = True
    for after, words in (
        ({"blue": 50, "green": 50}, "green is failed"),
        ({"blue": 50, "red": 50}, "no deployment red"),
        ({"blue": 50}, "add to 50"),
    ):
        with pytest.raises(StateError, match=words) as raised:
            target.apply(step("move traffic", after=after), endpoint)
        assert raised.value.problems[0].code == "X275"
    with pytest.raises(StateError, match="gets requests"):
        target.apply(step("delete deployment", "blue"), endpoint)
    assert target.read_state().traffic == {"blue": 100}


def test_who_was_stopped_is_started_before_requests_go_there(pretended: Ground) -> None:
    target, endpoint = create(pretended, "blue", "green")
    target.apply(step("move traffic", after={"blue": 100}), endpoint)
    green = pretended.azure.apps.find(APP).revisions[target.read_state().find("green").revision]
    green.is_active = False
    assert target.read_state().find("green").health == "stopped"
    target.apply(step("move traffic", after={"green": 100}), endpoint)
    assert green.is_active


def test_a_failed_attempt_is_followed_by_another_one_with_a_name_of_its_own(pretended: Ground) -> None:
    endpoint = a_pretended(pretended, "blue")
    target = pretended.open(endpoint)
    pretended.azure.faults.add(
        method="PUT", path="containerApps/triage$", fail_operation="InternalServerError"
    )
    with pytest.raises(RemoteUnavailableError) as raised:
        bring(target, endpoint, endpoint.deployments)
    assert raised.value.problems[0].code == "X215"
    assert target.read_state().deployments[0].health == "failed"
    bring(target, endpoint, endpoint.deployments)
    state = target.read_state()
    assert (state.deployments[0].health, state.traffic) == ("healthy", {})
    assert state.deployments[0].revision.endswith("-2")


def test_an_image_that_may_not_be_pulled_names_the_identity_and_the_role(pretended: Ground) -> None:
    azure = pretended.azure
    stranger = add_identity(azure, "stranger")
    endpoint = replace(a_pretended(pretended, "blue"), identities=(stranger.id,))
    target = pretended.open(endpoint)
    with pytest.raises(RemoteRequestError) as raised:
        bring(target, endpoint, endpoint.deployments)
    problem = raised.value.problems[0]
    assert problem.code == "X277"
    assert "stranger" in (problem.fix or "")
    built = replace(endpoint, deployments=(replace(endpoint.deployments[0], image=""),))
    pretended.open(built).apply(step("create endpoint"), built)
    assert any("stranger" in line and "AcrPull" in line for line in pretended.told)
    assert azure.recording.find("PUT", "containerApps")[0].body["identity"]["userAssignedIdentities"] == {
        stranger.id: {}
    }


def test_what_has_to_be_there_first_is_named(pretended: Ground) -> None:
    endpoint = a_pretended(pretended, "blue")
    nowhere = replace(endpoint, place=replace(endpoint.place, environment="nowhere"))
    with pytest.raises(StateError, match="no environment nowhere") as raised:
        pretended.open(nowhere).apply(step("create endpoint"), nowhere)
    assert raised.value.problems[0].code == "X274"
    assert "There are: cae." in (raised.value.problems[0].fix or "")
    bring(pretended.open(endpoint), endpoint, endpoint.deployments)
    add_environment(pretended.azure, "other")
    moved = replace(endpoint, place=replace(endpoint.place, environment="other"))
    with pytest.raises(StateError, match=r"lives in"):
        pretended.open(moved).apply(step("update endpoint"), moved)
    wish = replace(endpoint.deployments[0], settings=(Setting(name="A_KEY", variable="NOT_SET"),))
    with pytest.raises(DefinitionError) as unset:
        pretended.open(endpoint).apply(
            step("update deployment", "blue", made(wish)), replace(endpoint, deployments=(wish,))
        )
    assert unset.value.problems[0].code == "X101"
    with pytest.raises(UsageError) as missing:
        pretended.open(endpoint).address("green")
    assert missing.value.problems[0].code == "X143"


def test_an_environment_that_may_not_be_seen_is_taken_from_the_file(pretended: Ground) -> None:
    pretended.azure.access.deny("Microsoft.App/managedEnvironments/read")
    endpoint = a_pretended(pretended, "blue")
    pretended.azure.access.deny("Microsoft.Resources/subscriptions/read")
    with pytest.raises(AccessDeniedError):
        pretended.open(endpoint).apply(step("create endpoint"), endpoint)
    pretended.azure.access.denials.pop()
    pretended.open(endpoint).apply(step("create endpoint"), endpoint)  # the region of the group will do
    placed = replace(endpoint, place=replace(endpoint.place, location="westeurope"))
    target = pretended.open(placed)
    bring(target, placed, placed.deployments)
    assert target.read_state().deployments[0].health == "healthy"


@pytest.mark.parametrize("statuses", [{"PUT": 202, "PATCH": 200}, {"PUT": 200, "PATCH": 202}])
def test_accepted_is_accepted_with_whatever_status(pretended: Ground, statuses: dict[str, int]) -> None:
    pretended.azure.apps.statuses |= statuses
    target, endpoint = create(pretended, "blue", "green")
    target.apply(step("move traffic", after={"blue": 50, "green": 50}), endpoint)
    assert target.read_state().traffic == {"blue": 50, "green": 50}


def test_tokens_for_the_audience_let_one_in_where_those_are_asked_for(pretended: Ground) -> None:
    settings = (
        Setting(name="HEADRACE_SERVE_ISSUER", value="https://login.microsoftonline.com/t/v2.0"),
        Setting(name="HEADRACE_SERVE_AUDIENCE", value="api://triage"),
    )
    endpoint = replace(a_pretended(pretended, "blue", settings=settings), authentication="entra")
    target = pretended.open(endpoint)
    assert target.check(endpoint) == ()
    bring(target, endpoint, endpoint.deployments)
    token = target.address("blue").headers["Authorization"].removeprefix("Bearer ")
    assert pretended.azure.directory.read_token(token)["aud"] == "api://triage"
    assert target.read_state().settings["authentication"] == "entra"


def test_a_key_of_the_file_is_found_where_it_is(pretended: Ground) -> None:
    key = Setting(name="HEADRACE_SERVE_KEY", variable="MY_KEYS")
    endpoint = a_pretended(pretended, "blue", settings=(key,))
    target = pretended.open(endpoint, {"MY_KEYS": "the-first-long-random-key,the-second-long-random-key"})
    bring(target, endpoint, endpoint.deployments)
    assert pretended.open(endpoint).address(None).headers == {
        "Authorization": "Bearer the-first-long-random-key"
    }
    assert KEY_SECRET not in {
        item["name"] for item in pretended.azure.apps.find(APP).resource.hidden["secrets"]
    }


def test_a_copy_that_stops_answering_is_given_up_after_a_while(pretended: Ground) -> None:
    target, endpoint = create(pretended, "blue")
    quick = Probe(initial_delay_s=1, period_s=1, timeout_s=1, failures=1)
    wish = replace(endpoint.deployments[0], liveness=quick, readiness=quick)
    pretended.azure.apps.are_ill = True
    with pytest.raises(RemoteRequestError, match="probes") as raised:
        target.apply(step("update deployment", "blue", made(wish)), replace(endpoint, deployments=(wish,)))
    assert raised.value.problems[0].code == "X278"


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "headers": {"Retry-After": "0"}, "times": 2}, None),
        ({"status": 503, "headers": {"Retry-After": "0"}}, None),
        ({"status": 409, "code": "ContainerAppOperationInProgress", "times": 2}, None),
        ({"drop": "before"}, None),
        ({"drop": "after"}, None),
        ({"status": 403, "code": "AuthorizationFailed"}, AccessDeniedError),
        ({"status": 400, "code": "ContainerAppInvalidName"}, RemoteRequestError),
        ({"status": 409, "code": "SomethingElse"}, RemoteRequestError),
        ({"fail_operation": "ContainerAppOperationError"}, RemoteRequestError),
        ({"hang_operation": True}, RemoteTimeoutError),
    ],
)
def test_a_change_of_traffic_meets_faults(
    pretended: Ground, fault: dict[str, Any], error: type[Exception] | None
) -> None:
    target, endpoint = create(pretended, "blue", "green")
    target.apply(step("move traffic", after={"blue": 100}), endpoint)
    azure, shares = pretended.azure, {"blue": 50, "green": 50}
    azure.faults.add(method="PATCH", path="containerApps/triage$", **fault)
    short = pretended.open(endpoint, operation_s=1.0 if "hang_operation" in fault else 60.0)
    if error is None:
        short.apply(step("move traffic", after=shares), endpoint)
    else:
        with pytest.raises(error):
            short.apply(step("move traffic", after=shares), endpoint)
        azure.operations.release()
        target.apply(step("move traffic", after=shares), endpoint)
    assert target.read_state().traffic == shares


@pytest.mark.parametrize("path", ["listBuildSourceUploadUrl$", "scheduleRun$"])
def test_a_registry_where_something_is_under_way_is_asked_again(ground: Ground, path: str) -> None:
    ground.azure.faults.add(method="POST", path=path, status=409, times=2)
    endpoint = ground.endpoint(ground.deployment("blue", "v1"))
    target = ground.open(endpoint)
    target.apply(step("prepare", "blue"), endpoint)
    assert len(ground.azure.recording.find("POST", path.rstrip("$"))) == 3


def test_a_registry_that_cannot_be_reached_is_told_without_the_signature(ground: Ground) -> None:
    blue = ground.deployment("blue", "v1")
    ground.azure.faults.add(method="PUT", path="blob.core.windows.net", status=403, times=None)
    target = ground.open(ground.endpoint(blue))
    with pytest.raises(RemoteUnavailableError) as raised:
        target.apply(step("prepare", "blue", made(blue)), ground.endpoint(blue))
    assert raised.value.problems[0].code == "X276"
    assert "sig=" not in str(raised.value.problems)


def apply(target: Any, endpoint: Any, ask: Any = lambda *_: None) -> Applied:
    """Plan and apply."""

    def plan(state: Any) -> Any:
        return plan_deployment(endpoint, state, runtime="headrace", traits=target.traits)

    return apply_plan(plan(target.read_state()), Applying(target=target, ask=ask, replan=plan))


def done(applied: Applied) -> list[str]:
    return [f"{change.action} {change.deployment}".strip() for change in applied.changes]


def refuse(*_: Any) -> None:
    raise RemoteRequestError(Problem(code="P705", what="It answered 500."))


def test_an_arm_with_all_requests_is_tried_out_before_its_new_version_gets_one(ground: Ground) -> None:
    first = ground.endpoint(ground.deployment("blue", "v1", traffic_percent=100))
    target = ground.open(first)
    apply(target, first)
    old = target.read_state().find("blue").revision
    second = ground.endpoint(ground.deployment("blue", "v2", traffic_percent=100))
    heard: list[tuple[str, str]] = []

    def ask_both(name: str, _: Any) -> None:
        heard.append(
            tuple(ask(target.address(there)).json()["answer"] for there in (name, None))  # type: ignore[arg-type]
        )

    with pytest.raises(RemoteRequestError, match="the one before goes on with its 100 %"):
        apply(target, second, refuse)
    state = target.read_state()
    blue = state.find("blue")
    assert (blue.revision, blue.version, blue.tried.version) == (old, "triage@v1", "triage@v2")
    assert state.traffic == {"blue": 100}

    again = apply(target, second, ask_both)
    assert done(again) == ["smoke test blue", "move traffic"]
    assert heard == [("v2 hi", "v1 hi")]
    assert ask(target.address(None)).json() == {"answer": "v2 hi"}
    state = target.read_state()
    assert (state.find("blue").version, state.find("blue").tried) == ("triage@v2", None)
    assert state.previous_specs == {"blue": blue.spec[:8]}
    revisions = ground.azure.apps.find(APP).revisions
    assert [name for name, item in revisions.items() if not item.is_active] == [old]
    assert not apply(target, second).changes


def an_arm(ground: Ground, memory_gib: float, share: int = 90) -> Any:
    from_file = ground.deployment(
        "blue", "blue", image=IMAGE, size=Size(memory_gib=memory_gib), traffic_percent=share
    )
    other = ground.deployment("green", "green", image=IMAGE, traffic_percent=100 - share)
    return ground.endpoint(from_file, other)


def test_what_was_tried_in_vain_is_given_up_or_replaced_and_never_gets_a_request(pretended: Ground) -> None:
    first, second, third = (an_arm(pretended, size) for size in (1.0, 2.0, 4.0))
    target = pretended.open(first)
    apply(target, first)
    old = target.read_state().find("blue").revision
    for wish in (second, third):
        with pytest.raises(RemoteRequestError):
            apply(target, wish, refuse)
        assert target.read_state().find("blue").revision == old
        assert target.read_state().traffic == {"blue": 90, "green": 10}
    # Others' shares move while it is tried, and its own stays with what answers.
    target.apply(step("move traffic", after={"blue": 60, "green": 40}), third)
    assert target.read_state().find("blue").revision == old
    assert target.read_state().find("blue").tried is not None
    target.apply(step("move traffic", after={"blue": 90, "green": 10}), third)
    # The file goes back to what answers.
    asked: list[str] = []
    apply(target, first, lambda name, _: asked.append(name))
    state = target.read_state()
    assert (state.find("blue").revision, state.find("blue").tried, asked) == (old, None, ["blue"])
    running = [item.name for item in pretended.azure.apps.find(APP).revisions.values() if item.is_active]
    assert sorted(running) == sorted([old, state.find("green").revision])
    assert not apply(target, first).changes


def test_another_scale_and_the_way_of_asking_follow_while_something_is_tried(pretended: Ground) -> None:
    first, second = (an_arm(pretended, size) for size in (1.0, 2.0))
    target = pretended.open(first)
    apply(target, first)
    old = target.read_state().find("blue").revision
    with pytest.raises(RemoteRequestError):
        apply(target, second, refuse)
    wider = replace(second.deployments[0], scale=Scale(minimum=0, maximum=5))
    changed = replace(second, authentication="none", deployments=(wider, second.deployments[1]))
    with pytest.raises(RemoteRequestError):
        apply(target, changed, refuse)
    assert target.read_state().find("blue").revision == old
    apply(target, changed)
    state = target.read_state()
    assert state.find("blue").scale == wider.scale
    assert state.settings["authentication"] == "none"
    assert not apply(target, changed).changes
