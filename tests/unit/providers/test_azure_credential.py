"""Signing in to Azure, and what is said of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from tests.support.azure import StandIn
from tests.support.azure.subscriptions import add_identity

from headrace.deploy.azure_failures import azure_failures
from headrace.domain.deployment import Endpoint
from headrace.errors import AccessDeniedError
from headrace.providers.azure_credential import AzureCredential, tidy

SCOPE = "https://management.azure.com/.default"


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path) as azure:
        azure.enter(monkeypatch)
        monkeypatch.setenv("PATH", str(tmp_path))  # where no tool is that people sign in with
        yield azure


def test_what_gave_the_token_is_said(azure: StandIn) -> None:
    with AzureCredential() as credential:
        assert credential.source == ""
        token = credential.get_token(SCOPE).token
        assert azure.directory.read_token(token)["appid"] == azure.client.client_id
        assert credential.report() == (
            "EnvironmentCredential (variables AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET): gave a token",
        )
        assert credential.source.startswith("EnvironmentCredential (variables")
        assert credential.get_token_info(SCOPE).token
        assert len(credential.report()) == 1


def test_what_was_tried_before_it_worked_stays_known(azure: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    azure.directory.has_metadata_service = True
    azure.directory.machine = azure.directory.add()
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    with AzureCredential() as credential:
        for scope in (SCOPE, "https://vault.azure.net/.default"):
            assert credential.get_token(scope).token
            assert [attempt.gave_token for attempt in credential.attempts] == [False, False, True]


def test_everything_that_was_tried_is_listed_without_anything_secret(
    azure: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    with AzureCredential() as credential, pytest.raises(AccessDeniedError) as raised:
        credential.get_token(SCOPE)
    (problem,) = raised.value.problems
    assert problem.code == "X201"
    assert "az login" in (problem.fix or "")
    tried = [line.partition(":")[0] for line in problem.detail[1:]]
    assert tried[:3] == [
        "EnvironmentCredential (variables AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET)",
        "WorkloadIdentityCredential (workload identity)",
        "ManagedIdentityCredential (managed identity)",
    ]
    assert "AzureCliCredential (az login): Azure CLI not found on path" in problem.detail
    assert not [line for line in problem.detail if "aka.ms" in line]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "fix"),
    [
        ({"AZURE_CLIENT_SECRET": "wrong-8Q~0123456789012345678901234567890123456"}, "new secret"),
        ({"AZURE_TENANT_ID": "11111111-1111-1111-1111-111111111111"}, "AZURE_TENANT_ID to the tenant"),
        ({"AZURE_CLIENT_ID": "11111111-1111-1111-1111-111111111111"}, "AZURE_TENANT_ID to the tenant"),
    ],
)
def test_what_entra_refuses_is_said_with_what_to_do(
    azure: StandIn, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], fix: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with AzureCredential() as credential, pytest.raises(AccessDeniedError) as raised:
        credential.get_token(SCOPE)
    (problem,) = raised.value.problems
    assert fix in (problem.fix or "")
    secret = changes.get("AZURE_CLIENT_SECRET", azure.client.secret)
    assert secret not in str(problem)
    assert "Trace ID" not in str(problem)
    assert len(problem.detail) == 2, "the chain stops at a refusal"


def test_a_user_assigned_identity_is_taken_by_its_client_id(
    azure: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = add_identity(azure, "flow")
    azure.directory.has_metadata_service = True
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.setenv("AZURE_CLIENT_ID", identity.properties["clientId"])
    with AzureCredential() as credential:
        token = credential.get_token(SCOPE).token
        assert azure.directory.read_token(token)["oid"] == identity.properties["principalId"]
        assert credential.source == "ManagedIdentityCredential (managed identity)"

    monkeypatch.setenv("AZURE_CLIENT_ID", "11111111-1111-1111-1111-111111111111")
    with AzureCredential() as credential, pytest.raises(AccessDeniedError) as raised:
        credential.get_token(SCOPE)
    assert "Assign the identity" in (raised.value.problems[0].fix or "")


def test_what_is_said_is_cut_to_what_matters() -> None:
    said = "AADSTS70002: Bad. Trace ID: 12 Correlation ID: 13 Timestamp: 2026\nVisit https://aka.ms/x to troubleshoot."
    assert tidy(said) == "AADSTS70002: Bad."
    assert tidy("got eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln back") == "got ****** back"
    assert tidy("app 11111111-1111-1111-1111-111111111111") == "app 11111111-1111-1111-1111-111111111111"
    assert len(tidy("word " * 100)) == 240


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("AZURE_TENANT_ID", "my tenant", "Invalid tenant ID provided."),
        ("AZURE_AUTHORITY_HOST", "http://ann:s3cret@login", "'http://******@login' is an invalid authority."),
        ("AZURE_TOKEN_CREDENTIALS", "az", "Invalid value for AZURE_TOKEN_CREDENTIALS: az."),
        ("AZURE_CLIENT_CERTIFICATE_PATH", "nowhere.pem", "No such file or directory: 'nowhere.pem'"),
    ],
)
def test_variables_that_no_chain_can_be_made_with_are_called_so(
    azure: StandIn, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    if name == "AZURE_CLIENT_CERTIFICATE_PATH":
        monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.setenv(name, value)
    for what_is_done in (
        nullcontext(),
        azure_failures("endpoint", Endpoint(name="e", target="azureml", deployments=())),
    ):
        with pytest.raises(AccessDeniedError) as raised, what_is_done:
            AzureCredential()
        (problem,) = raised.value.problems
        assert problem.code == "X201"
        assert said in problem.what
        assert name in (problem.fix or "")
        assert "s3cret" not in str(problem)
