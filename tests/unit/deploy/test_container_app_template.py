"""Deployments as revisions of Container Apps: names, variables, secrets, probes, identities."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.azure.container_bodies import check_configuration, check_template

from headrace.deploy.container_app_template import (
    KEY_SECRET,
    RevisionWish,
    make_app,
    make_ingress,
    make_template,
    merged_identity,
    merged_registries,
    merged_secrets,
    next_suffix,
    remake_template,
    revision_name,
    secret_name,
    secret_references,
    secrets_differ,
    startup_limit_s,
    wanted_secrets,
    without_leftovers,
)
from headrace.domain.deployment import Deployment, Endpoint, FlowChoice, Probe, Scale, Setting, Size

IDENTITY = (
    "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/puller"
)
IMAGE = "myacr.azurecr.io/headrace/triage@sha256:" + "1" * 64
VAULT = "https://kv.vault.azure.net/secrets/key"
SETTINGS = (
    Setting(name="LOG", value="info"),
    Setting(name="MY_KEY", vault_url=VAULT),
    Setting(name="OTHER_KEY", variable="LOCAL_KEY"),
)


def a_deployment(name: str = "blue", **more: Any) -> Deployment:
    flow = FlowChoice(source="triage@1", version="triage@1f2e", digest="1" * 64)
    return Deployment(name=name, arm=name, flow=flow, **{"settings": SETTINGS, **more})


def a_wish(deployment: Deployment | None = None, **more: Any) -> RevisionWish:
    given = {
        "app": "triage",
        "spec": "0123456789abcdef",
        "identities": (IDENTITY,),
        "client_id": "c1",
        **more,
    }
    return RevisionWish(deployment=deployment or a_deployment(), **given)


def variables(template: dict[str, Any]) -> dict[str, str]:
    found = template["containers"][0]["env"]
    assert len({item["name"] for item in found}) == len(found)
    return {item["name"]: item.get("value") or f"secret {item['secretRef']}" for item in found}


def test_a_template_has_everything_that_a_copy_needs() -> None:
    wish = a_wish(
        a_deployment(
            size=Size(cpu=0.75, memory_gib=1.5), scale=Scale(minimum=0, maximum=4, requests_at_once=8)
        )
    )
    template = make_template(wish, IMAGE, wish.suffix)
    container = template["containers"][0]
    assert container["image"] == IMAGE
    assert container["resources"] == {"cpu": 0.75, "memory": "1.5Gi"}
    assert template["scale"] == {
        "minReplicas": 0,
        "maxReplicas": 4,
        "rules": [{"name": "requests", "http": {"metadata": {"concurrentRequests": "8"}}}],
    }
    assert {
        (probe["type"], probe["httpGet"]["path"], probe["httpGet"]["port"]) for probe in container["probes"]
    } == {
        ("Startup", "/healthz", 8080),
        ("Liveness", "/healthz", 8080),
        ("Readiness", "/readyz", 8080),
    }
    found = variables(template)
    assert found["LOG"] == "info"
    assert found["MY_KEY"].startswith("secret hr-my-key-")
    assert found["HEADRACE_SERVE_KEY"] == f"secret {KEY_SECRET}"
    assert found["HEADRACE_SERVE_TIMEOUT_S"] == "60"
    assert found["HEADRACE_SERVE_REQUESTS"] == "10"
    assert found["AZURE_CLIENT_ID"] == "c1"
    assert found["HEADRACE_DEPLOYMENT_SPEC"] == "0123456789abcdef"
    assert found["HEADRACE_DEPLOYMENT_VERSION"] == "triage@1f2e"


def test_an_app_of_others_keeps_its_port_and_loses_sessions_that_stick() -> None:
    template = make_template(a_wish(port=80), IMAGE, "s")
    assert {probe["httpGet"]["port"] for probe in template["containers"][0]["probes"]} == {80}
    assert variables(template)["PORT"] == "80"
    there = {
        "fqdn": "x",
        "targetPort": 80,
        "exposedPort": None,
        "stickySessions": {"affinity": "sticky"},
        "transport": "http",
    }
    assert make_ingress(there, is_public=True, traffic=[]) == {
        "external": True,
        "targetPort": 80,
        "stickySessions": {"affinity": "none"},
        "transport": "http",
        "allowInsecure": False,
        "traffic": [],
    }


@pytest.mark.parametrize(
    ("authentication", "expected"),
    [
        ("key", {"HEADRACE_SERVE_KEY": f"secret {KEY_SECRET}"}),
        ("none", {"HEADRACE_SERVE_NO_AUTH": "true"}),
        ("entra", {}),
    ],
)
def test_only_an_app_that_is_meant_to_be_open_is(authentication: str, expected: dict[str, str]) -> None:
    found = variables(make_template(a_wish(authentication=authentication), IMAGE, "s"))
    assert {name: value for name, value in found.items() if name.startswith("HEADRACE_SERVE_")} == {
        "HEADRACE_SERVE_REQUESTS": "10",
        "HEADRACE_SERVE_TIMEOUT_S": "60",
        **expected,
    }


def test_what_the_file_says_of_the_server_wins() -> None:
    own = (
        Setting(name="HEADRACE_SERVE_KEY", vault_url=VAULT),
        Setting(name="HEADRACE_SERVE_REQUESTS", value="3"),
    )
    found = variables(make_template(a_wish(a_deployment(settings=own)), IMAGE, "s"))
    assert found["HEADRACE_SERVE_KEY"] == f"secret {secret_name(own[0])}"
    assert found["HEADRACE_SERVE_REQUESTS"] == "3"


names = st.from_regex(r"\A[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,8}){0,2}\Z")


@given(
    app=names,
    name=names,
    spec=st.text("0123456789abcdef", min_size=16, max_size=16),
    n_before=st.integers(0, 12),
)
def test_names_of_revisions_are_legal_whatever_they_are_made_of(
    app: str, name: str, spec: str, n_before: int
) -> None:
    wish = a_wish(a_deployment(name, settings=()), app=app[:32], spec=spec)
    taken: list[str] = []
    for _ in range(n_before):
        taken.append(revision_name(wish.app, next_suffix(wish.suffix, wish.app, taken)).upper())
    suffix = next_suffix(wish.suffix, wish.app, taken)
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", suffix)
    assert revision_name(wish.app, suffix).upper() not in taken
    check_template(wish.app, make_template(wish, IMAGE, suffix), {KEY_SECRET})


def test_all_that_makes_another_revision_makes_another_name() -> None:
    wish = a_wish()
    others = [
        a_wish(a_deployment("green")),
        a_wish(spec="f" * 16),
        a_wish(authentication="none"),
        a_wish(identities=()),
        a_wish(a_deployment(scale=Scale(minimum=0, maximum=1))),
    ]
    assert len({wish.suffix, *(item.suffix for item in others)}) == len(others) + 1
    assert a_wish(identities=(IDENTITY.upper(),)).suffix == wish.suffix


def test_a_probe_stays_within_what_the_schema_takes_and_waits_for_a_slow_start() -> None:
    slow = Probe(initial_delay_s=60, period_s=300, timeout_s=500, successes=20, failures=30)
    deployment = a_deployment(liveness=slow, readiness=slow)
    template = make_template(a_wish(deployment), IMAGE, "s")
    check_template("triage", template, {KEY_SECRET, *(secret_name(item) for item in SETTINGS)})
    startup = template["containers"][0]["probes"][0]
    assert startup["periodSeconds"] * startup["failureThreshold"] == 300
    assert startup_limit_s(a_deployment()) < startup_limit_s(deployment)


def test_secrets_say_where_they_come_from_and_nothing_of_what_they_hold() -> None:
    wanted = wanted_secrets(SETTINGS, [IDENTITY], {"LOCAL_KEY": "a very secret value"})
    assert wanted == [
        {"name": secret_name(SETTINGS[1]), "keyVaultUrl": VAULT, "identity": IDENTITY},
        {"name": secret_name(SETTINGS[2]), "value": "a very secret value"},
    ]
    elsewhere = replace(SETTINGS[1], vault_url=f"{VAULT}/2")
    assert secret_name(elsewhere) != secret_name(SETTINGS[1])
    assert wanted_secrets(SETTINGS[1:2], [], {})[0]["identity"] == "system"


def test_no_secret_is_lost_that_others_made_or_a_revision_needs() -> None:
    existing = [
        {"name": "theirs", "value": "1"},
        {"name": "hr-old-1", "value": "2"},
        {"name": "hr-used-1", "keyVaultUrl": VAULT, "identity": IDENTITY, "value": "what the vault holds"},
        {"name": KEY_SECRET, "value": "3"},
    ]
    merged = merged_secrets(existing, [{"name": "hr-new-1", "value": "4"}], {"hr-used-1"})
    assert merged == [
        {"name": "theirs", "value": "1"},
        {"name": "hr-used-1", "keyVaultUrl": VAULT, "identity": IDENTITY},
        {"name": KEY_SECRET, "value": "3"},
        {"name": "hr-new-1", "value": "4"},
    ]
    assert secrets_differ(existing, merged)
    assert not secrets_differ(merged, merged[::-1])


def test_references_are_found_in_all_templates() -> None:
    template = make_template(a_wish(), IMAGE, "s")
    assert secret_references([template, {}, {"containers": [{"env": None}]}]) == {
        KEY_SECRET,
        secret_name(SETTINGS[1]),
        secret_name(SETTINGS[2]),
    }


def test_a_revision_is_made_again_with_another_scale_of_the_same_image() -> None:
    before = make_template(a_wish(), IMAGE, "one")
    resources = {**before["containers"][0]["resources"], "ephemeralStorage": "2Gi"}
    container = {**before["containers"][0], "args": None, "resources": resources, "later": 1}
    answered = {**before, "initContainers": None, "containers": [container], "later": {"any": 1}}
    wish = a_wish(
        a_deployment(scale=Scale(minimum=2, maximum=3, cpu_percent=70)), authentication="none", client_id="c2"
    )
    after = remake_template(answered, wish, "two")
    assert after["revisionSuffix"] == "two"
    assert after["scale"]["rules"] == [
        {"name": "cpu", "custom": {"type": "cpu", "metadata": {"type": "Utilization", "value": "70"}}}
    ]
    assert "initContainers" not in after
    assert set(after["containers"][0]) == set(before["containers"][0])
    assert after["containers"][0]["resources"] == before["containers"][0]["resources"]
    assert "later" not in after
    found = variables(after)
    assert found["HEADRACE_SERVE_NO_AUTH"] == "true"
    assert "HEADRACE_SERVE_KEY" not in found
    assert found["AZURE_CLIENT_ID"] == "c2"
    again = variables(remake_template(after, a_wish(client_id="c2"), "three"))
    assert again["HEADRACE_SERVE_KEY"] == f"secret {KEY_SECRET}"
    assert "HEADRACE_SERVE_NO_AUTH" not in again


def test_identities_and_registries_of_others_stay() -> None:
    there = {
        "type": "SystemAssigned, UserAssigned",
        "userAssignedIdentities": {"/other": {}, IDENTITY.upper(): {}},
    }
    assert merged_identity(there, [IDENTITY]) == {
        "type": "SystemAssigned,UserAssigned",
        "userAssignedIdentities": {IDENTITY: {}, "/other": {}},
    }
    assert merged_identity({}, []) == {"type": "SystemAssigned"}
    assert merged_identity({"type": "None"}, [IDENTITY])["type"] == "UserAssigned"
    registries = [
        {"server": "docker.io", "username": "u", "passwordSecretRef": "p", "identity": None},
        {"server": "MYACR.azurecr.io"},
    ]
    assert merged_registries(registries, "myacr.azurecr.io", [IDENTITY]) == [
        {"server": "docker.io", "username": "u", "passwordSecretRef": "p"},
        {"server": "myacr.azurecr.io", "identity": IDENTITY},
    ]


def test_what_others_put_beside_the_container_goes_with_their_revision() -> None:
    current = {"initContainers": [{"name": "x"}], "volumes": [], "containers": []}
    assert without_leftovers({"containers": [1]}, current) == {"initContainers": [], "containers": [1]}


def test_a_new_app_is_what_the_service_takes() -> None:
    wish = a_wish()
    endpoint = Endpoint(
        name="triage", target="aca", deployments=(wish.deployment,), is_public=False, tags={"team": "x"}
    )
    secrets = [*wanted_secrets(SETTINGS, [IDENTITY], {"LOCAL_KEY": "x"}), {"name": KEY_SECRET, "value": "k"}]
    body = make_app(
        wish,
        endpoint,
        environment_id="/e",
        location="westeurope",
        template=make_template(wish, IMAGE, wish.suffix),
        registries=merged_registries([], "myacr.azurecr.io", [IDENTITY]),
        secrets=secrets,
    )
    configuration = body["properties"]["configuration"]
    name = revision_name("triage", wish.suffix)
    check_configuration(configuration, [name], {IDENTITY.lower()})
    assert configuration["ingress"]["external"] is False
    assert configuration["ingress"]["traffic"] == [{"latestRevision": True, "weight": 100}]
    assert configuration["activeRevisionsMode"] == "Multiple"
    assert body["tags"]["team"] == "x"
