"""Variables of connections: from the environment, or from files that are mounted, read when they are needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.config import load_settings
from headrace.errors import DefinitionError
from headrace.providers.lookup import Connections
from headrace.providers.variables import Variables, is_unresolved

FILE = "type: open_ai\napi_key: ${env:MY_AI_API_KEY}\nbase_url: ${env:PLACE}\n"


@pytest.mark.parametrize("name", ["MY_KEY", "my-key", "My.Key"])
def test_a_file_stands_for_the_variable_that_it_is_called_after(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("s3cret\n")
    assert Variables({}, tmp_path).find("MY_KEY") == "s3cret"
    assert Variables({"MY_KEY": "nearer"}, tmp_path).find("MY_KEY") == "nearer"
    assert Variables({}, tmp_path).find("MY_OTHER") is None


def test_what_is_no_secret_file_is_no_value(tmp_path: Path) -> None:
    (tmp_path / "FOLDER").mkdir()
    (tmp_path / "BINARY").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "LARGE").write_bytes(b"x" * 70_000)
    variables = Variables({}, tmp_path)
    assert [variables.find(name) for name in ("FOLDER", "BINARY", "LARGE")] == [None] * 3
    assert Variables({}, tmp_path / "gone").find("X") is None


def test_connections_are_found_in_mounted_folders_first_and_their_keys_may_change(tmp_path: Path) -> None:
    for folder in ("mounted", "packed", "secrets"):
        (tmp_path / folder).mkdir()
    (tmp_path / "mounted/my ai.yaml").write_text(FILE)
    (tmp_path / "packed/my ai.yaml").write_text("type: serp\napi_key: k\n")
    (tmp_path / "packed/other.yaml").write_text("type: serp\napi_key: k\n")
    (tmp_path / "secrets/my-ai-api-key").write_text("first")
    (tmp_path / "secrets/place").write_text("http://127.0.0.1:1/v1")
    settings = load_settings(
        {
            "HOME": str(tmp_path / "home"),
            "HEADRACE_CONNECTIONS": f"{tmp_path / 'mounted'}:{tmp_path / 'packed'}",
            "HEADRACE_SECRETS": str(tmp_path / "secrets"),
        }
    )
    connections = Connections(tmp_path, settings)
    found = connections.find("my ai")
    assert found is not None
    assert found.configs == {"base_url": "http://127.0.0.1:1/v1"}
    assert connections.secret(found, "api_key") == "first"
    (tmp_path / "secrets/my-ai-api-key").write_text("second")
    assert connections.secret(found, "api_key") == "second"
    assert {"my ai", "other"} <= set(connections.names())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)", True),
        ("@microsoft.keyvault(VaultName=v;SecretName=s)", True),
        ("sk-@Microsoft.KeyVault", False),
        ("", False),
    ],
)
def test_references_to_key_vault_are_told_from_keys(value: str, expected: bool) -> None:
    assert is_unresolved(value) is expected


def test_a_reference_that_nobody_resolved_is_not_sent_as_a_key(tmp_path: Path) -> None:
    reference = "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/my-secret)"
    (tmp_path / ".headrace/connections").mkdir(parents=True)
    (tmp_path / ".headrace/connections/ai.yaml").write_text("type: open_ai\napi_key: k\n")
    settings = load_settings({"HOME": str(tmp_path / "home"), "AI_API_KEY": reference})
    connections = Connections(tmp_path, settings)
    found = connections.find("ai")
    assert found is not None
    with pytest.raises(DefinitionError) as caught:
        connections.secret(found, "api_key")
    problem = caught.value.problems[0]
    assert problem.code == "C503"
    assert "AI_API_KEY, which holds a reference to Azure Key Vault" in problem.what
    assert "my-secret" not in problem.what + (problem.fix or "")
