"""Flows whose connections are kept in a workspace or whose keys are kept in a vault, by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.azure import StandIn
from tests.support.azure.messages import Request, Response, refuse, reply
from tests.support.azure.stand_in import UNSET
from tests.support.azure.workspace_connections import add_connection, add_workspace

KEY = "k3y-0123456789abcdef"
FLOW = """\
inputs: {q: {type: string, default: hello}}
outputs: {answer: {type: string, reference: "${ask.output}"}}
nodes:
- {name: ask, type: llm, api: chat, connection: my_aoai, source: {type: code, path: ask.jinja2},
   inputs: {deployment_name: gpt, q: "${inputs.q}"}}
"""


class Service:
    """A model service that lets in who sends the key, or a token for it."""

    def __init__(self, azure: StandIn) -> None:
        self.azure = azure
        self.let_in: list[str] = []

    def answer(self, request: Request) -> Response:
        if request.headers.get("api-key") == KEY:
            self.let_in.append("key")
        elif request.bearer:
            principal = self.azure.access.identify(request, "https://cognitiveservices.azure.com")
            self.let_in.append(principal.client_id)
        else:
            return refuse(401, "401", "Access denied due to invalid subscription key.")
        message = {"role": "assistant", "content": "hi"}
        return reply(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 1,
                "model": "gpt",
                "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
            }
        )


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[StandIn]:
    with StandIn(tmp_path / "cloud") as azure:
        yield azure


@pytest.fixture
def service(azure: StandIn) -> Service:
    service = Service(azure)
    azure.add_host("x.openai.azure.com", service.answer)
    return service


@pytest.fixture
def project(tmp_path: Path, azure: StandIn) -> Path:
    flow = tmp_path / "project" / "flow"
    flow.mkdir(parents=True)
    (flow / "flow.dag.yaml").write_text(FLOW, "utf-8")
    (flow / "ask.jinja2").write_text("user:\n{{q}}\n", "utf-8")
    (flow.parent / ".headrace").mkdir()
    return flow.parent


def headrace(
    azure: StandIn, project: Path, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return call(azure, project, ["-m", "headrace", *words], **variables)


def call(
    azure: StandIn, project: Path, arguments: list[str], **variables: str
) -> subprocess.CompletedProcess[str]:
    outer = {name: value for name, value in os.environ.items() if name not in UNSET}
    environment = {**outer, **azure.environment, "HOME": str(project), **variables}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
        timeout=120,
    )


def test_an_old_project_finds_its_connections_in_its_workspace(
    azure: StandIn, service: Service, project: Path
) -> None:
    provider = f"azureml:/{add_workspace(azure).id}"
    (project / "pf.yaml").write_text(f"connection:\n  provider: {provider}\n", "utf-8")
    target = "https://x.openai.azure.com"
    add_connection(
        azure, "my_aoai", "AzureOpenAI", target=target, credentials={"key": KEY}, ApiVersion="2024-10-21"
    )

    done = headrace(azure, project, "flow", "test", "--flow", "flow")
    assert (done.returncode, json.loads(done.stdout)["answer"]) == (0, "hi"), done.stderr
    assert service.let_in == ["key"]
    listed = headrace(azure, project, "connection", "list", "-o", "table")
    assert "workspace ws" in listed.stdout
    shown = json.loads(headrace(azure, project, "connection", "show", "--name", "my_aoai").stdout)
    assert (shown["api_base"], shown["api_key"], shown["origin"]) == (target, "******", "workspace ws")
    unset = headrace(azure, project, "flow", "test", "--flow", "flow", PF_CONNECTION_PROVIDER="local")
    assert (unset.returncode, "C501" in unset.stderr) == (3, True)

    written = [path.read_bytes() for path in project.rglob("*") if path.is_file()]
    assert not [content for content in written if KEY.encode() in content]
    assert KEY not in done.stdout + done.stderr + listed.stdout


def test_a_connection_without_a_key_calls_with_our_identity(
    azure: StandIn, service: Service, project: Path
) -> None:
    target = "https://x.openai.azure.com"
    add_connection(azure, "my_aoai", "AzureOpenAI", target=target, auth_type="AAD")
    provider = f"azureml:/{add_workspace(azure).id}"
    done = headrace(azure, project, "flow", "test", "--flow", "flow", PF_CONNECTION_PROVIDER=provider)
    assert done.returncode == 0, done.stderr
    assert service.let_in == [azure.client.client_id]


def test_a_key_comes_from_a_vault(azure: StandIn, service: Service, project: Path) -> None:
    azure.vaults.add("kv", "aoai", KEY)
    folder = project / ".headrace" / "connections"
    folder.mkdir(parents=True)
    text = (
        "type: azure_open_ai\napi_base: https://x.openai.azure.com\n"
        "api_key: ${keyvault:https://kv.vault.azure.net/secrets/aoai}\n"
    )
    (folder / "my_aoai.yaml").write_text(text, "utf-8")
    done = headrace(azure, project, "flow", "test", "--flow", "flow")
    assert done.returncode == 0, done.stderr
    assert service.let_in == ["key"]

    azure.access.deny(scope="/kv.vault.azure.net")
    refused = headrace(azure, project, "flow", "test", "--flow", "flow")
    assert refused.returncode == 4
    assert "P714" in refused.stderr
    assert "Key Vault Secrets User" in refused.stderr


def test_without_a_way_to_sign_in_all_that_was_tried_is_said(azure: StandIn, project: Path) -> None:
    provider = f"azureml:/{add_workspace(azure).id}"
    refused = headrace(
        azure, project, "connection", "list", PF_CONNECTION_PROVIDER=provider, AZURE_CLIENT_SECRET="wrong"
    )
    assert refused.returncode == 4
    assert [item["name"] for item in json.loads(refused.stdout)] == ["baseline"]
    assert "X201" in refused.stderr
    assert "AADSTS7000215" in refused.stderr
    assert "DefaultAzureCredential failed" not in refused.stderr


def test_a_model_that_is_called_by_identity_says_what_was_tried(
    azure: StandIn, service: Service, project: Path
) -> None:
    folder = project / ".headrace" / "connections"
    folder.mkdir(parents=True)
    (folder / "my_aoai.yaml").write_text(
        "type: azure_open_ai\napi_base: https://x.openai.azure.com\n", "utf-8"
    )
    refused = headrace(azure, project, "flow", "test", "--flow", "flow", AZURE_CLIENT_SECRET="wrong")
    assert refused.returncode == 4
    assert "P701" in refused.stderr
    assert "AADSTS7000215" in refused.stderr
    assert "AZURE_CLIENT_SECRET" in refused.stderr
    assert service.let_in == []


PROGRAM = """
import sys
from headrace.sdk.client import PFClient
client = PFClient(config={"connection.provider": sys.argv[1]})
run = client.run(flow="flow", data="data.jsonl", column_mapping={"q": "${data.q}"})
print(run.status, client.connections.get("my_aoai").api_base)
"""


def test_a_provider_that_code_gives_is_known_to_worker_processes(
    azure: StandIn, service: Service, project: Path
) -> None:
    target = "https://x.openai.azure.com"
    add_connection(azure, "my_aoai", "AzureOpenAI", target=target, credentials={"key": KEY})
    (project / "data.jsonl").write_text('{"q": "a"}\n{"q": "b"}\n', "utf-8")
    provider = f"azureml:/{add_workspace(azure).id}"
    done = call(azure, project, ["-c", PROGRAM, provider], HEADRACE_WORKERS="1")
    assert done.stdout.split() == ["Completed", target], done.stderr
    assert service.let_in == ["key", "key"]
