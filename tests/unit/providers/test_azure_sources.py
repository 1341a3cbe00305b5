"""Connections that workspaces keep, and secrets of key vaults, asked for at the stand-in by the real packages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.azure import StandIn
from tests.support.azure.workspace_connections import add_connection, add_workspace

from headrace.config import load_settings
from headrace.domain.connection import Secret
from headrace.errors import AccessDeniedError, RemoteError, RemoteRequestError, RemoteUnavailableError
from headrace.providers.azure_credential import AzureCredential
from headrace.providers.azure_sources import AzureSources
from headrace.providers.azure_vault import AzureVault
from headrace.providers.lookup import Connections

KEY = "k3y-of-the-service"


@pytest.fixture
def azure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with StandIn(tmp_path) as azure:
        azure.enter(monkeypatch)
        yield azure


@pytest.fixture
def connections(azure: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connections]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PF_CONNECTION_PROVIDER", f"azureml:/{add_workspace(azure).id}")
    settings = load_settings()
    sources = AzureSources(settings, tmp_path)
    yield Connections(tmp_path, settings, azure=sources)
    sources.close()


def test_a_connection_of_the_workspace_is_found_by_name_and_its_key_when_it_is_needed(
    azure: StandIn, connections: Connections
) -> None:
    made = add_connection(
        azure,
        "my_aoai",
        "AzureOpenAI",
        target="https://x.openai.azure.com",
        credentials={"key": KEY},
        ApiVersion="v",
    )
    found = connections.find("my_aoai")
    assert found is not None
    assert (found.type, found.configs["api_base"], found.origin) == (
        "azure_open_ai",
        "https://x.openai.azure.com",
        "workspace ws",
    )
    assert found.secrets == {"api_key": Secret(resource_id=made.id)}
    assert azure.recording.find("POST", "listsecrets") == []

    assert connections.secret(found, "api_key") == KEY
    assert connections.secret(found, "api_key") == KEY
    assert len(azure.recording.find("POST", "listsecrets")) == 1
    assert connections.revealed() == {KEY}
    assert connections.find("my_aoai") == found
    assert len(azure.recording.find("GET", "connections/my_aoai")) == 1
    assert connections.find("other") is None


def test_the_names_of_a_custom_connections_secrets_are_known(
    azure: StandIn, connections: Connections
) -> None:
    credentials = {"keys": {"token": KEY}}
    add_connection(
        azure, "mine", "CustomKeys", auth_type="CustomKeys", credentials=credentials, url="https://u"
    )
    found = connections.find("mine")
    assert found is not None
    assert (found.type, found.configs, list(found.secrets)) == ("custom", {"url": "https://u"}, ["token"])
    assert connections.secret(found, "token") == KEY
    assert len(azure.recording.find("POST", "listsecrets")) == 1
    assert KEY not in repr(found)


def test_a_connection_without_a_key_is_let_in_by_identity(azure: StandIn, connections: Connections) -> None:
    add_connection(azure, "c", "AzureOpenAI", target="https://x.openai.azure.com", auth_type="AAD")
    found = connections.find("c")
    assert found is not None
    assert (found.configs["auth_mode"], found.secrets) == ("meid_token", {})


def test_what_is_kept_here_wins_and_the_environment_overrides(
    azure: StandIn, connections: Connections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_connection(azure, "c", "OpenAI", target="https://there", credentials={"key": KEY})
    monkeypatch.setenv("C_BASE_URL", "https://elsewhere")
    again = Connections(tmp_path, load_settings(), azure=connections.azure)
    found = again.find("c")
    assert found is not None
    assert found.configs["base_url"] == "https://elsewhere"

    folder = tmp_path / ".headrace" / "connections"
    folder.mkdir(parents=True)
    (folder / "c.yaml").write_text("type: open_ai\nbase_url: http://here\napi_key: x\n", "utf-8")
    found = connections.find("c")
    assert found is not None
    assert found.configs["base_url"] == "http://here"


def test_all_connections_are_listed_over_pages_with_those_that_no_flow_can_use(
    azure: StandIn, connections: Connections
) -> None:
    for number in range(21):
        add_connection(azure, f"c{number:02}", "Serp", credentials={"key": KEY})
    add_connection(azure, "repository", "Git")
    found, problems = connections.list_connections()
    assert [item.name for item in found if item.origin == "workspace ws"] == [f"c{n:02}" for n in range(21)]
    assert [(item.code, item.severity) for item in problems] == [("C515", "warning")]
    assert "c20" in connections.names()
    assert 'Did you mean "c20"?' in (connections.unknown("c20x").fix or "")
    assert azure.recording.find("POST", "listsecrets") == []


def test_a_connection_may_be_named_by_its_whole_address(
    azure: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    made = add_connection(azure, "c", "Serp", credentials={"key": KEY}, workspace="another")
    sources = AzureSources(load_settings(), tmp_path)
    connections = Connections(tmp_path, load_settings(), azure=sources)
    assert connections.find("c") is None, "no setting names the workspace"
    found = connections.find(f"azureml:/{made.id}")
    assert found is not None
    assert connections.secret(found, "api_key") == KEY
    sources.close()


def test_the_setting_may_stand_in_pf_yaml_and_mean_the_nearest_workspace(
    azure: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "pf.yaml").write_text("connection:\n  provider: azureml\n", "utf-8")
    config = f'{{"subscription_id": "{azure.subscription}", "resource_group": "rg", "workspace_name": "ws"}}'
    (tmp_path / "config.json").write_text(config, "utf-8")
    below = tmp_path / "flows"
    below.mkdir()
    sources = AzureSources(load_settings(), below)
    assert sources.workspace is not None
    assert sources.workspace.resource_id == add_workspace(azure).id


def read_key(connections: Connections) -> None:
    found = connections.find("c")
    assert found is not None
    connections.secret(found, "api_key")


@pytest.mark.parametrize(
    ("trouble", "kind", "says"),
    [
        ({"action": ".*/connections/read"}, AccessDeniedError, "the role 'Reader'"),
        ({"action": ".*/listsecrets/action"}, AccessDeniedError, "Connection Secrets Reader"),
        ({"status": 500, "times": None}, RemoteUnavailableError, "Try again later"),
        ({"drop": "before", "times": None}, RemoteUnavailableError, "HTTPS_PROXY"),
    ],
)
def test_a_workspace_that_cannot_be_read_is_said_with_what_to_do(
    azure: StandIn,
    connections: Connections,
    trouble: dict[str, str],
    kind: type[RemoteError],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    add_connection(azure, "c", "Serp", credentials={"key": KEY})
    if "action" in trouble:
        azure.access.deny(**trouble)
    else:
        azure.faults.add(path="workspaces/ws/connections", **trouble)
    with pytest.raises(kind) as raised:
        read_key(connections)
    problem = raised.value.problems[0]
    assert problem.code == "P713"
    assert says in (problem.fix or "")
    assert KEY not in str(problem)


def test_a_workspace_that_is_not_there_is_said(
    azure: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = "azureml://subscriptions/0/resourceGroups/rg/workspaces/ws/connections/c"
    sources = AzureSources(load_settings(), tmp_path)
    with pytest.raises(RemoteRequestError, match="404 SubscriptionNotFound"):
        sources.find(address)
    sources.close()


def test_a_secret_of_a_vault_is_read_when_it_is_needed(
    azure: StandIn, connections: Connections, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure.vaults.add("kv", "aoai", KEY)
    folder = tmp_path / ".headrace" / "connections"
    folder.mkdir(parents=True)
    text = "type: open_ai\napi_key: ${keyvault:https://kv.vault.azure.net/secrets/aoai}\n"
    (folder / "c.yaml").write_text(text, "utf-8")
    found = connections.find("c")
    assert found is not None
    assert azure.recording.find("GET", "kv.vault") == []
    assert connections.secret(found, "api_key") == KEY
    assert connections.revealed() == {KEY}
    assert (folder / "c.yaml").read_text("utf-8") == text

    monkeypatch.setenv("C_API_KEY", "${keyvault:https://kv.vault.azure.net/secrets/aoai}")
    again = Connections(tmp_path, load_settings(), azure=connections.azure)
    found = again.find("c")
    assert found is not None
    assert found.secrets["api_key"].is_remote
    assert again.secret(found, "api_key") == KEY


def test_a_changed_secret_is_taken_up_after_some_minutes(azure: StandIn) -> None:
    azure.vaults.add("kv", "s", "old")
    now = [0.0]
    with AzureCredential() as credential:
        vault = AzureVault(lambda: credential, clock=lambda: now[0])
        address = "https://kv.vault.azure.net/secrets/s"
        first = azure.vaults.add("kv", "s", "older")
        assert vault.read(address) == "older"
        azure.vaults.add("kv", "s", "new")
        assert vault.read(address) == "older"
        now[0] = 601.0
        assert vault.read(address) == "new"
        assert vault.read(first) == "older"
        vault.close()


@pytest.mark.parametrize(
    ("name", "denied", "kind", "fix"),
    [
        ("other", False, RemoteRequestError, "Check the name"),
        ("s", True, AccessDeniedError, 'the role "Key Vault Secrets User" on kv.vault.azure.net'),
        ("off", False, AccessDeniedError, "Key Vault Secrets User"),
    ],
)
def test_a_secret_that_cannot_be_read_is_said_with_what_to_do(
    azure: StandIn, name: str, *, denied: bool, kind: type[RemoteError], fix: str
) -> None:
    azure.vaults.add("kv", "s", KEY)
    azure.vaults.add("kv", "off", KEY, is_enabled=False)
    if denied:
        azure.access.deny(scope="/kv.vault.azure.net")
    with AzureCredential() as credential:
        vault = AzureVault(lambda: credential)
        with pytest.raises(kind) as raised:
            vault.read(f"https://kv.vault.azure.net/secrets/{name}")
        vault.close()
    assert raised.value.problems[0].code == "P714"
    assert fix in (raised.value.problems[0].fix or "")


def test_without_a_token_nothing_is_read(
    azure: StandIn, connections: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    with pytest.raises(AccessDeniedError) as raised:
        connections.find("c")
    assert raised.value.problems[0].code == "X201"
    assert raised.value.problems[0].detail[1].startswith("EnvironmentCredential")


def test_nothing_of_azure_is_asked_where_nothing_names_it(azure: StandIn, tmp_path: Path) -> None:
    connections = Connections(tmp_path, load_settings({"HOME": str(tmp_path)}))
    assert connections.find("c") is None
    assert connections.list_connections()[1] == ()
    assert azure.recording.requests == []
