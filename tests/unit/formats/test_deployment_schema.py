"""The schema of deployment files says of a file what the reader says of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from headrace.errors import DefinitionError
from headrace.formats.deployment import KEYS, PLACE_KEYS, read_deployment
from headrace.formats.deployment_arms import ARM_KEYS
from headrace.formats.deployment_schema import __file__ as deployment_schema_module
from headrace.formats.deployment_schema import deployment_schema
from headrace.formats.positions import load_yaml

LOCAL = "name: triage\ntarget: local\nflow: triage@3\n"
CLOUD = "name: triage\ntarget: azureml\nflow: triage@3\nazure: {subscription: s, resource_group: rg, workspace: ws}\nsize: {instance_type: Standard_DS3_v2}\n"
APP = "name: triage\ntarget: aca\nflow: triage@3\nazure: {subscription: s, resource_group: rg, environment: cae, registry: acr, location: westeurope}\n"
IDENTITY = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/x"
ENVIRONMENT = "/subscriptions/s/resourceGroups/other/providers/Microsoft.App/managedEnvironments/cae"
IMAGE = "acr.azurecr.io/triage@sha256:" + "0" * 64
VALID = [
    LOCAL,
    CLOUD,
    APP,
    APP.replace("environment: cae", f"environment: {ENVIRONMENT}"),
    f"{LOCAL}$schema: here\ndescription: [any, thing]\ncanary: 0\nmax_shift: 100\ngate: best\nprice_usd_per_hour: 0\n",
    f"{CLOUD}authentication: entra\nidentities: [{IDENTITY}]\nnetwork: {{public: false, egress: true}}\n",
    f"{APP}size: {{cpu: 0.25}}\nscale: {{min: 0, max: 5, requests_at_once: 10, cpu_percent: 100}}\nauthentication: none\n",
    f"{APP}size: {{cpu: 4, memory_gib: 8}}\nimage: {IMAGE}\n",
    f"{CLOUD}requests: {{timeout_s: 0.5, at_once: 1}}\nprobes: {{liveness: {{}}, readiness: {{successes: 2}}}}\ncollect: 1\n",
    f"{LOCAL}environment: {{A: text, B: 5, C: true, D: null, E: {{env: X}}, F: {{connection: c}}}}\n",
    f"{LOCAL}environment: {{G: {{connection: c, field: f}}, H: {{keyvault: https://v.vault.azure.net/secrets/n/v}}}}\n",
    f"{LOCAL}connections: {{a: {{env: X}}, b: {{api_base: https://h, api_key: {{env: X}}}}}}\ntags: {{a: b, c: 1}}\n",
    f"{LOCAL}variant: a.b\nmodel: baseline\n",
    f"{LOCAL}arms: [base, {{name: b, deployment: green, variant: '${{n.v}}', model: c/d/e}}]\n",
    f"{LOCAL}arms: [{{name: a, traffic: 100, environment: {{A: b}}, scale: {{min: 2}}}}, {{name: b, mirror: 50, image: '{IMAGE}'}}]\n",
    f"{LOCAL}experiment: experiment.yaml\n",
    f"{LOCAL}traffic: traffic.yaml\n",
    f"{LOCAL}model: '${{env:SET}}'\nimage: '${{env:SET_IMAGE}}'\n",
]  # fmt: skip
INVALID = [
    "name: triage\n",
    "target: local\nflow: triage@3\n",
    "name: triage\ntarget: heaven\nflow: triage@3\n",
    f"{LOCAL}flows: a\n",
    f"{LOCAL}canary: 101\n",
    f"{LOCAL}canary: ten\n",
    f"{LOCAL}canary: 2.5\n",
    f"{LOCAL}max_shift: 0\n",
    f"{LOCAL}price_usd_per_hour: -1\n",
    f"{LOCAL}authentication: password\n",
    f"{LOCAL}network: {{public: 1}}\n",
    f"{LOCAL}network: {{private: true}}\n",
    f"{LOCAL}model: gpt\n",
    f"{LOCAL}image: triage:latest\n",
    f"{LOCAL}size: {{gpu: 1}}\n",
    f"{LOCAL}scale: {{min: -1}}\n",
    f"{LOCAL}scale: {{max: 0}}\n",
    f"{LOCAL}scale: {{cpu_percent: 200}}\n",
    f"{LOCAL}scale: {{max: many}}\n",
    f"{LOCAL}scale: 3\n",
    f"{LOCAL}requests: {{timeout_s: 0}}\n",
    f"{LOCAL}requests: {{at_once: 0}}\n",
    f"{LOCAL}requests: {{timeout: 5}}\n",
    f"{LOCAL}probes: {{startup: {{}}}}\n",
    f"{LOCAL}probes: {{liveness: {{period_s: 0}}}}\n",
    f"{LOCAL}collect: 10\n",
    f"{LOCAL}environment: {{A: [1]}}\n",
    f"{LOCAL}environment: {{A: {{}}}}\n",
    f"{LOCAL}environment: {{A: {{env: X, keyvault: https://v.vault.azure.net/secrets/n}}}}\n",
    f"{LOCAL}environment: {{A: {{env: X, field: f}}}}\n",
    f"{LOCAL}environment: {{A: {{env: 'not one'}}}}\n",
    f"{LOCAL}environment: {{A: {{keyvault: secret}}}}\n",
    f"{LOCAL}connections: {{a: text}}\n",
    f"{LOCAL}connections: {{a: {{api_key: [1]}}}}\n",
    f"{LOCAL}tags: {{'a/b': c}}\n",
    f"{LOCAL}tags: {{Headrace-spec: c}}\n",
    f"{LOCAL}tags: {{a: [b]}}\n",
    f"{LOCAL}arms: []\n",
    f"{LOCAL}arms: [5]\n",
    f"{LOCAL}arms: [{{variant: a.b}}]\n",
    f"{LOCAL}arms: [{{name: a, weight: 1}}]\n",
    f"{LOCAL}arms: [{{name: a, traffic: 0.5}}]\n",
    f"{LOCAL}arms: [{{name: a, traffic: 101}}]\n",
    f"{LOCAL}arms: [{{name: a, mirror: -1}}]\n",
    f"{CLOUD}identities: [someone]\n",
    APP.replace("environment: cae", "environment: rg/cae"),
    APP.replace("environment: cae", f"environment: {ENVIRONMENT}/more"),
    f"{CLOUD}identities: someone\n",
    CLOUD.replace("resource_group: rg, ", ""),
    CLOUD.replace("resource_group: rg", "resource_group: a/b"),
    CLOUD.replace("workspace: ws", "workspaces: ws, workspace: ws"),
]  # fmt: skip
VARIABLES = {"SET": "my_aoai/gpt", "SET_IMAGE": IMAGE}


def is_valid(text: str, folder: Path) -> tuple[bool, bool]:
    """Whether the reader and the schema take the file."""
    file = folder / "deployment.yaml"
    file.write_text(text, encoding="utf-8")
    (folder / "experiment.yaml").write_text("data: d\nmodels: [baseline, x/gpt]\n", encoding="utf-8")
    (folder / "traffic.yaml").write_text("name: t\narms: [base, canary]\n", encoding="utf-8")
    try:
        read_deployment(file, None, VARIABLES)
        is_read = True
    except DefinitionError:
        is_read = False
    data = json.loads(json.dumps(load_yaml(text, str(file))[0], default=str))
    return is_read, Draft202012Validator(deployment_schema()).is_valid(data)


@pytest.mark.parametrize("text", VALID)
def test_what_the_reader_takes_the_schema_takes(text: str, tmp_path: Path) -> None:
    assert is_valid(text, tmp_path) == (True, True)


@pytest.mark.parametrize("text", INVALID)
def test_what_the_reader_refuses_the_schema_refuses(text: str, tmp_path: Path) -> None:
    assert is_valid(text, tmp_path) == (False, False)


def test_the_schema_is_one_and_knows_every_key_of_the_reader() -> None:
    schema = deployment_schema()
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == set(KEYS)
    assert set(schema["$defs"]["arm"]["properties"]) == set(ARM_KEYS)
    assert set(schema["properties"]["azure"]["properties"]) == set(PLACE_KEYS)
    assert all(item["description"] for key, item in schema["properties"].items() if key != "$schema")


def test_the_schema_that_is_shipped_is_the_one_that_is_made() -> None:
    shipped = Path(deployment_schema_module).with_name("deployment.schema.json")
    assert json.loads(shipped.read_text("utf-8")) == deployment_schema()


def test_the_deployment_files_of_this_repository_fit() -> None:
    files = sorted(Path(__file__).parents[3].glob("flows/*/deployment.yaml"))
    assert files
    for file in files:
        data, _ = load_yaml(file.read_text("utf-8"), str(file))
        assert list(Draft202012Validator(deployment_schema()).iter_errors(data)) == []
