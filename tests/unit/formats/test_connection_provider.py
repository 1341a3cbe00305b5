"""The setting ``connection.provider``, and connections as workspaces keep them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.domain.azure_workspace import AzureWorkspace
from headrace.domain.connection import Secret
from headrace.errors import DefinitionError
from headrace.formats.connection_file import connection_from_mapping, find_vault_url, render_connection
from headrace.formats.connection_provider import read_connection_address, read_provider
from headrace.formats.workspace_connection import connection_from_workspace, workspace_secrets

WORKSPACE = AzureWorkspace(subscription="s", resource_group="g", name="w")
RESOURCE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"


@pytest.mark.parametrize(
    "setting",
    [
        f"azureml:/{RESOURCE}",
        f"azureml:/{RESOURCE}/",
        f"azureml:/{RESOURCE.lower()}",
        "azureml://subscriptions/s/resourceGroups/g/workspaces/w",
        RESOURCE,
    ],
)
def test_a_workspace_is_named_by_its_address(setting: str, tmp_path: Path) -> None:
    assert read_provider(setting, tmp_path) == WORKSPACE
    assert WORKSPACE.resource_id == RESOURCE


@pytest.mark.parametrize("setting", ["", "local", " Local "])
def test_here_is_no_workspace(setting: str, tmp_path: Path) -> None:
    assert read_provider(setting, tmp_path) is None


@pytest.mark.parametrize("name", [".azureml/config.json", "config.json"])
def test_the_nearest_workspace_is_that_of_config_json(name: str, tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    data = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}
    file.write_text(json.dumps(data), "utf-8")
    assert read_provider("azureml", below) == WORKSPACE


@pytest.mark.parametrize("text", ["{", "[]", '{"subscription_id": "s"}', '{"subscription_id": 1}'])
def test_a_config_json_without_a_workspace_is_refused_with_its_place(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, "utf-8")
    with pytest.raises(DefinitionError, match="does not name a workspace") as raised:
        read_provider("azureml", tmp_path)
    assert raised.value.problems[0].span is not None


@pytest.mark.parametrize("setting", ["azurml", "azureml://x", "azureml://registries/r"])
def test_other_settings_are_refused(setting: str, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError) as raised:
        read_provider(setting, tmp_path)
    assert raised.value.problems[0].code == "C514"


def test_a_connection_may_be_named_by_its_address() -> None:
    address = f"azureml:/{RESOURCE}/connections/my_aoai"
    assert read_connection_address(address) == (WORKSPACE, "my_aoai")
    assert read_connection_address("my_aoai") is None
    assert read_connection_address(f"azureml:/{RESOURCE}") is None


def kept(category: str, **properties: Any) -> dict[str, Any]:
    return {
        "id": f"{RESOURCE}/connections/c",
        "name": "c",
        "properties": {"authType": "ApiKey", "category": category, "metadata": {}, **properties},
    }


SECRET = Secret(resource_id=f"{RESOURCE}/connections/c")


@pytest.mark.parametrize(
    ("body", "kind", "configs", "secrets"),
    [
        (
            kept("AzureOpenAI", target="https://x", metadata={"ApiType": "azure", "apiversion": "v", "ResourceId": "r"}),
            "azure_open_ai",
            {"api_base": "https://x", "api_type": "azure", "api_version": "v", "auth_mode": "key", "resource_id": "r"},
            ["api_key"],
        ),
        (
            kept("AzureOpenAI", target="https://x", authType="AAD"),
            "azure_open_ai",
            {"api_base": "https://x", "api_type": "azure", "api_version": "2024-02-01", "auth_mode": "meid_token"},
            [],
        ),
        (kept("OpenAI", target="https://x/v1", metadata={"organization": "o"}), "open_ai",
         {"base_url": "https://x/v1", "organization": "o"}, ["api_key"]),
        (kept("Serp"), "serp", {}, ["api_key"]),
        (kept("CognitiveSearch", target="https://s"), "cognitive_search",
         {"api_base": "https://s", "api_version": "2023-11-01", "auth_mode": "key"}, ["api_key"]),
        (kept("Serverless", target="https://m"), "serverless", {"api_base": "https://m"}, ["api_key"]),
        (kept("AIServices", target="https://a"), "azure_ai_services",
         {"endpoint": "https://a", "auth_mode": "key"}, ["api_key"]),
        (kept("CognitiveService", target="https://c", metadata={"Kind": "Content Safety", "ApiVersion": "v"}),
         "azure_content_safety", {"endpoint": "https://c", "api_version": "v", "api_type": "Content Safety"}, ["api_key"]),
        (kept("CognitiveService", target="https://c", metadata={"Kind": "Form Recognizer"}),
         "form_recognizer", {"endpoint": "https://c", "api_version": "2023-07-31", "api_type": "Form Recognizer"},
         ["api_key"]),
        (
            kept("CustomKeys", authType="CustomKeys", credentials={"keys": {"token": "t"}},
                 metadata={"url": "u", "azureml.flow.connection_type": "Custom"}),
            "custom", {"url": "u"}, ["token"],
        ),
    ],
)  # fmt: skip
def test_every_kind_that_prompt_flow_knows_becomes_ours(
    body: dict[str, Any], kind: str, configs: dict[str, str], secrets: list[str]
) -> None:
    made = connection_from_workspace(body, "workspace w")
    assert (made.name, made.type, made.configs, made.origin) == ("c", kind, configs, "workspace w")
    assert made.secrets == dict.fromkeys(secrets, SECRET)


def test_other_kinds_are_refused() -> None:
    with pytest.raises(DefinitionError, match="of the kind Git") as raised:
        connection_from_workspace(kept("Git"), "workspace w")
    assert raised.value.problems[0].code == "C515"


def test_secrets_have_the_names_of_our_fields() -> None:
    assert workspace_secrets(kept("OpenAI", credentials={"key": "k"})) == {"api_key": "k"}
    assert workspace_secrets(kept("CustomKeys", credentials={"keys": {"a": "1"}})) == {"a": "1"}
    assert workspace_secrets(kept("OpenAI", credentials=None)) == {}


def test_a_secret_of_a_vault_is_kept_by_its_address() -> None:
    text = "${keyvault:https://kv.vault.azure.net/secrets/aoai-key/0123}"
    data = {"name": "c", "type": "open_ai", "api_key": text}
    made = connection_from_mapping(data)
    assert made.secrets == {"api_key": Secret(vault_url="https://kv.vault.azure.net/secrets/aoai-key/0123")}
    assert f"api_key: {text}" in render_connection(made, show_secrets=False)
    assert "aoai-key" in repr(made.secrets["api_key"])


@pytest.mark.parametrize(
    "text", ["${keyvault:}", "${keyvault:http://kv/secrets/x}", "${keyvault:https://kv/keys/x}"]
)
def test_an_address_that_is_no_secrets_is_refused(text: str) -> None:
    assert find_vault_url(text) is None
    with pytest.raises(DefinitionError, match="does not name a secret"):
        connection_from_mapping({"name": "c", "type": "open_ai", "api_key": text})
