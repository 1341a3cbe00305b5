"""What managed online endpoints are told, and what they say, in both directions; nobody is asked."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from azure.ai.ml.entities import (
    IdentityConfiguration,
    ManagedIdentityConfiguration,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
)
from hypothesis import given
from hypothesis import strategies as st

from headrace.deploy.managed_parts import (
    deployment_state,
    endpoint_settings,
    environment_version,
    flow_path,
    is_sent_already,
    make_endpoint,
    model_version,
    needs_stores,
    positive,
    same_endpoint,
    state_word,
    variables_of,
    with_stores,
)
from headrace.deploy.managed_scale import is_fixed, make_setting, read_scales, setting_name
from headrace.domain.deployment import OWNER_TAG, Deployment, Endpoint, FlowChoice, Scale, Setting

BLUE = Deployment(name="blue", arm="blue", flow=FlowChoice(source="flow"))
WISHED = Endpoint(name="triage", target="azureml", deployments=(BLUE,), tags={"team": "support"})
OWN = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/own"
DEPLOYMENT_ID = (
    "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/deployments/blue"
)


def an_endpoint(**more: Any) -> ManagedOnlineEndpoint:
    usual: dict[str, Any] = {
        "name": "triage",
        "auth_mode": "key",
        "identity": IdentityConfiguration(type="system_assigned"),
        "public_network_access": "Enabled",
        "tags": {OWNER_TAG: "1", "team": "support"},
        "provisioning_state": "Succeeded",
    }
    found = ManagedOnlineEndpoint(**{**usual, **more})
    found._provisioning_state = "Succeeded"
    return found


@given(st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 4))
def test_versions_of_models_are_whole_numbers_that_fit_in_31_bits(digest: str, attempt: int) -> None:
    version = model_version(digest, attempt)
    assert version == str(int(version))
    assert 1 <= int(version) <= 2**31 - 1
    assert model_version(digest, attempt + 1) != version


def test_versions_of_environments_change_with_image_and_port() -> None:
    made = {environment_version(*given) for given in (("a", 8080), ("b", 8080), ("a", 80))}
    assert len(made) == 3
    assert {len(item) for item in made} == {16}


def test_an_endpoint_says_what_the_file_says() -> None:
    made = make_endpoint(WISHED, None, {OWNER_TAG: "1"})
    assert endpoint_settings(made) == WISHED.own_settings()
    assert made.tags == {"team": "support", OWNER_TAG: "1"}


@pytest.mark.parametrize(("mode", "said"), [("aad_token", "entra"), ("AADToken", "entra"), ("Key", "key")])
def test_authentication_is_read_in_every_spelling(mode: str, said: str) -> None:
    assert endpoint_settings(an_endpoint(auth_mode=mode))["authentication"] == said


def test_what_is_there_already_is_not_sent() -> None:
    current = an_endpoint(properties={"portal": "x", "createdAt": "2026"}, traffic={"Blue": 100, "green": 0})
    assert is_sent_already(current, make_endpoint(WISHED, current, {OWNER_TAG: "1"}))
    assert is_sent_already(current, same_endpoint(current, {"blue": 100}, {}, {}))
    assert not is_sent_already(current, same_endpoint(current, {"blue": 90, "green": 10}, {}, {}))
    assert not is_sent_already(current, same_endpoint(current, {"blue": 100}, {"green": 5}, {}))
    assert not is_sent_already(current, make_endpoint(replace(WISHED, is_public=False), current, {}))


def test_times_that_the_package_mixes_in_are_not_sent_back() -> None:
    current = an_endpoint(
        properties={"portal": "x", "createdBy": "a", "createdAt": "b", "lastModifiedAt": "c"}
    )
    assert same_endpoint(current, {}, {}, {}).properties == {"portal": "x"}


def test_ids_that_the_service_gives_an_identity_are_not_sent_back() -> None:
    named = ManagedIdentityConfiguration(resource_id=OWN, client_id="c", principal_id="p")
    identity = IdentityConfiguration(type="user_assigned", user_assigned_identities=[named], principal_id="p")
    again = same_endpoint(an_endpoint(identity=identity), {}, {}, {}).identity
    assert (again.type, again.principal_id) == ("user_assigned", None)
    assert [(item.resource_id, item.client_id) for item in again.user_assigned_identities] == [(OWN, None)]


def test_only_an_identity_of_the_endpoint_itself_is_let_into_the_stores() -> None:
    assert with_stores(an_endpoint()).properties == {"enforce_access_to_default_secret_stores": "enabled"}
    named = [ManagedIdentityConfiguration(resource_id=OWN)]
    identity = IdentityConfiguration(type="user_assigned", user_assigned_identities=named)
    assert with_stores(an_endpoint(identity=identity)).properties == {}


def test_shares_are_whole_numbers_above_zero_by_small_names() -> None:
    assert positive({"Green": 10, "blue": 90, "pico": 0}) == {"green": 10, "blue": 90}
    assert positive(None) == {}


def test_variables_are_text_or_references() -> None:
    settings = (
        Setting(name="PLAIN", value="text"),
        Setting(name="VAULT", vault_url="https://kv.vault.azure.net/secrets/k/1"),
        Setting(name="KEY", connection="aoai", field="key"),
        Setting(name="BASE", connection="aoai", field="api_base"),
        Setting(name="KIND", connection="aoai", field="metadata/ApiType"),
        Setting(name="OWN", variable="MY_KEY"),
    )
    assert needs_stores([replace(BLUE, settings=settings)])
    assert not needs_stores([replace(BLUE, settings=settings[:1])])
    assert variables_of(replace(BLUE, settings=settings), {"OWN": "headrace-1"}) == {
        "PLAIN": "text",
        "VAULT": "${{keyvault:https://kv.vault.azure.net/secrets/k/1}}",
        "KEY": "${{azureml://connections/aoai/credentials/key}}",
        "BASE": "${{azureml://connections/aoai/target}}",
        "KIND": "${{azureml://connections/aoai/metadata/ApiType}}",
        "OWN": "${{azureml://connections/headrace-1/credentials/key}}",
    }


def test_the_flow_lies_below_name_version_and_folder_of_its_model() -> None:
    path = "azureml://subscriptions/s/datastores/workspaceblobstore/paths/LocalUpload/1f/flow/"
    assert flow_path(Model(name="triage-flow", version="7", path=path)) == "/var/flow/triage-flow/7/flow"


@pytest.mark.parametrize(
    ("word", "health", "is_busy"),
    [
        ("Succeeded", "healthy", False),
        ("Creating", "starting", True),
        ("Updating", "starting", True),
        ("Scaling", "starting", True),
        ("Deleting", "starting", True),
        ("Failed", "failed", False),
        ("Canceled", "failed", False),
        ("Somehow", "unknown", False),
    ],
)
def test_health_is_the_provisioning_state(word: str, health: str, is_busy: bool) -> None:
    found = ManagedOnlineDeployment(name="blue", endpoint_name="triage", instance_count=2)
    found._provisioning_state = word
    said = deployment_state(found, None)
    assert (said.health, said.is_busy, said.scale) == (health, is_busy, Scale(minimum=2, maximum=2))
    assert not said.is_ours
    assert (said.message == "") == (health == "healthy")


def test_states_are_read_from_texts_and_from_enumerations() -> None:
    word = SimpleNamespace(value="Succeeded")
    assert state_word(SimpleNamespace(provisioning_state=word)) == "succeeded"  # type: ignore[arg-type]
    assert state_word(None) == ""


@pytest.mark.parametrize("scale", [Scale(minimum=1, maximum=4), Scale(minimum=2, maximum=5, cpu_percent=60)])
def test_scales_are_read_as_they_were_written(scale: Scale) -> None:
    setting = make_setting(DEPLOYMENT_ID, "westeurope", scale)
    setting.target_resource_uri = DEPLOYMENT_ID.upper()
    assert read_scales([setting]) == {DEPLOYMENT_ID.lower(): scale}
    assert setting_name(DEPLOYMENT_ID.upper()) == setting_name(DEPLOYMENT_ID)


def test_a_number_of_machines_needs_no_setting() -> None:
    assert is_fixed(Scale(minimum=2, maximum=2))
    assert not is_fixed(Scale(minimum=2, maximum=2, cpu_percent=50))
    disabled = make_setting(DEPLOYMENT_ID, "westeurope", Scale(minimum=1, maximum=2))
    disabled.enabled = False
    assert read_scales([disabled, SimpleNamespace()]) == {}
