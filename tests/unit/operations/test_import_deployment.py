"""Deployments of other tools become deployment files that are read, with every key accounted for."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headrace.config import load_settings
from headrace.domain.deployment import Endpoint
from headrace.errors import DefinitionError, UsageError
from headrace.formats.deployment import read_deployment
from headrace.formats.positions import dump_yaml, load_yaml
from headrace.operations.import_deployment import ImportedDeployment, check_imported, import_deployment
from headrace.operations.workspace import open_workspace

FLOW = """\
nodes:
- {name: answer, type: llm, source: {type: code, path: a.jinja2}, connection: my_aoai, api: chat, inputs: {deployment_name: gpt}}
"""
SCHEMA = "https://azuremlschemas.azureedge.net/latest/managedOnline{}.schema.json"
BLUE: dict[str, Any] = {
    "$schema": SCHEMA.format("Deployment"),
    "name": "blue",
    "endpoint_name": "basic-chat",
    "model": {"path": "../flow"},
    "environment": {
        "image": "mcr.microsoft.com/azureml/promptflow/promptflow-runtime:latest",
        "inference_config": {"scoring_route": {"path": "/score", "port": 8080}},
    },
    "environment_variables": {
        "PROMPTFLOW_RUN_MODE": "serving",
        "PRT_CONFIG_OVERRIDE": "deployment.subscription_id=s-1,deployment.resource_group=rg,"
        "deployment.workspace_name=ws,deployment.endpoint_name=basic-chat,app.port=8088",
        "PROMPTFLOW_RESPONSE_INCLUDED_FIELDS": '["answer"]',
        "SEARCH_KEY": "${{keyvault:https://kv.vault.azure.net/secrets/search}}",
        "AOAI_KEY": "${{azureml://connections/aoai/credentials/key}}",
        "AOAI_BASE": "${{azureml://connections/aoai/target}}",
        "OTHER_KEY": "correct-horse-battery",
        "IS_ON": True,
    },
    "instance_type": "Standard_DS3_v2",
    "instance_count": 2,
    "request_settings": {"request_timeout_ms": 90_000, "max_concurrent_requests_per_instance": 4},
    "liveness_probe": {"initial_delay": 30, "period": 10, "timeout": 2, "failure_threshold": 30},
    "data_collector": {"collections": {"model_inputs": {"enabled": "true"}}, "sampling_rate": 0.5},
    "egress_public_network_access": "disabled",
    "app_insights_enabled": True,
}
ENDPOINT: dict[str, Any] = {
    "$schema": SCHEMA.format("Endpoint"),
    "name": "basic-chat",
    "auth_mode": "aad_token",
    "public_network_access": "disabled",
    "tags": {"team": "support"},
    "traffic": {"blue": 90, "green": 10},
    "mirror_traffic": {"shadow": 60},
}


def write(folder: Path, **files: Any) -> Path:
    """A project with a flow, and the files in its folder ``azure``."""
    azure = folder / "azure"
    for inside in (azure, folder / "flow"):
        inside.mkdir(parents=True, exist_ok=True)
    (folder / "flow" / "flow.dag.yaml").write_text(FLOW, encoding="utf-8")
    for name, said in files.items():
        (azure / f"{name}.yml").write_text(dump_yaml(said), encoding="utf-8")
    return azure


def take_over(folder: Path, path: Path, flow: str | None = None) -> ImportedDeployment:
    with open_workspace(load_settings({"HOME": str(folder)}), folder) as workspace:
        found = import_deployment(workspace, path, folder / "deployment.yaml", flow)
    for file, text in found.files.items():
        file.write_text(text, encoding="utf-8")
    return found


def read(folder: Path, stage: str | None = None) -> Endpoint:
    names = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE")
    return read_deployment(folder, stage, dict.fromkeys(names, "set"))


def of_kind(found: ImportedDeployment, kind: str) -> list[str]:
    return [note.source or note.target for note in found.notes if note.kind == kind]


def test_one_deployment_is_taken_over_whole(tmp_path: Path) -> None:
    azure = write(tmp_path, blue=BLUE)
    found = take_over(tmp_path, azure / "blue.yml")
    endpoint = read(tmp_path)
    (deployment,) = endpoint.deployments
    assert (endpoint.name, deployment.name, deployment.traffic_percent) == ("basic-chat", "blue", 100)
    assert endpoint.place is not None
    assert (endpoint.place.subscription, endpoint.place.workspace) == ("s-1", "ws")
    assert Path(deployment.flow.source).resolve() == tmp_path / "flow"
    assert (deployment.scale.minimum, deployment.scale.maximum) == (2, 2)
    assert (deployment.limits.timeout_s, deployment.limits.at_once) == (90, 4)
    assert (deployment.liveness.initial_delay_s, deployment.collect_share) == (30, 0.5)
    assert endpoint.is_egress_public is False
    settings = {
        item.name: (item.value, item.vault_url, item.connection, item.variable)
        for item in deployment.settings
    }
    assert settings == {
        "AOAI_BASE": (None, None, "aoai", None),
        "AOAI_KEY": (None, None, "aoai", None),
        "IS_ON": ("true", None, None, None),
        "MY_AOAI_API_KEY": (None, None, "my_aoai", None),
        "OTHER_KEY": (None, None, None, "OTHER_KEY"),
        "PROMPTFLOW_RESPONSE_INCLUDED_FIELDS": ('["answer"]', None, None, None),
        "SEARCH_KEY": (None, "https://kv.vault.azure.net/secrets/search", None, None),
    }
    assert of_kind(found, "to do") == ["environment_variables.OTHER_KEY", "connections.my_aoai"]
    assert of_kind(found, "left out") == [
        "environment_variables.PROMPTFLOW_RUN_MODE",
        "environment.image",
        "environment.inference_config",
        "app_insights_enabled",
    ]
    everything = " ".join(
        [*found.files.values(), *(f"{note.source}{note.target}{note.why}" for note in found.notes)]
    )
    assert "horse" not in everything


def test_a_folder_is_one_endpoint_with_its_deployments_slot_by_slot(tmp_path: Path) -> None:
    green = BLUE | {"name": "green", "model": "azureml:chat-model:7", "instance_count": 1}
    shadow = BLUE | {"name": "shadow"}
    azure = write(tmp_path, endpoint=ENDPOINT, blue=BLUE, green=green, shadow=shadow)
    found = take_over(tmp_path, azure, flow=str(tmp_path / "flow"))
    endpoint = read(tmp_path)
    assert (endpoint.authentication, endpoint.is_public, endpoint.tags) == (
        "entra",
        False,
        {"team": "support"},
    )
    assert [
        (item.name, item.traffic_percent, item.mirror_percent, item.scale.minimum)
        for item in endpoint.deployments
    ] == [("blue", 90, 0, 2), ("green", 10, 0, 1), ("shadow", 0, 50, 2)]
    assert not check_imported(found.files)


def test_a_single_file_finds_its_endpoint_in_the_folder(tmp_path: Path) -> None:
    other = ENDPOINT | {"name": "other", "auth_mode": "key"}
    azure = write(tmp_path, blue=BLUE, an_other=other, endpoint=ENDPOINT | {"traffic": {"blue": 100}})
    take_over(tmp_path, azure / "blue.yml")
    assert read(tmp_path).authentication == "entra"


def test_a_registered_model_is_to_be_fetched(tmp_path: Path) -> None:
    azure = write(tmp_path, blue=BLUE | {"model": "azureml:chat-model:7"})
    found = take_over(tmp_path, azure / "blue.yml")
    (todo,) = [note for note in found.notes if note.target == "flow"]
    assert "az ml model download --name chat-model --version 7" in todo.why
    (problem,) = check_imported(found.files)
    assert problem.code == "F001"
    take_over(tmp_path, azure / "blue.yml", flow="chat@3")
    assert read(tmp_path).deployments[0].flow.source == "chat@3"


@pytest.mark.parametrize(
    ("change", "kind", "said", "why"),
    [
        ({"request_settings": {"request_timeout_ms": 300_000}}, "translated", "request_settings.request_timeout_ms", "180"),
        ({"environment": {"image": "acr.azurecr.io/mine:1"}}, "to do", "environment.image", "digest"),
        ({"environment": "azureml:env:3"}, "left out", "environment", "requirements.txt"),
        ({"environment": {"inference_config": {"scoring_route": {"path": "/chat"}}}}, "to do", "environment.inference_config.scoring_route.path", "/score"),
        ({"code_configuration": {"code": "src", "scoring_script": "score.py"}}, "to do", "code_configuration", "scoring script"),
        ({"scale_settings": {"type": "target_utilization", "max_instances": 5}}, "taken", "scale_settings.max_instances", ""),
        ({"environment_variables": {"SEARCH_HOST": "<host>"}}, "to do", "environment_variables.SEARCH_HOST", "another tool"),
        ({"environment_variables": {"PROMPTFLOW_CONNECTION_PROVIDER": "azureml://subscriptions/s/resourceGroups/r/providers/Microsoft.MachineLearningServices/workspaces/w"}}, "translated", "environment_variables.PROMPTFLOW_CONNECTION_PROVIDER", "workspace"),
        ({"environment_variables": {"PROMPTFLOW_ENCODED_CONNECTIONS": "H4sI"}}, "to do", "environment_variables.PROMPTFLOW_ENCODED_CONNECTIONS", "keys"),
        ({"nonsense": 1}, "left out", "nonsense", "no use"),
    ],
)  # fmt: skip
def test_every_key_is_accounted_for(
    change: dict[str, Any], kind: str, said: str, why: str, tmp_path: Path
) -> None:
    azure = write(tmp_path, blue=BLUE | change)
    found = take_over(tmp_path, azure / "blue.yml")
    assert [note.kind for note in found.notes if note.source == said and why in note.why] == [kind]
    assert not check_imported(found.files)


@pytest.mark.parametrize(
    ("model", "command"),
    [
        ("azureml:chat:7", "az ml model download --name chat --version 7,"),
        ("azureml:chat@latest", "az ml model download --name chat --label latest,"),
        ("azureml://registries/shared/models/chat/versions/2", "--name chat --version 2 --registry-name shared,"),
        ("azureml:/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/models/chat/versions/3", "--name chat --version 3,"),
    ],
)  # fmt: skip
def test_every_way_to_name_a_registered_model_is_known(model: str, command: str, tmp_path: Path) -> None:
    azure = write(tmp_path, blue=BLUE | {"model": model})
    found = take_over(tmp_path, azure / "blue.yml")
    (todo,) = [note for note in found.notes if note.target == "flow"]
    assert command in todo.why


def test_what_the_service_shows_of_a_deployment_is_taken_over(tmp_path: Path) -> None:
    inside = "/subscriptions/s-2/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
    shown = {
        "id": f"azureml:{inside}/onlineEndpoints/chat/deployments/blue",
        "name": "blue",
        "endpoint_name": "chat",
        "type": "managed",
        "provisioning_state": "Succeeded",
        "model": f"azureml:{inside}/models/chat-model/versions/3",
        "environment": f"azureml:{inside}/environments/env/versions/1",
        "environment_variables": {"AZUREML_MODEL_DIR": "/var/x", "LOG": "info"},
        "instance_type": "Standard_DS3_v2",
        "instance_count": 1,
        "scale_settings": {"type": "default"},
    }
    file = tmp_path / "shown.json"
    file.write_text(json.dumps(shown), encoding="utf-8")
    found = take_over(tmp_path, file, flow="chat@3")
    place = read(tmp_path).place
    assert place is not None
    assert (place.subscription, place.resource_group, place.workspace) == ("s-2", "g", "w")
    assert "environment_variables.AZUREML_MODEL_DIR" in of_kind(found, "left out")
    assert of_kind(found, "to do") == []


def test_the_template_becomes_a_file_and_overlays(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "configs").mkdir()
    (tmp_path / "sample.json").write_text("{}", encoding="utf-8")
    (tmp_path / "experiment.yaml").write_text(
        "name: x\nflow: flow\ndatasets: [{name: a, source: b}]\n", encoding="utf-8"
    )
    (tmp_path / "config.json").write_text(
        '{"envs": [{"ENV_NAME": "prod", "RESOURCE_GROUP_NAME": "rg-prod", "WORKSPACE_NAME": "ws-prod"}]}',
        encoding="utf-8",
    )
    config = tmp_path / "configs" / "deployment_config.json"
    config.write_text(
        """{
        "azure_managed_endpoint": [
            {"ENV_NAME": "dev", "ENDPOINT_NAME": "web-dev", "ENDPOINT_DESC": "For trying", "TEST_FILE_PATH": "sample.json",
             "CURRENT_DEPLOYMENT_NAME": "", "PRIOR_DEPLOYMENT_NAME": "", "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION": "100",
             "DEPLOYMENT_VM_SIZE": "Standard_F4s_v2", "DEPLOYMENT_INSTANCE_COUNT": 1,
             "ENVIRONMENT_VARIABLES": {"example-name": "x", "LOG": "debug"}},
            {"ENV_NAME": "prod", "ENDPOINT_NAME": "web-prod", "CURRENT_DEPLOYMENT_NAME": "green",
             "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION": "90", "PRIOR_DEPLOYMENT_NAME": "blue",
             "PRIOR_DEPLOYMENT_TRAFFIC_ALLOCATION": "10", "DEPLOYMENT_VM_SIZE": "Standard_F4s_v2",
             "DEPLOYMENT_INSTANCE_COUNT": "3"}],
        "kubernetes_endpoint": [{"ENV_NAME": "dev", "ENDPOINT_NAME": "k8s"}],
        "webapp_endpoint": [{"ENV_NAME": "dev", "WEB_APP_NAME": ""}]
        }""",
        encoding="utf-8",
    )
    found = take_over(tmp_path, config)
    dev, prod = read(tmp_path), read(tmp_path, "prod")
    assert (dev.name, dev.is_alternating, dev.description) == ("web-dev", True, "For trying")
    assert Path(dev.deployments[0].flow.sample).resolve() == tmp_path / "sample.json"
    assert [item.name for item in dev.deployments[0].settings] == ["LOG", "MY_AOAI_API_KEY"]
    assert (prod.name, prod.deployments[0].name, prod.deployments[0].traffic_percent) == (
        "web-prod",
        "green",
        100,
    )
    assert prod.place is not None
    assert (prod.place.resource_group, prod.deployments[0].scale.minimum) == ("rg-prod", 3)
    todo = of_kind(found, "to do")
    assert "kubernetes_endpoint" in todo
    assert "webapp_endpoint" not in todo
    assert "traffic.blue" in todo
    assert not check_imported(found.files)


def test_what_is_no_deployment_is_refused(tmp_path: Path) -> None:
    azure = write(tmp_path, flow={"nodes": []}, batch={"name": "a", "defaults": {}})
    with pytest.raises(DefinitionError) as none:
        take_over(tmp_path, azure)
    assert none.value.problems[0].code == "F004"
    write(tmp_path, blue=BLUE, red=BLUE | {"endpoint_name": "other"})
    with pytest.raises(UsageError) as several:
        take_over(tmp_path, azure)
    assert several.value.problems[0].code == "X111"
    on_kubernetes = write(tmp_path / "k", k8s=BLUE | {"type": "kubernetes"})
    with pytest.raises(DefinitionError) as kubernetes:
        take_over(tmp_path, on_kubernetes)
    assert "Kubernetes" in kubernetes.value.problems[0].what
    (tmp_path / "config.json").write_text('{"webapp_endpoint": []}', encoding="utf-8")
    with pytest.raises(DefinitionError) as empty:
        take_over(tmp_path, tmp_path / "config.json")
    assert empty.value.problems[0].code == "F004"
    with pytest.raises(DefinitionError) as missing:
        take_over(tmp_path, tmp_path / "nowhere.yml")
    assert missing.value.problems[0].code == "F001"


_ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 500_000), st.floats(), st.text(max_size=5),
    st.lists(st.integers(0, 2), max_size=2), st.dictionaries(st.text(max_size=3), st.integers(0, 2), max_size=2),
)  # fmt: skip


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    max_examples=150,
    deadline=None,
)
@given(data=st.data())
def test_whatever_stands_in_a_file_is_taken_over_or_has_a_reason(data: st.DataObject, tmp_path: Path) -> None:
    said = deepcopy(data.draw(st.sampled_from([BLUE, ENDPOINT])))
    for _ in range(data.draw(st.integers(1, 3))):
        place: dict[str, Any] = said
        key = data.draw(st.sampled_from(sorted(place)))
        while isinstance(place[key], dict) and place[key] and data.draw(st.booleans()):
            place = place[key]
            key = data.draw(st.sampled_from(sorted(place)))
        place[key] = data.draw(_ODD)
    azure = write(tmp_path, blue=said)
    try:
        found = take_over(tmp_path, azure / "blue.yml", flow="chat@3")
    except DefinitionError as error:
        assert all(problem.fix for problem in error.problems)  # noqa: PT017 - one of both happens
        return
    assert load_yaml(found.files[tmp_path / "deployment.yaml"], "deployment.yaml")[0]["target"] == "azureml"
    assert all(problem.span for problem in check_imported(found.files))


def test_names_lose_their_capitals_as_in_the_package_that_has_sent_them(tmp_path: Path) -> None:
    blue = {**BLUE, "name": "Blue", "endpoint_name": "Basic-Chat"}
    azure = write(
        tmp_path,
        endpoint={**ENDPOINT, "name": "Basic-Chat", "traffic": {"Blue": 100}, "mirror_traffic": {}},
        blue=blue,
    )
    take_over(tmp_path, azure)
    endpoint = read(tmp_path)
    (deployment,) = endpoint.deployments
    assert (endpoint.name, deployment.name, deployment.traffic_percent) == ("basic-chat", "blue", 100)


@pytest.mark.parametrize("count", ["INF", ".inf", "-Infinity", "nan"])
def test_a_number_without_end_is_refused_in_its_place(tmp_path: Path, count: str) -> None:
    azure = write(tmp_path, blue={**BLUE, "instance_count": "COUNT"})
    file = azure / "blue.yml"
    file.write_text(file.read_text("utf-8").replace("COUNT", count), encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        take_over(tmp_path, file)
    assert {(item.code, item.pointer) for item in caught.value.problems} == {("F005", ("instance_count",))}
