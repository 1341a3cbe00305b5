from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_server import ModelServer, answer, error
from tests.support.tool_nodes import call, make_context, python_node

from headrace.compat import model_functions, sdk_clients, templates
from headrace.compat.exceptions import ErrorTarget, PromptflowException, UserErrorException
from headrace.domain.span import SpanRecord
from headrace.errors import AccessDeniedError, NodeError
from headrace.providers.fake import FakeModelClient, FakeReply
from headrace.tools.connection_types import (
    AzureOpenAIConnection,
    OpenAIConnection,
    SerpConnection,
    ServerlessConnection,
)
from headrace.tools.model_configuration import AzureOpenAIModelConfiguration, OpenAIModelConfiguration

CODE = """
from promptflow.core import tool
from promptflow.connections import AzureOpenAIConnection
from promptflow.tools.aoai import AzureOpenAI, chat
from promptflow.tools.embedding import embedding
from promptflow.tracing import trace

@trace
def ask(connection, **more):
    return chat(connection, "system:\\nS\\nuser:\\n{{ q }}", "gpt", q="why", temperature=0, **more)

@tool
def f(connection: AzureOpenAIConnection):
    return ask(connection), embedding(connection, "text", "ada"), AzureOpenAI(connection).completion("{{ q }}", "old", q="x"), list(ask(connection, stream=True))
"""


@pytest.mark.usefixtures("served_names")
def test_a_tool_in_a_thread_uses_the_runs_client_spans_and_tokens(tmp_path: Path) -> None:
    tool = python_node(tmp_path, CODE, {"connection": "azure"})
    client = FakeModelClient(default=FakeReply(text="hi there", vector=(1.0,), usage=(3, 2)))
    spans: list[SpanRecord] = []

    async def run() -> Any:
        context = make_context(client, spans=spans)
        return await call(tool, {"connection": "azure"}, context), context.usage

    result, usage = asyncio.run(run())
    assert result == ("hi there", [1.0], "hi there", ["hi", " there"])
    assert [request.operation for request in client.requests] == ["chat", "embeddings", "completion", "chat"]
    assert client.requests[0].body["messages"][1] == {"role": "user", "content": "why"}
    assert client.requests[0].body["temperature"] == 0
    assert usage.calls == 4
    chat, traced = spans[0], spans[1]
    assert (chat.name, traced.name) == ("chat gpt", "ask")
    assert chat.parent_id == traced.span_id


@pytest.mark.usefixtures("served_names")
def test_an_asynchronous_tool_may_call_them_too(tmp_path: Path) -> None:
    with ModelServer(default=answer("hi")) as server:
        code = (
            "from promptflow.core import tool\nfrom promptflow.connections import OpenAIConnection\n"
            "from promptflow.tools.openai import chat\n@tool\nasync def f(url: str):\n"
            "    return chat(OpenAIConnection(api_key='k', base_url=url), 'user:\\n{{ q }}', model='m', q='x')"
        )
        tool = python_node(tmp_path, code)

        async def run() -> Any:
            context = make_context(FakeModelClient())
            return await call(tool, {"url": server.base_url}, context), context.usage

        result, usage = asyncio.run(run())
    assert result == "hi"
    assert usage.calls == 1
    assert server.requests[0].headers["authorization"] == "Bearer k"
    assert server.requests[0].body["messages"] == [{"role": "user", "content": "x"}]


def test_a_script_without_a_run() -> None:
    with ModelServer([answer("one"), error(401, "invalid_api_key")], default=answer("two")) as server:
        connection = OpenAIConnection(api_key="k", base_url=server.base_url)
        assert model_functions.OpenAI(connection).chat("user:\nhi", model="m") == "one"
        with pytest.raises(AccessDeniedError):
            model_functions.openai_chat(connection, "user:\nhi", "m")
        azure = AzureOpenAIConnection(api_base=server.url, api_key="k")
        assert model_functions.azure_chat(azure, "user:\nhi", "gpt") == "two"
    assert server.requests[-1].path == "/openai/deployments/gpt/chat/completions"


def test_the_wrong_connection_is_refused() -> None:
    with pytest.raises(TypeError, match="SerpConnection"):
        model_functions.openai_chat(SerpConnection(api_key="k"), "user:\nhi")
    with pytest.raises(TypeError, match="SerpConnection"):
        model_functions.embedding(SerpConnection(api_key="k"), "text")


def test_configurations_take_a_connection_or_settings() -> None:
    azure = AzureOpenAIConnection(api_base="https://host", api_key="k")
    made = AzureOpenAIModelConfiguration.from_connection(azure, "gpt")
    assert (made.azure_endpoint, made.api_key, made.azure_deployment) == ("https://host", "k", "gpt")
    openai = OpenAIModelConfiguration.from_connection(
        OpenAIConnection(api_key="k", base_url="https://host"), "m"
    )
    assert (openai.base_url, openai.model) == ("https://host", "m")
    with pytest.raises(UserErrorException, match="not both"):
        OpenAIModelConfiguration(model="m", api_key="k", connection="c")


def test_sdk_clients_get_what_the_connection_says() -> None:
    azure = sdk_clients.init_azure_openai_client(AzureOpenAIConnection(api_base="https://host", api_key="k"))
    assert str(azure.base_url).startswith("https://host/openai")
    openai = sdk_clients.init_openai_client(ServerlessConnection(api_key="k", api_base="https://host"))
    assert str(openai.base_url) == "https://host/v1/"
    config = sdk_clients.normalize_connection_config(AzureOpenAIConnection(api_base="https://host"))
    assert callable(config["azure_ad_token_provider"])
    assert sdk_clients.normalize_connection_config(OpenAIConnection(api_key="k"))["base_url"] is None
    with pytest.raises(TypeError):
        sdk_clients.normalize_connection_config(SerpConnection(api_key="k"))


def test_templates_under_their_served_names() -> None:
    assert templates.render_jinja_template("a {{ b }}\n", b=1) == "a 1\n"
    assert templates.parse_chat("user:\nhi", valid_roles=None) == [{"role": "user", "content": "hi"}]
    with pytest.raises(NodeError):
        templates.parse_chat("hi")


def test_exceptions_carry_message_target_and_cause() -> None:
    cause = KeyError("k")
    failure = UserErrorException(
        message_format="no {what}", what="luck", target=ErrorTarget.TOOL, error=cause
    )
    assert (str(failure), failure.message, failure.target, failure.inner_exception) == (
        "no luck",
        "no luck",
        "Tool",
        cause,
    )
    assert str(PromptflowException()) == "PromptflowException"
