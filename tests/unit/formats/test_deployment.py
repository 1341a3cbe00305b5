"""Deployment files: what is read, and what is wrong with a file, with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.domain.deployment import AzurePlace, Endpoint, Probe, Scale, Setting, Size
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.deployment import read_deployment

AZUREML = """\
name: triage
target: azureml
flow: triage@3
azure: {subscription: s, resource_group: rg, workspace: ws}
size: {instance_type: Standard_DS3_v2}
"""
ACA = """\
name: triage
target: aca
flow: triage@3
azure: {subscription: s, resource_group: rg, environment: cae, registry: acr}
"""
LOCAL = "name: triage\ntarget: local\nflow: triage@3\n"


def read(folder: Path, text: str, environment: str | None = None, **variables: str) -> Endpoint:
    (folder / "deployment.yaml").write_text(text, encoding="utf-8")
    return read_deployment(folder, environment, variables)


def problems(folder: Path, text: str, **variables: str) -> list[Problem]:
    with pytest.raises(DefinitionError) as caught:
        read(folder, text, **variables)
    return list(caught.value.problems)


def found(folder: Path, text: str, **variables: str) -> list[tuple[str, int, int]]:
    return [
        (problem.code, problem.span.line if problem.span else 0, problem.span.column if problem.span else 0)
        for problem in problems(folder, text, **variables)
    ]


def test_a_short_file_says_enough(tmp_path: Path) -> None:
    endpoint = read(tmp_path, LOCAL)
    assert (endpoint.name, endpoint.target, endpoint.place) == ("triage", "local", None)
    assert endpoint.is_alternating
    assert endpoint.deployments[0].flow.source == "triage@3"
    assert (endpoint.canary_percent, endpoint.max_shift, endpoint.authentication) == (10, 50, "key")


def test_all_of_a_file_is_read(tmp_path: Path) -> None:
    text = (
        AZUREML.replace("subscription: s", 'subscription: "${env:SUB}"')
        + """\
authentication: entra
identities: [/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/x]
network: {public: false, egress: false}
scale: {min: 1, max: 3, requests_at_once: 20, cpu_percent: 70}
requests: {timeout_s: 90, at_once: 4}
probes: {liveness: {initial_delay_s: 30}, readiness: {period_s: 5, failures: 60}}
collect: 0.1
canary: 5
max_shift: 20
gate: best
price_usd_per_hour: 0.3
tags: {team: support}
description: for everybody
"""
    )
    endpoint = read(tmp_path, text, SUB="sub-1")
    (deployment,) = endpoint.deployments
    assert endpoint.place == AzurePlace(subscription="sub-1", resource_group="rg", workspace="ws")
    assert (endpoint.authentication, endpoint.is_public, endpoint.is_egress_public) == ("entra", False, False)
    assert endpoint.identities[0].endswith("/x")
    assert (endpoint.canary_percent, endpoint.max_shift, endpoint.gate) == (5, 20, "best")
    assert (endpoint.hourly_usd, endpoint.tags) == (0.3, {"team": "support"})
    assert deployment.scale == Scale(minimum=1, maximum=3, requests_at_once=20, cpu_percent=70)
    assert (deployment.limits.timeout_s, deployment.limits.at_once) == (90, 4)
    assert deployment.liveness == Probe(initial_delay_s=30)
    assert deployment.readiness == Probe(period_s=5, failures=60)
    assert deployment.collect_share == 0.1


def test_an_arm_says_what_differs_from_the_file(tmp_path: Path) -> None:
    text = AZUREML + (
        "environment: {LOG: info, REGION: eu}\n"
        "scale: {min: 2, max: 4}\n"
        "arms:\n"
        "- {name: few_shot, variant: classify.few_shot, model: my_aoai/gpt-4o-mini, traffic: 90}\n"
        "- {name: next, flow: triage@4, traffic: 10, scale: {min: 1}, size: {instance_type: Standard_F4s_v2},\n"
        "   environment: {LOG: debug}}\n"
        "- {name: shadow, mirror: 10}\n"
    )
    endpoint = read(tmp_path, text)
    few, newer, shadow = endpoint.deployments
    assert [(item.arm, item.name) for item in endpoint.deployments] == [
        ("few_shot", "few-shot"),
        ("next", "next"),
        ("shadow", "shadow"),
    ]
    assert (few.flow.source, few.flow.variant, few.flow.model) == (
        "triage@3",
        "${classify.few_shot}",
        "my_aoai/gpt-4o-mini",
    )
    assert (few.scale.minimum, few.scale.maximum, newer.scale.minimum, newer.scale.maximum) == (2, 4, 1, 4)
    assert (newer.flow.source, newer.size) == ("triage@4", Size(instance_type="Standard_F4s_v2"))
    assert {item.name: item.value for item in newer.settings} == {"LOG": "debug", "REGION": "eu"}
    assert (shadow.traffic_percent, shadow.mirror_percent) == (0, 10)
    assert newer.pointer == ("arms", 1)


def test_variables_have_one_of_four_sources(tmp_path: Path) -> None:
    text = AZUREML + (
        "environment:\n"
        "  LOG: info\n"
        "  SIZE: 5\n"
        "  IS_ON: true\n"
        "  KEY: {keyvault: https://kv.vault.azure.net/secrets/k/1}\n"
        "  OTHER: {connection: aoai}\n"
        "  THIRD: {env: MY_KEY}\n"
        "connections:\n"
        "  my-aoai: {env: AOAI_KEY}\n"
        "  search: {api_base: https://s.search.windows.net, api_key: {connection: search, field: adminKey}}\n"
    )
    (deployment,) = read(tmp_path, text).deployments
    plain = [
        Setting(**{key: getattr(item, key) for key in Setting.__slots__ if key != "span"})
        for item in deployment.settings
    ]
    assert plain == [
        Setting(name="IS_ON", value="true"),
        Setting(name="KEY", vault_url="https://kv.vault.azure.net/secrets/k/1"),
        Setting(name="LOG", value="info"),
        Setting(name="MY_AOAI_API_KEY", variable="AOAI_KEY"),
        Setting(name="OTHER", connection="aoai", field="key"),
        Setting(name="SEARCH_API_BASE", value="https://s.search.windows.net"),
        Setting(name="SEARCH_API_KEY", connection="search", field="adminKey"),
        Setting(name="SIZE", value="5"),
        Setting(name="THIRD", variable="MY_KEY"),
    ]


def test_an_overlay_is_laid_over_the_file_and_is_where_its_mistakes_are(tmp_path: Path) -> None:
    overlay = tmp_path / "deployment.prod.yaml"
    overlay.write_text("scale: {min: 3, max: 5}\ntags: null\n", encoding="utf-8")
    endpoint = read(tmp_path, AZUREML + "tags: {team: a}\nscale: {min: 1, cpu_percent: 60}\n", "prod")
    assert endpoint.deployments[0].scale == Scale(minimum=3, maximum=5, cpu_percent=60)
    assert endpoint.tags == {}
    overlay.write_text("\nrequests: {timeout_s: 600}\n", encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        read(tmp_path, AZUREML, "prod")
    (problem,) = caught.value.problems
    assert problem.span is not None
    assert (Path(problem.span.file).name, problem.span.line, problem.span.column) == (
        "deployment.prod.yaml",
        2,
        23,
    )
    with pytest.raises(UsageError) as missing:
        read(tmp_path, AZUREML, "prd")
    assert missing.value.problems[0].fix == 'Did you mean "prod"?'


def test_a_file_for_azure_runs_locally_under_a_short_overlay(tmp_path: Path) -> None:
    (tmp_path / "deployment.here.yaml").write_text("target: local\n", encoding="utf-8")
    endpoint = read(tmp_path, AZUREML.replace("subscription: s", 'subscription: "${env:SUB}"'), "here")
    assert (endpoint.target, endpoint.place) == ("local", None)


def test_all_mistakes_are_found_at_once_with_their_places(tmp_path: Path) -> None:
    text = """\
name: a
target: azureml
flwo: triage@3
azure: {subscription: "${env:NOWHERE}", resource_group: rg/x}
size: {cpu: 2}
scale: {min: 0, max: 60}
"""
    assert found(tmp_path, text) == [
        ("F006", 1, 1),
        ("X102", 1, 7),
        ("F012", 3, 1),
        ("F006", 4, 8),
        ("X101", 4, 23),
        ("F005", 4, 57),
        ("F006", 5, 7),
        ("X104", 5, 8),
        ("X103", 6, 14),
        ("X103", 6, 22),
    ]
