"""Managed online endpoints, through the real packages, before a stand-in whose deployments really run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from azure.core.pipeline.transport import RequestsTransport
from tests.support.azure.messages import Request, Response
from tests.support.azure.resources import Resource
from tests.support.deadly_deploy import Killed, deadly_send
from tests.support.managed_target import (
    CRASHING,
    MUTE,
    Managed,
    a_deployment,
    managed_target,
    with_deployments,
)

from headrace.deploy.managed_waiting import Waits
from headrace.domain.deployment import DeploymentState, Probe, Scale, Setting
from headrace.errors import (
    AccessDeniedError,
    DefinitionError,
    HeadraceError,
    RemoteRequestError,
    RemoteTimeoutError,
    StateError,
    UsageError,
)

ENDPOINT, BLUE = "onlineEndpoints/triage$", "deployments/blue$"
GREEN = "deployments/green$"


@pytest.fixture
def managed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Managed]:
    with managed_target(tmp_path, monkeypatch) as found:
        yield found


def test_nothing_is_there_before_anything_was_deployed(managed: Managed) -> None:
    assert not managed.state().exists


def test_a_second_version_takes_over_and_goes_away_again(
    managed: Managed, capfd: pytest.CaptureFixture[str]
) -> None:
    managed.deploy("blue")
    managed.make("move traffic", after={"blue": 100})
    assert managed.ask({"a": 1}).body["flow"] == "v1"
    managed.make("create deployment", "green")
    assert managed.ask({"a": 1}, "green").body["flow"] == "v2"
    managed.make("set mirror", after={"green": 50})
    assert (managed.state().traffic, managed.state().mirror) == ({"blue": 100}, {"green": 50})
    assert {managed.ask({"a": 1}).body["flow"] for _ in range(12)} == {"v1"}
    assert managed.azure.machine_learning.counts["green", "mirrored"] > 0
    managed.make("move traffic", after={"blue": 60, "green": 40})
    assert managed.state().mirror == {}
    assert {managed.ask({"a": 1}).body["flow"] for _ in range(12)} == {"v1", "v2"}
    managed.make("move traffic", after={"green": 100})
    state = managed.state()
    assert (state.traffic, state.previous) == ({"green": 100}, {"blue": 60, "green": 40})
    managed.make("move traffic", after={"blue": 100})
    managed.make("delete deployment", "green")
    assert [item.name for item in managed.state().deployments] == ["blue"]
    managed.make("delete endpoint")
    assert not managed.state().exists
    assert not managed.azure.machine_learning.containers
    assert capfd.readouterr() == ("", "")


def test_what_is_there_is_read_in_our_words(managed: Managed) -> None:
    managed.deploy("blue")
    state = managed.state()
    wished = managed.endpoint.deployments[0]
    assert state.find("blue") == DeploymentState(
        name="blue",
        version="triage@v1",
        spec=wished.spec_digest("1"),
        health="healthy",
        n_copies=1,
        is_ours=True,
        instance_type="Standard_DS3_v2",
        scale=Scale(),
    )
    assert state.address == "https://triage.westeurope.inference.ml.azure.com/score"
    assert state.settings == managed.endpoint.own_settings()


def test_an_image_is_built_from_the_packed_server(managed: Managed) -> None:
    with_deployments(managed, a_deployment("blue", image=""))
    managed.deploy("blue")
    answered = managed.ask({"variable": "MADE"}, "blue")
    assert (answered.body["flow"], answered.body["env"]) == ("v1", "yes")
    assert ("blue", "runtime") in managed.packed


def test_answers_stream(managed: Managed) -> None:
    managed.deploy("blue")
    answered = managed.ask({"stream": True}, "blue")
    assert answered.body == 'data: {"said": "a"}\n\ndata: {"said": "b"}\n\n'


def test_the_key_of_the_endpoint_does_not_reach_the_flow(managed: Managed) -> None:
    managed.deploy("blue")
    assert managed.ask({"a": 1}, "blue").body["key"] is None


def test_an_error_of_the_flow_is_told_from_one_of_the_gateway(managed: Managed) -> None:
    managed.deploy("blue")
    answered = managed.ask({"fail": True}, "blue")
    assert (answered.status, answered.headers["ms-azureml-model-error-statuscode"]) == (424, "400")


def test_logs_are_the_last_lines_of_the_container(managed: Managed) -> None:
    managed.deploy("blue")
    managed.ask({"n": 1}, "blue")
    managed.ask({"n": 2}, "blue")
    assert list(managed.target().read_logs("blue", 2)) == ["asked {'n': 1}", "asked {'n': 2}"]


def test_nobody_is_asked_where_nothing_is(managed: Managed) -> None:
    with pytest.raises(UsageError) as none:
        managed.target().address(None)
    managed.deploy("blue")
    with pytest.raises(UsageError) as other:
        managed.target().address("green")
    with pytest.raises(UsageError) as logs:
        list(managed.target().read_logs("green", 5))
    assert [error.value.problems[0].code for error in (none, other, logs)] == ["X143"] * 3
    assert other.value.problems[0].fix == "There are: blue."


# Steps that were made already


def test_a_step_that_is_made_again_sends_nothing(managed: Managed) -> None:
    managed.deploy("blue")
    managed.make("move traffic", after={"blue": 100})
    before = managed.n_sent("PUT", "")
    managed.make("create endpoint")
    managed.make("prepare", "blue")
    managed.make("create deployment", "blue")
    managed.make("move traffic", after={"blue": 100})
    assert managed.n_sent("PUT", "") == before
    assert managed.state().previous == {}


def test_what_is_gone_is_deleted_without_complaint(managed: Managed) -> None:
    managed.make("delete endpoint")
    managed.deploy("blue")
    managed.make("delete deployment", "green")
    managed.make("delete deployment", "blue")
    managed.make("delete deployment", "blue")
    assert managed.n_sent("DELETE", BLUE) == 1


def test_an_operation_of_a_killed_process_is_waited_for(managed: Managed) -> None:
    managed.make("create endpoint")
    managed.azure.faults.add(method="PUT", path=BLUE, hang_operation=True)
    managed.waits = Waits(endpoint=5, deployment=0.2, deletion=5)
    with pytest.raises(RemoteTimeoutError) as late:
        managed.make("create deployment", "blue")
    assert late.value.problems[0].code == "X213"
    assert managed.state().find("blue").is_busy
    managed.waits = Waits(endpoint=5, deployment=30, deletion=5)
    release = threading.Timer(0.3, managed.azure.operations.release)
    release.start()
    managed.make("create deployment", "blue")
    release.join()
    assert managed.state().find("blue").health == "healthy"
    assert managed.n_sent("PUT", BLUE) == 1
    assert any(line.startswith("Waiting for deployment blue: creating") for line in managed.told)


def test_waiting_ends_when_nothing_is_under_way(managed: Managed) -> None:
    managed.azure.faults.add(method="PUT", path=ENDPOINT, hang_operation=True)
    managed.waits = Waits(endpoint=0.2, deployment=5, deletion=5)
    with pytest.raises(RemoteTimeoutError):
        managed.make("create endpoint")
    assert managed.state().is_busy
    managed.azure.operations.release()
    managed.waits = Waits()
    managed.make("wait")
    managed.make("wait", "blue")
    assert not managed.state().is_busy


def test_what_others_wrote_on_the_endpoint_stays(managed: Managed) -> None:
    managed.deploy("blue")
    found = managed.azure.resources.get(
        f"{managed.azure.machine_learning.workspace_id}/onlineEndpoints/triage"
    )
    assert found is not None
    found.tags["cost-centre"] = "7"
    found.properties["properties"]["portal"] = "x"
    found.properties["description"] = "by hand"
    managed.make("move traffic", after={"blue": 100})
    assert found.id in {item.id for item in managed.azure.resources.all()}
    now = managed.azure.resources.get(found.id)
    assert now is not None
    assert now.tags["cost-centre"] == "7"
    assert now.properties["properties"]["portal"] == "x"
    assert now.properties["description"] == "by hand"


# What is sent


def test_more_deployments_than_fit_on_a_page_are_all_seen(managed: Managed) -> None:
    names = ("blue", "green", "mini", "nano", "pico")
    with_deployments(managed, *(a_deployment(name) for name in names))
    managed.deploy(*names)
    assert [item.name for item in managed.state().deployments] == sorted(names)


def test_secrets_are_references_that_the_service_resolves(managed: Managed) -> None:
    azure = managed.azure
    url = azure.vaults.add("kv", "key", "from the vault")
    connection = f"{azure.machine_learning.workspace_id}/connections/aoai"
    azure.resources.put(
        Resource(id=connection, properties={"target": "https://aoai"}, hidden={"key": "from the connection"})
    )
    managed.variables = {"MY_KEY": "from the variable"}
    settings = (
        Setting(name="PLAIN", value="text"),
        Setting(name="VAULT", vault_url=url),
        Setting(name="CONNECTION", connection="aoai", field="key"),
        Setting(name="ADDRESS", connection="aoai", field="target"),
        Setting(name="OWN", variable="MY_KEY"),
    )
    with_deployments(managed, a_deployment("blue", settings=settings))
    managed.deploy("blue")
    said = [managed.ask({"variable": item.name}, "blue").body["env"] for item in settings]
    expected = ["text", "from the vault", "from the connection", "https://aoai", "from the variable"]
    assert said == expected
    bodies = [str(item.body) for item in managed.sent("PUT", BLUE)]
    assert "from the" not in bodies[0]
    assert "from the" not in "".join(managed.told)
    managed.make("delete deployment", "blue")
    left = azure.resources.within(azure.machine_learning.workspace_id, "connections")
    assert [item.name for item in left] == ["aoai"]


def test_a_deployment_that_is_the_first_to_have_secrets_lets_the_endpoint_read_them(managed: Managed) -> None:
    managed.deploy("blue")
    url = managed.azure.vaults.add("kv", "key", "value")
    green = a_deployment("green", "v2", settings=(Setting(name="KEY", vault_url=url),))
    with_deployments(managed, managed.endpoint.deployments[0], green)
    managed.make("create deployment", "green")
    assert managed.ask({"variable": "KEY"}, "green").body["env"] == "value"


def test_a_variable_that_is_not_set_is_a_mistake_before_anything_is_sent(managed: Managed) -> None:
    with_deployments(managed, a_deployment("blue", settings=(Setting(name="KEY", variable="NOT_SET"),)))
    managed.make("create endpoint")
    with pytest.raises(DefinitionError, match="The variable NOT_SET, which KEY is taken from, is not set"):
        managed.make("create deployment", "blue")
    assert managed.n_sent("PUT", BLUE) == 0


def test_user_assigned_identities_are_named_and_never_changed(managed: Managed) -> None:
    own = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/own"
    managed.endpoint = replace(managed.endpoint, identities=(own,))
    managed.deploy("blue")
    managed.make("move traffic", after={"blue": 100})
    assert managed.state().settings["identities"] == [own]
    with pytest.raises(StateError) as refused:
        managed.make("update endpoint", endpoint=replace(managed.endpoint, identities=()))
    assert refused.value.problems[0].code == "X253"


def test_tokens_take_the_place_of_keys(managed: Managed) -> None:
    managed.endpoint = replace(managed.endpoint, authentication="entra", is_public=False)
    managed.deploy("blue")
    state = managed.state()
    assert (state.settings["authentication"], state.settings["public"]) == ("entra", False)
    assert managed.ask({"a": 1}, "blue").status == 200
    sent = managed.sent("PUT", ENDPOINT)[0].body["properties"]
    assert (sent["authMode"], sent["publicNetworkAccess"]) == ("AADToken", "Disabled")


def test_limits_probes_and_collection_are_sent_as_the_schema_spells_them(managed: Managed) -> None:
    managed.endpoint = replace(managed.endpoint, is_egress_public=False)
    probe = Probe(initial_delay_s=0, period_s=2, timeout_s=3, successes=2, failures=50)
    with_deployments(managed, a_deployment("blue", collect_share=0.25, readiness=probe))
    managed.deploy("blue")
    sent = managed.sent("PUT", BLUE)[0].body
    properties = sent["properties"]
    assert properties["requestSettings"] == {
        "requestTimeout": "PT1M",
        "maxConcurrentRequestsPerInstance": 10,
    }
    assert (properties["readinessProbe"]["period"], properties["readinessProbe"]["successThreshold"]) == (
        "PT2S",
        2,
    )
    collected = properties["dataCollector"]["collections"]
    assert {name: item["dataCollectionMode"] for name, item in collected.items()} == {
        "request": "Enabled",
        "response": "Enabled",
    }
    assert properties["egressPublicNetworkAccess"] == "Disabled"
    assert sent["sku"] == {"name": "Default", "capacity": 1}


def test_scale_is_a_setting_of_azure_monitor_or_a_number(managed: Managed) -> None:
    managed.deploy("blue")
    for scale in (
        Scale(minimum=1, maximum=3, cpu_percent=60),
        Scale(minimum=2, maximum=4),
        Scale(minimum=2, maximum=2),
    ):
        with_deployments(managed, a_deployment("blue", scale=scale))
        managed.make("set scale", "blue")
        managed.make("set scale", "blue")
        assert managed.state().find("blue").scale == scale
    assert managed.state().find("blue").n_copies == 2
    assert managed.ask({"a": 1}, "blue").body["flow"] == "v1"
    with_deployments(managed, a_deployment("blue", scale=Scale(minimum=1, maximum=3)))
    managed.make("set scale", "blue")
    managed.make("delete endpoint")
    assert managed.azure.resources.of_type("Microsoft.Insights/autoscalesettings") == []


def test_a_changed_flow_replaces_the_deployment_in_place(managed: Managed) -> None:
    managed.deploy("blue")
    with_deployments(managed, a_deployment("blue", "v2"))
    managed.make("update deployment", "blue")
    assert managed.ask({"a": 1}, "blue").body["flow"] == "v2"


def test_a_version_of_the_model_that_others_took_is_passed_over(managed: Managed) -> None:
    managed.deploy("blue")
    models = managed.azure.resources.of_type("Microsoft.MachineLearningServices/workspaces/models/versions")
    models[0].properties["tags"] = {}
    managed.make("prepare", "blue")
    versions = managed.azure.resources.of_type("Microsoft.MachineLearningServices/workspaces/models/versions")
    assert sorted(int(item.name) - int(models[0].name) for item in versions) == [0, 1]


def test_an_environment_that_others_took_is_not_used(managed: Managed) -> None:
    managed.deploy("blue")
    kind = "Microsoft.MachineLearningServices/workspaces/environments/versions"
    managed.azure.resources.of_type(kind)[0].properties["tags"] = {}
    with pytest.raises(StateError) as refused:
        managed.make("prepare", "blue")
    assert refused.value.problems[0].code == "X252"


# What goes wrong


def code_of(managed: Managed, *step: object) -> str:
    with pytest.raises(HeadraceError) as error:
        managed.make(*step)  # type: ignore[arg-type]
    assert error.value.problems[0].fix
    return error.value.problems[0].code


def test_a_deployment_with_requests_is_not_deleted(managed: Managed) -> None:
    managed.deploy("blue")
    managed.make("move traffic", after={"blue": 100})
    assert code_of(managed, "delete deployment", "blue") == "X254"
    assert managed.n_sent("DELETE", BLUE) == 0


def test_a_crash_is_told_with_the_last_lines_and_made_again(managed: Managed) -> None:
    with_deployments(managed, a_deployment("blue", image=CRASHING))
    managed.make("create endpoint")
    with pytest.raises(RemoteRequestError) as failed:
        managed.make("create deployment", "blue")
    assert failed.value.problems[0].code == "X208"
    assert failed.value.problems[0].detail[-1] == "no such module"
    state = managed.state().find("blue")
    assert (state.health, state.message) == ("failed", "Azure Machine Learning says: Failed.")
    with_deployments(managed, a_deployment("blue"))
    managed.make("update deployment", "blue")
    assert managed.state().find("blue").health == "healthy"
    assert managed.n_sent("DELETE", BLUE) == 1


def test_a_probe_that_nobody_answers_is_told_with_the_last_lines(managed: Managed) -> None:
    probe = Probe(initial_delay_s=1, period_s=1, timeout_s=1, failures=3)
    with_deployments(managed, a_deployment("blue", image=MUTE, readiness=probe))
    managed.make("create endpoint")
    with pytest.raises(RemoteRequestError) as failed:
        managed.make("create deployment", "blue")
    assert (failed.value.problems[0].code, failed.value.problems[0].detail) == ("X208", ("thinking",))


def test_an_image_that_is_not_there_and_one_that_cannot_be_built(managed: Managed) -> None:
    missing = "myacr.azurecr.io/none@sha256:" + "9" * 64
    with_deployments(managed, a_deployment("blue", image=missing), a_deployment("green", image=""))
    managed.make("create endpoint")
    assert code_of(managed, "create deployment", "blue") == "X218"
    managed.azure.faults.add(method="PUT", path=GREEN, fail_operation="ImageBuildFailure")
    assert code_of(managed, "create deployment", "green") == "X207"
    managed.make("update deployment", "green")
    assert managed.state().find("green").health == "healthy"


def test_a_secret_that_is_not_there(managed: Managed) -> None:
    setting = Setting(name="KEY", vault_url="https://kv.vault.azure.net/secrets/none/1")
    with_deployments(managed, a_deployment("blue", settings=(setting,)))
    managed.make("create endpoint")
    assert code_of(managed, "create deployment", "blue") == "X209"


def test_quota_that_is_used_up(managed: Managed) -> None:
    managed.make("create endpoint")
    managed.azure.faults.add(
        method="PUT",
        path=BLUE,
        fail_operation="OutOfQuota",
        message="Not enough quota available for Standard_DS3_v2 in SubscriptionId x. Current usage/limit: 24/24. "
        "Additional needed: 8",
    )
    with pytest.raises(RemoteRequestError) as failed:
        managed.make("create deployment", "blue")
    assert (failed.value.problems[0].code, "24 of 24 are used" in failed.value.problems[0].what) == (
        "X206",
        True,
    )


def test_a_role_that_is_missing(managed: Managed) -> None:
    denial = managed.azure.access.deny(".*/onlineEndpoints/write")
    with pytest.raises(AccessDeniedError) as denied:
        managed.make("create endpoint")
    assert denied.value.problems[0].code == "X203"
    assert "AzureML Data Scientist" in (denied.value.problems[0].fix or "")
    managed.azure.access.denials.remove(denial)
    managed.make("create endpoint")


def test_a_store_that_takes_no_files_is_told_and_not_waited_for(managed: Managed) -> None:
    managed.make("create endpoint")
    managed.azure.faults.add(method="PUT", path="blob.core.windows.net", status=403, times=None)
    assert code_of(managed, "prepare", "blue") == "X203"
    managed.azure.faults.clear()
    managed.make("prepare", "blue")


def test_what_an_upload_left_behind_that_was_cut_off_is_in_nobodys_way(managed: Managed) -> None:
    managed.make("create endpoint")
    managed.azure.faults.add(method="PUT", path="blob.core.windows.net", status=409)
    managed.make("create deployment", "blue")
    assert managed.ask({"a": 1}, "blue").body["flow"] == "v1"


def test_autoscale_settings_that_nobody_may_see_are_none(managed: Managed) -> None:
    managed.deploy("blue")
    managed.azure.access.deny("Microsoft.Insights/.*")
    assert managed.state().find("blue").scale == Scale()


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_throttling_and_lost_connections_are_survived(managed: Managed, method: str) -> None:
    add = managed.azure.faults.add
    for path in (ENDPOINT, "models/", "environments/", BLUE):
        add(method=method, path=path, status=429, headers={"Retry-After": "0"})
    managed.deploy("blue")
    add(method=method, path=ENDPOINT, drop="before")
    managed.make("move traffic", after={"blue": 100})
    assert managed.state().traffic == {"blue": 100}


def test_what_somebody_else_is_doing_is_waited_for(managed: Managed) -> None:
    managed.deploy("blue")
    managed.azure.faults.add(method="PUT", path=ENDPOINT, status=409)
    managed.make("move traffic", after={"blue": 100})
    managed.azure.faults.add(method="PUT", path=GREEN, status=409, times=2)
    managed.make("create deployment", "green")
    managed.make("move traffic", after={"blue": 100})
    managed.azure.faults.add(method="DELETE", path=GREEN, status=409)
    managed.make("delete deployment", "green")
    assert [item.name for item in managed.state().deployments] == ["blue"]


def test_a_conflict_that_stays_is_told(managed: Managed) -> None:
    managed.azure.faults.add(method="PUT", path=ENDPOINT, status=409, times=None)
    assert code_of(managed, "create endpoint") == "X205"


@pytest.mark.parametrize("word", ["InternalServerError", "OperationCanceled"])
def test_an_operation_that_fails_is_begun_anew(managed: Managed, word: str) -> None:
    managed.azure.faults.add(method="PUT", path=ENDPOINT, fail_operation=word)
    assert code_of(managed, "create endpoint") in ("X215", "X216")
    managed.make("create endpoint")
    managed.make("create deployment", "blue")
    managed.azure.faults.add(method="PUT", path=ENDPOINT, fail_operation=word)
    assert code_of(managed, "move traffic", "", {"blue": 100}) in ("X215", "X216")
    managed.make("move traffic", after={"blue": 100})
    managed.azure.faults.add(method="DELETE", path=ENDPOINT, fail_operation=word)
    assert code_of(managed, "delete endpoint") in ("X215", "X216")
    managed.make("delete endpoint")
    assert not managed.state().exists


def test_a_status_that_is_lost_or_fails_once_is_asked_for_again(managed: Managed) -> None:
    managed.azure.faults.add(path="mfeOperationsStatus", status=500, headers={"Retry-After": "0"})
    managed.azure.faults.add(path="mfeOperationsStatus", drop="before")
    managed.make("create endpoint")
    assert managed.state().exists


def test_what_somebody_deleted_meanwhile_is_told(managed: Managed) -> None:
    assert code_of(managed, "set mirror", "", {"blue": 10}) == "X254"
    managed.make("create endpoint")
    assert code_of(managed, "set scale", "blue") == "X254"


def test_a_warning_for_what_has_no_effect(managed: Managed) -> None:
    with_deployments(managed, a_deployment("blue", scale=Scale(minimum=1, maximum=2, requests_at_once=5)))
    problems = managed.target().check(managed.endpoint)
    assert [(item.code, item.severity) for item in problems] == [("X251", "warning")]


def test_a_flow_of_another_name_gets_another_version(managed: Managed) -> None:
    managed.flows["v3"] = "v3"
    with_deployments(managed, a_deployment("blue"), a_deployment("green", "v3"))
    managed.deploy("blue", "green")
    models = managed.azure.resources.of_type("Microsoft.MachineLearningServices/workspaces/models/versions")
    assert len({item.name for item in models}) == 2


def test_a_workspace_that_is_not_there_is_no_endpoint_that_is_not_there(managed: Managed) -> None:
    place = managed.endpoint.place
    assert place is not None
    managed.endpoint = replace(managed.endpoint, place=replace(place, workspace="other"))
    with pytest.raises(RemoteRequestError) as missing:
        managed.state()
    assert missing.value.problems[0].code == "X204"
    managed.endpoint = replace(managed.endpoint, place=replace(place, resource_group="other"))
    with pytest.raises(RemoteRequestError):
        managed.state()


@pytest.mark.parametrize("path", [ENDPOINT, BLUE])
def test_an_answer_that_is_lost_after_it_had_an_effect(managed: Managed, path: str) -> None:
    managed.azure.faults.add(method="PUT", path=path, drop="after")
    managed.deploy("blue")
    managed.azure.faults.add(method="DELETE", path=BLUE, drop="after")
    managed.make("delete deployment", "blue")
    assert managed.state().deployments == ()


@pytest.mark.parametrize("step", [("create deployment", "blue"), ("delete endpoint",)])
def test_an_operation_that_sight_is_lost_of_is_found_again(managed: Managed, step: tuple[str, ...]) -> None:
    managed.make("create endpoint")
    managed.azure.faults.add(path="mfeOperationsStatus", status=404)
    managed.make(*step)  # type: ignore[arg-type]
    state = managed.state()
    assert (state.exists, [item.health for item in state.deployments]) in ((True, ["healthy"]), (False, []))


def test_an_endpoint_with_a_deployment_that_is_being_made_is_changed_afterwards(managed: Managed) -> None:
    managed.deploy("blue")
    managed.azure.faults.add(method="PUT", path=GREEN, hang_operation=True)
    managed.waits = Waits(endpoint=5, deployment=0.2, deletion=5)
    with pytest.raises(RemoteTimeoutError):
        managed.make("create deployment", "green")
    managed.waits = Waits(endpoint=20, deployment=20, deletion=5)
    release = threading.Timer(0.3, managed.azure.operations.release)
    release.start()
    managed.make("move traffic", after={"blue": 100})
    release.join()
    assert managed.state().traffic == {"blue": 100}


def test_files_that_git_ignores_belong_to_the_flow_all_the_same(managed: Managed) -> None:
    managed.make("prepare", "blue")
    service = managed.azure.machine_learning
    names = [
        name.rpartition("/")[2] for name in managed.azure.blobs.names(service.account, service.container)
    ]
    assert names == ["flow.dag.yaml"]


def test_files_are_uploaded_although_the_store_takes_no_more_requests_for_now(managed: Managed) -> None:
    fault = {"method": "PUT", "path": "blob.core.windows.net", "status": 429, "headers": {"Retry-After": "0"}}
    managed.azure.faults.add(times=2, **fault)
    managed.deploy("blue")
    assert managed.told.count("create deployment blue: Azure takes no more requests for now") == 2
    assert managed.ask({}, "blue").body["flow"] == "v1"
    managed.azure.faults.add(times=None, **fault)
    assert code_of(managed, "create deployment", "green") == "X211"


def test_what_is_accepted_with_another_status_and_a_date_to_wait_until_is_waited_for(
    managed: Managed,
) -> None:
    managed.azure.rewrite = accepted
    managed.deploy("blue")
    managed.make("move traffic", after={"blue": 100})
    assert managed.state().traffic == {"blue": 100}
    managed.azure.faults.add(method="PUT", path="deployments/green$", fail_operation="OutOfQuota")
    assert code_of(managed, "create deployment", "green") == "X206"
    managed.make("delete endpoint")
    assert not managed.state().exists


def accepted(request: Request, response: Response) -> Response:
    """Begins of operations are answered with 202 and a date."""
    if "Azure-AsyncOperation" not in response.headers:
        return response
    headers = {name: text for name, text in response.headers.items() if name != "retry-after-ms"}
    headers["Retry-After"] = "Sun, 01 Nov 2026 08:00:00 GMT"
    return replace(response, status=202 if request.method == "PUT" else response.status, headers=headers)


def test_a_file_whose_upload_was_answered_to_nobody_is_there_already(managed: Managed) -> None:
    managed.azure.faults.add(
        method="PUT", path="blob.core.windows.net", status=409, code="BlobAlreadyExists", times=1
    )
    managed.deploy("blue")
    assert managed.ask({}, "blue").body["flow"] == "v1"


def test_a_step_that_loses_its_connection_is_made_again(managed: Managed) -> None:
    managed.azure.faults.add(method="POST", path="listSecrets$", drop="after")
    managed.deploy("blue")
    assert "create deployment blue: the connection was lost, once more" in managed.told
    managed.azure.faults.add(method="POST", path="listSecrets$", drop="before", times=None)
    assert code_of(managed, "create deployment", "green") == "X212"


def test_a_deployment_is_made_wherever_an_earlier_command_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n_writes in range(1, 30):
        folder = tmp_path / str(n_writes)
        folder.mkdir()
        with monkeypatch.context() as patch, managed_target(folder, patch) as managed:
            with_deployments(managed, a_deployment("blue", image=""))
            if not is_killed(managed, n_writes):
                break
            managed.deploy("blue")
            assert [item.health for item in managed.state().deployments] == ["healthy"]
            assert managed.ask({"a": 1}, "blue").body["flow"] == "v1"
    assert n_writes > 8


def is_killed(managed: Managed, n_writes: int) -> bool:
    """Whether a command that deploys is killed after that many writes, which it would have gone beyond."""

    def die() -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RequestsTransport, "send", deadly_send(n_writes, die))
        try:
            managed.deploy("blue")
        except Killed:
            return True
    return False
