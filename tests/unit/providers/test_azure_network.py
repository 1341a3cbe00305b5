"""Why Azure cannot be reached, from what the packages really say."""

from __future__ import annotations

from pathlib import Path

import pytest
from azure.core.exceptions import AzureError
from tests.support.azure import StandIn
from tests.support.ports import held_port

from headrace.errors import AccessDeniedError
from headrace.providers.azure_credential import AzureCredential
from headrace.providers.azure_network import connection_fault

SCOPE = "https://management.azure.com/.default"


@pytest.mark.parametrize(
    ("trouble", "what", "fix"),
    [
        ("proxy", "the proxy does not let it through, or is not there.", "Check HTTPS_PROXY"),
        ("certificate", "the certificate of the other side is not trusted.", "Set REQUESTS_CA_BUNDLE"),
        ("drop", "the connection was closed before there was an answer.", "Check the network"),
    ],
)
def test_a_token_that_the_network_keeps_away_is_told_from_one_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: str, what: str, fix: str
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with StandIn(tmp_path) as azure, held_port() as silent:
        azure.enter(monkeypatch)
        if trouble == "proxy":
            monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{silent}")
        elif trouble == "certificate":
            monkeypatch.delenv("REQUESTS_CA_BUNDLE")
            monkeypatch.delenv("SSL_CERT_FILE")
        else:
            azure.faults.add(path="login.microsoftonline.com", times=None, drop="before")
        with AzureCredential() as credential, pytest.raises(AccessDeniedError) as raised:
            credential.get_token(SCOPE)
    (problem,) = raised.value.problems
    assert problem.detail[1].endswith(what)
    assert fix in (problem.fix or "")
    assert isinstance(raised.value.__cause__, AzureError)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (
            "<urllib3...>: Failed to resolve 'x.azure.com' ([Errno -2] Name or service not known)",
            "the name of the host",
        ),
        (
            "HTTPSConnectionPool(host='x', port=443): Read timed out. (read timeout=300)",
            "no answer came in time",
        ),
        ("[Errno 111] Connection refused", "the connection was refused"),
    ],
)
def test_what_packages_say_is_put_in_plain_words(text: str, what: str) -> None:
    fault = connection_fault(text)
    assert fault is not None
    assert fault[0].startswith(what)
    assert connection_fault("AADSTS7000215: Invalid client secret provided.") is None
