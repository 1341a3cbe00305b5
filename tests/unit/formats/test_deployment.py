"""Deployment files: what is read, and what is wrong with a file, with its place."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.domain.deployment import AzurePlace, Endpoint, Probe, Scale, Setting, Size
from headrace.errors import DefinitionError, Problem, UsageError
from headrace.formats.deployment import read_deployment
from headrace.formats.positions import dump_yaml

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
IMAGE = "acr.azurecr.io/triage@sha256:" + "0" * 64
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


def test_arms_of_an_experiment_are_named_and_need_not_be_said_again(tmp_path: Path) -> None:
    (tmp_path / "flow").mkdir()
    (tmp_path / "experiment.yaml").write_text(
        "flow: flow\ndata: gone.jsonl\nvariants: [classify.zero_shot, classify.few_shot]\nmodels: [my_aoai/gpt-4o]\n",
        encoding="utf-8",
    )
    text = "name: triage\ntarget: local\nexperiment: experiment.yaml\n"
    endpoint = read(tmp_path, text)
    assert [(item.name, item.flow.variant, item.flow.model) for item in endpoint.deployments] == [
        ("zero-shot", "${classify.zero_shot}", "my_aoai/gpt-4o"),
        ("few-shot", "${classify.few_shot}", "my_aoai/gpt-4o"),
    ]
    assert {item.flow.source for item in endpoint.deployments} == {str(tmp_path / "flow")}
    chosen = read(
        tmp_path, text + "arms: [{name: few_shot, traffic: 100}, {name: old, flow: triage@1, traffic: 0}]\n"
    )
    assert [(item.arm, item.flow.source, item.flow.variant) for item in chosen.deployments] == [
        ("few_shot", str(tmp_path / "flow"), "${classify.few_shot}"),
        ("old", "triage@1", ""),
    ]
    (problem,) = problems(tmp_path, text + "arms: [few_shoot]\n")
    assert (problem.code, problem.fix) == ("V305", 'Did you mean "few_shot"?')


def test_an_online_test_says_the_traffic_in_whole_percent(tmp_path: Path) -> None:
    (tmp_path / "traffic.yaml").write_text(
        "flow: triage@2\narms:\n- {name: a, weight: 0.333}\n- {name: b, weight: 0.333, variant: classify.few}\n"
        "- {name: c, weight: 0.334, flow: triage@3}\n- {name: d, shadow: 0.2}\n",
        encoding="utf-8",
    )
    endpoint = read(tmp_path, "name: triage\ntarget: local\ntraffic: traffic.yaml\n")
    assert [
        (item.name, item.flow.source, item.traffic_percent, item.mirror_percent)
        for item in endpoint.deployments
    ] == [
        ("a", "triage@2", 33, 0),
        ("b", "triage@2", 33, 0),
        ("c", "triage@3", 34, 0),
        ("d", "triage@2", 0, 20),
    ]
    assert endpoint.traffic_file == str(tmp_path / "traffic.yaml")
    assert found(tmp_path, "name: t\ntarget: local\ntraffic: traffic.yaml\narms: [a]\n") == [("G985", 4, 1)]


def test_names_at_azure_are_in_small_letters_because_its_package_loses_others(tmp_path: Path) -> None:
    endpoint = read(tmp_path, AZUREML + "arms: [FewShot, Base_1]\n")
    assert [item.name for item in endpoint.deployments] == ["fewshot", "base-1"]
    (problem,) = problems(tmp_path, AZUREML.replace("name: triage", "name: Triage"))
    assert problem.fix is not None
    assert problem.fix.startswith("Write triage, or a name of 3 to 32 small letters")


@pytest.mark.parametrize(
    "said", ["coverage: 0.2\n", "ramp: [{after: 0s, coverage: 0.2}, {after: 1d, coverage: 1}]\n"]
)
def test_who_is_not_in_an_online_test_yet_gets_its_baseline(tmp_path: Path, said: str) -> None:
    (tmp_path / "traffic.yaml").write_text(
        f"flow: triage@2\n{said}arms:\n- {{name: a, weight: 0.5}}\n- {{name: b, weight: 0.5, flow: triage@3}}\n"
        "- {name: c, shadow: 0.5}\n",
        encoding="utf-8",
    )
    endpoint = read(tmp_path, "name: triage\ntarget: local\ntraffic: traffic.yaml\n")
    shares = [(item.name, item.traffic_percent, item.mirror_percent) for item in endpoint.deployments]
    assert shares == [("a", 90, 0), ("b", 10, 0), ("c", 0, 10)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (AZUREML + "authentication: none\n", [("X103", 6, 17)]),
        (ACA + "authentication: none\n", []),
        (AZUREML + "arms: [{name: a, traffic: 100}]\n", [("X102", 6, 15)]),
        (AZUREML + "arms: [{name: base, traffic: 50}, {name: next, mirror: 60, traffic: 50}]\n", [("X103", 6, 56), ("X106", 6, 56)]),
        (AZUREML + "arms: [{name: base, mirror: 10}, {name: next, mirror: 10}, last]\n", [("X106", 6, 55)]),
        (ACA + "arms: [{name: base}, {name: next, mirror: 10}]\n", [("X104", 5, 35)]),
        (ACA + "arms: [{name: Base/1, traffic: 100}]\n", []),
        (ACA + "arms: [{name: base, deployment: Green}]\n", [("X102", 5, 33)]),
        (AZUREML + "arms: [few_shot, few-shot]\n", [("V303", 6, 18)]),
        (AZUREML.replace("name: triage", "name: Triage"), [("X102", 1, 7)]),
        (AZUREML + "arms: [{name: next, deployment: FewShot}]\n", [("X102", 6, 33)]),
        (ACA + "size: {cpu: 0.3}\n", [("X103", 5, 7)]),
        (ACA + "size: {cpu: 0.5, memory_gib: 4}\n", [("X103", 5, 7)]),
        (ACA + "requests: {timeout_s: 241}\n", [("X103", 5, 23)]),
        (AZUREML + "requests: {timeout_s: 180.5}\n", [("X103", 6, 23)]),
        (ACA + "probes: {readiness: {failures: 11, initial_delay_s: 61}}\n", [("X103", 5, 32), ("X103", 5, 53)]),
        (AZUREML + "probes: {liveness: {successes: 2}}\n", [("F005", 6, 32)]),
        (ACA + "collect: 0.5\n", [("X104", 5, 1)]),
        (ACA + "network: {egress: false}\n", [("X104", 5, 11)]),
        (ACA + "environment: {A: {connection: c}}\n", [("X104", 5, 18)]),
        (ACA.replace(", registry: acr", ""), [("F006", 4, 8)]),
        (ACA.replace(", registry: acr", "") + f"image: {IMAGE}\n", []),
        (AZUREML + "scale: {min: 3, max: 2}\n", [("F005", 6, 22)]),
        (AZUREML + "environment: {A: '${env:}'}\n", [("F005", 6, 18)]),
        (LOCAL + "sample: nothing.json\n", [("F001", 4, 9)]),
        (LOCAL.replace("triage@3", "./nothing"), [("F001", 3, 7)]),
        (LOCAL + "identities: nonsense\n", []),
        (LOCAL + "traffic: .\n", [("F001", 4, 10)]),
        (LOCAL + "experiment: .\n", [("F001", 4, 13)]),
        ("endpoint_name: e\n$schema: https://azuremlschemas.azureedge.net/x.json\n", [("F004", 1, 1)]),
        ("", [("F005", 1, 1)]),
        ("- 5\n", [("F005", 1, 1)]),
        ("name: [\n", [("F002", 2, 1)]),
    ],
)  # fmt: skip
def test_what_each_target_takes(text: str, expected: list[tuple[str, int, int]], tmp_path: Path) -> None:
    try:
        read(tmp_path, text)
        where = []
    except DefinitionError as error:
        where = [
            (item.code, item.span.line, item.span.column) if item.span else (item.code, 0, 0)
            for item in error.problems
        ]
    assert where == expected


WHOLE = {
    "name": "triage",
    "target": "azureml",
    "flow": "triage@3",
    "azure": {"subscription": "s", "resource_group": "rg", "workspace": "ws"},
    "authentication": "key",
    "network": {"public": True},
    "size": {"instance_type": "Standard_DS3_v2"},
    "scale": {"min": 1, "max": 3, "cpu_percent": 70},
    "requests": {"timeout_s": 60, "at_once": 10},
    "probes": {"liveness": {"period_s": 5}},
    "environment": {"LOG": "info", "KEY": {"keyvault": "https://kv.vault.azure.net/secrets/k"}},
    "connections": {"my_aoai": {"env": "MY_KEY"}},
    "canary": 10,
    "tags": {"team": "support"},
    "arms": [{"name": "few_shot", "traffic": 90, "variant": "a.b"}, {"name": "mini", "traffic": 10}],
}
_ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 500),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(
        ["", "a", "local", "aca", "${env:NAME}", "${env:", "a/b", "..", "x" * 300, "\u2028", "5"]
    ),
    st.lists(st.integers(0, 2), max_size=2),
    st.dictionaries(st.sampled_from(["name", "env", "min", "x"]), st.integers(0, 2), max_size=2),
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=300,
    deadline=None,
)
@given(data=st.data())
def test_whatever_stands_in_a_file_is_read_or_has_a_place_and_a_fix(
    data: st.DataObject, tmp_path: Path
) -> None:
    said = deepcopy(WHOLE)
    for _ in range(data.draw(st.integers(1, 3))):
        change(said, data)
    text = dump_yaml(said)
    endpoint, wrong = attempt(tmp_path, text)
    assert (endpoint is None) == bool(wrong)
    assert all(item.span and item.fix and item.severity == "error" for item in wrong)
    if endpoint is not None:
        assert all(plan.scale.minimum <= plan.scale.maximum for plan in endpoint.deployments)
        assert read(tmp_path, text, NAME="value").deployments == endpoint.deployments


def attempt(folder: Path, text: str) -> tuple[Endpoint | None, tuple[Problem, ...]]:
    """What is read, or what is wrong."""
    try:
        return read(folder, text, NAME="value"), ()
    except DefinitionError as error:
        return None, error.problems


def change(said: Any, data: st.DataObject) -> None:
    """Replace, remove or add something, anywhere in plain data."""
    while True:
        keys = list(said) if isinstance(said, dict) else list(range(len(said)))
        key = data.draw(st.sampled_from(keys)) if keys else None
        if key is not None and isinstance(said[key], (dict, list)) and data.draw(st.booleans()):
            said = said[key]
            continue
        break
    kind = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if kind == "remove" and key is not None:
        del said[key]
    elif kind == "add" or key is None:
        if isinstance(said, dict):
            said[
                data.draw(st.sampled_from(["mirror", "traffic", "experiment", "nothing", "image", "model"]))
            ] = data.draw(_ODD)
        else:
            said.append(data.draw(_ODD))
    else:
        said[key] = data.draw(_ODD)


def test_the_sample_is_read_here_and_with_its_overlay_for_azure() -> None:
    folder = Path(__file__).parents[3] / "flows" / "triage"
    names = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE", "AZURE_FLOW_IDENTITY")
    identity = (
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/x"
    )
    here, there = (
        read_deployment(folder, None, {}),
        read_deployment(folder, "azure", {**dict.fromkeys(names, "x"), "AZURE_FLOW_IDENTITY": identity}),
    )
    assert (here.target, there.target, here.name) == ("local", "azureml", there.name)
    assert there.deployments[0].size == Size(instance_type="Standard_DS3_v2")
    with pytest.raises(DefinitionError) as unset:
        read_deployment(folder, "azure", {})
    assert [problem.code for problem in unset.value.problems] == ["X101"] * len(names)
