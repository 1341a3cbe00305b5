"""The lean adapter sends what the `openai` package sends when it is used as its documentation says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from tests.support.model_server import ModelServer, Request

from headrace.config import load_settings
from headrace.domain.connection import Connection, Secret
from headrace.providers.base import ModelRequest
from headrace.providers.registry import open_client

KEY = "a-key"
MESSAGES: list[Any] = [
    {"role": "system", "content": "Sé breve. \u2713"},
    {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "data:x"}}]},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
]  # fmt: skip
TOOLS: list[Any] = [
    {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
]


@dataclass(frozen=True)
class Case:
    operation: str
    body: dict[str, Any]
    call: Callable[[Any, dict[str, Any]], Awaitable[object]]


CASES = {
    "chat": Case(
        "chat",
        {
            "messages": MESSAGES, "temperature": 0.0, "top_p": 1.0, "n": 1, "stream": False, "max_tokens": 200,
            "stop": ["\n"], "seed": 7, "presence_penalty": 0.5, "logit_bias": {"50256": -100}, "user": "u",
            "tools": TOOLS, "tool_choice": "auto", "response_format": {"type": "json_object"},
        },
        lambda client, body: client.chat.completions.create(**body),
    ),
    "completion": Case(
        "completion",
        {"prompt": "Once", "max_tokens": 16, "temperature": 1.0, "logprobs": None, "echo": False, "best_of": 1},
        lambda client, body: client.completions.create(**body),
    ),
    "embeddings": Case(
        "embeddings",
        {"input": ["a", "b"], "encoding_format": "float", "dimensions": 8},
        lambda client, body: client.embeddings.create(**body),
    ),
}  # fmt: skip


def azure_client(server: ModelServer) -> openai.AsyncOpenAI:
    return openai.AsyncAzureOpenAI(azure_endpoint=server.url + "/", api_version="2024-10-21", api_key=KEY)


def azure_v1_client(server: ModelServer) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{server.url}/openai/v1/", api_key=KEY)


def openai_client(server: ModelServer) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=server.base_url, api_key=KEY, organization="org-1")


def connection(kind: str, **configs: str) -> Connection:
    return Connection(name="c", type=kind, configs=configs, secrets={"api_key": Secret(value=KEY)})


SERVICES: dict[
    str, tuple[Callable[[ModelServer], openai.AsyncOpenAI], Callable[[ModelServer], Connection]]
] = {
    "openai": (
        openai_client,
        lambda server: connection("open_ai", base_url=server.base_url, organization="org-1"),
    ),
    "azure": (
        azure_client,
        lambda server: connection("azure_open_ai", api_base=server.url + "/", api_version="2024-10-21"),
    ),
    "azure v1": (
        azure_v1_client,
        lambda server: connection("azure_open_ai", api_base=f"{server.url}/openai/v1/"),
    ),
}


def relevant(request: Request) -> dict[str, Any]:
    names = ("authorization", "api-key", "content-type", "accept", "openai-organization")
    return {
        "method": request.method,
        "path": request.path,
        "query": dict(request.query),
        "body": request.body,
        "headers": {name: request.headers[name] for name in names if name in request.headers},
    }


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("name", CASES)
def test_requests_are_the_same(name: str, service: str) -> None:
    case, (make_package_client, make_connection) = CASES[name], SERVICES[service]

    async def session(server: ModelServer) -> None:
        async with make_package_client(server) as package:
            await case.call(package, {**case.body, "model": "my model"})
        made = make_connection(server)
        client = open_client(made, lambda found, field: found.secrets[field].value, load_settings({}))
        await client.send(ModelRequest(operation=case.operation, model="my model", body=case.body))
        await client.close()

    with ModelServer() as server:
        asyncio.run(session(server))
    theirs, ours = server.requests
    assert relevant(ours) == relevant(theirs)


@pytest.mark.parametrize("service", SERVICES)
def test_requests_for_streams_are_the_same(service: str) -> None:
    make_package_client, make_connection = SERVICES[service]
    body = {"messages": MESSAGES, "temperature": 0.0, "stream_options": {"include_usage": True}}

    async def session(server: ModelServer) -> tuple[str, str]:
        async with make_package_client(server) as package:
            events = await package.chat.completions.create(**body, model="my model", stream=True)
            theirs = "".join(
                [event.choices[0].delta.content or "" async for event in events if event.choices]
            )
        made = make_connection(server)
        client = open_client(made, lambda found, field: found.secrets[field].value, load_settings({}))
        request = ModelRequest(operation="chat", model="my model", body=body)
        ours = "".join([chunk.text async for chunk in client.stream(request)])
        await client.close()
        return theirs, ours

    with ModelServer() as server:
        theirs, ours = asyncio.run(session(server))
    assert ours == theirs
    first, second = server.requests
    assert relevant(second) == relevant(first)
