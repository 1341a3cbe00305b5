"""What ``--verbose`` says of signing in to Azure."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.azure import StandIn

from headrace.cli.identity_view import saying_identity
from headrace.cli.session import Session
from headrace.providers.azure_credential import AzureCredential


@pytest.mark.parametrize("is_verbose", [True, False])
def test_ways_of_signing_in_are_said_where_they_are_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, is_verbose: bool
) -> None:
    session = Session(tmp_path, {})
    session.is_verbose = is_verbose
    with StandIn(tmp_path) as azure:
        azure.enter(monkeypatch)
        with saying_identity(session), AzureCredential() as credential:
            credential.get_token("https://management.azure.com/.default")
        with AzureCredential() as credential:
            credential.get_token("https://management.azure.com/.default")
    said = capsys.readouterr().err.splitlines()
    assert [line.strip() for line in said] == is_verbose * [
        "EnvironmentCredential (variables AZURE_TENANT_ID, AZURE_CLIENT_ID, AZURE_CLIENT_SECRET): gave a token"
    ]
