"""Keys that stand as text in a deployment file are found by name and by look, and never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import DefinitionError
from headrace.formats.deployment import read_deployment
from headrace.formats.deployment_secrets import looks_secret, plain_secrets
from headrace.formats.deployment_settings import unset_variables

KEYS = [
    ("ANY", "sk-proj-abcdefghijklmnopqrstuvwx"),
    ("ANY", "0123456789abcdef0123456789abcdef"),
    ("ANY", "ghp_" + "a1B2" * 9),
    ("ANY", "AKIAIOSFODNN7EXAMPLE"),
    ("ANY", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"),
    ("ANY", "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + "aB3/" * 20 + "=="),
    ("ANY", "Server=db;User=sa;Password=horse"),
    ("ANY", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"),
    ("ANY", "postgresql://user:horse@host/db"),
    ("ANY", "https://a.blob.core.windows.net/c?sv=2024&sig=abc%2Fdefghijklmnopqrstuv%3D"),
    ("ANY", "https://host/hook?code=abc"),
    ("ANY", "7fGq2LxZ9kPwT4vBn1YcR8sMd3HjW6Ua"),
    ("PROMPTFLOW_ENCODED_CONNECTIONS", "H4sIADy" + "aaaa1111" * 12),
    ("ANY", "Bearer abcdefghijklmnop1234"),
    ("OPENAI_API_KEY", "horse"),
    ("DB_PASSWORD", "12345"),
    ("client-secret", "battery staple"),
    ("AUTHORIZATION", "Basic dTpw"),
]
PLAIN = [
    ("LOG", "info"),
    ("MAX_TOKENS", "256"),
    ("USE_TOKEN_CACHE", "true"),
    ("KEY_VAULT_URL", "https://kv.vault.azure.net"),
    ("TOKEN_ENDPOINT", "https://login.microsoftonline.com/common"),
    ("API_KEY", ""),
    ("API_KEY", "${{keyvault:https://kv.vault.azure.net/secrets/k}}"),
    ("API_KEY", "@Microsoft.KeyVault(SecretUri=https://kv.vault.azure.net/secrets/k)"),
    ("COMMIT", "0123456789abcdef0123456789abcdef01234567"),
    ("IMAGE", "acr.azurecr.io/flow@sha256:" + "0123456789abcdef" * 4),
    ("AZURE_CLIENT_ID", "11111111-2222-3333-4444-555555555555"),
    ("NAME", "TheNameOfADeploymentThatIsQuiteLong2"),
    ("MACHINE", "Standard_DS3_v2_in_westeurope_zone_1"),
    ("PATH_TO_IT", "/var/azureml-app/azureml-models/triage/3/flow.dag.yaml"),
    ("PROMPT", "Answer in English, with at most 3 sentences and no list."),
    ("ENDPOINT", "https://my-resource-for-tests.openai.azure.com/openai/v1/"),
]


@pytest.mark.parametrize(("name", "value"), KEYS)
def test_a_key_is_found(name: str, value: str) -> None:
    assert looks_secret(name, value)


@pytest.mark.parametrize(("name", "value"), PLAIN)
def test_what_is_no_key_is_left_alone(name: str, value: str) -> None:
    assert looks_secret(name, value) is None


@given(
    st.text(
        st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"),
        min_size=1,
        max_size=400,
    )
)
def test_looking_ends_for_every_word(value: str) -> None:
    assert looks_secret("ANY", value) in (None, "by its look")


def test_they_are_reported_with_places_and_without_values(tmp_path: Path) -> None:
    (tmp_path / "deployment.yaml").write_text(
        "name: triage\n"
        "target: local\n"
        "flow: triage@3\n"
        "environment: {LOG: info, API_KEY: correct-horse}\n"
        "tags: {owner: sk-abcdefghijklmnopqrst}\n"
        "arms: [{name: a, tags: {pw_secret: battery}, environment: {B: sk-bcdefghijklmnopqrstu}}, {name: b}]\n",
        encoding="utf-8",
    )
    found = plain_secrets(read_deployment(tmp_path, None, {}))
    places = [(problem.span.line, problem.span.column) if problem.span else None for problem in found]
    assert places == [(5, 15), (4, 35), (6, 63), (6, 36)]
    assert {problem.code for problem in found} == {"X109"}
    said = " ".join(f"{problem.what} {problem.fix} {problem.detail}" for problem in found)
    assert not any(text in said for text in ("horse", "battery", "sk-"))


def test_a_variable_that_holds_a_key_does_not_become_text(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    text = "name: triage\ntarget: local\nflow: triage@3\nenvironment: {A: 'x ${env:MAX_TOKENS}', B: '${env:MY_KEY}'}\n"
    file.write_text(text, encoding="utf-8")
    variables = {"MAX_TOKENS": "5", "MY_KEY": "correct-horse"}
    with pytest.raises(DefinitionError) as caught:
        read_deployment(file, None, variables)
    (problem,) = caught.value.problems
    assert (problem.code, problem.fix) == ("X108", "Write {env: MY_KEY}, or better {keyvault: ADDRESS}.")
    assert "horse" not in f"{problem.what} {problem.fix}"


def test_secret_variables_that_are_not_set_are_named_once(tmp_path: Path) -> None:
    file = tmp_path / "deployment.yaml"
    text = "name: triage\ntarget: local\nflow: triage@3\nenvironment: {A: {env: MINE}, B: {env: YOURS}}\narms: [one, two]\n"
    file.write_text(text, encoding="utf-8")
    (problem,) = unset_variables(read_deployment(file, None, {}).deployments, {"MINE": ""})
    assert (problem.code, problem.what) == ("X101", "The variable YOURS, which B is taken from, is not set.")
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == (4, 34)
