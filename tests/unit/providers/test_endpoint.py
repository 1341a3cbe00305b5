"""Addresses of connections, and which proxy leads there."""

from __future__ import annotations

import pytest

from headrace.domain.connection import Connection
from headrace.errors import DefinitionError
from headrace.providers.endpoint import make_endpoint
from headrace.providers.proxies import find_proxy


def connection(kind: str, **configs: str) -> Connection:
    return Connection(name="mine", type=kind, configs=configs, origin="mine.yaml")


@pytest.mark.parametrize(
    ("made", "operation", "expected"),
    [
        (connection("open_ai"), "chat", "https://api.openai.com/v1/chat/completions"),
        (connection("open_ai", base_url="http://h:1/v1/"), "completion", "http://h:1/v1/completions"),
        (connection("serverless", api_base="https://h/"), "embeddings", "https://h/v1/embeddings"),
        (
            connection("azure_open_ai", api_base="https://r.openai.azure.com/", api_version="2024-10-21"),
            "chat",
            "https://r.openai.azure.com/openai/deployments/gpt%204o%2Fx/chat/completions?api-version=2024-10-21",
        ),
        (
            connection("azure_open_ai", api_base="https://r.openai.azure.com/openai/v1/"),
            "chat",
            "https://r.openai.azure.com/openai/v1/chat/completions",
        ),
        (
            connection("azure_open_ai", api_base="https://r.openai.azure.com//openai/v1"),
            "chat",
            "https://r.openai.azure.com/openai/v1/chat/completions",
        ),
    ],
)
def test_url(made: Connection, operation: str, expected: str) -> None:
    assert make_endpoint(made).url(operation, "gpt 4o/x") == expected


def test_host_is_shown_with_a_port_that_is_not_the_usual_one() -> None:
    hosts = [
        make_endpoint(connection("open_ai", base_url=url)).host
        for url in ("https://h/v1", "https://h:444/v1", "http://h:80/v1", "http://h:8080")
    ]
    assert hosts == ["h", "h:444", "h", "h:8080"]


@pytest.mark.parametrize(
    "base_url",
    ["h/v1", "ftp://h", "https://", "http://h:port/v1", "https://u:p@h/v1", "https://h/v1?x=1", "http://[::"],
)
def test_address_that_is_none(base_url: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        make_endpoint(connection("open_ai", base_url=base_url))
    (problem,) = caught.value.problems
    assert (problem.code, "base_url" in problem.what, "mine.yaml" in (problem.fix or "")) == (
        "C502",
        True,
        True,
    )
    assert "u:p" not in problem.what


def test_connection_that_is_no_model_service() -> None:
    with pytest.raises(DefinitionError) as caught:
        make_endpoint(connection("serp"))
    assert caught.value.problems[0].code == "C504"


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("https://h/v1", {}, None),
        ("https://h/v1", {"HTTPS_PROXY": "http://p:3128"}, "http://p:3128"),
        ("http://h/v1", {"HTTPS_PROXY": "http://p:3128"}, None),
        ("https://h/v1", {"https_proxy": "p:1", "HTTPS_PROXY": "p:2"}, "http://p:1"),
        ("https://h/v1", {"ALL_PROXY": "http://p"}, "http://p"),
        ("https://a.h.de/v1", {"HTTPS_PROXY": "http://p", "NO_PROXY": "x, .h.de"}, None),
        ("https://h.de/v1", {"HTTPS_PROXY": "http://p", "NO_PROXY": "h.de"}, None),
        ("https://oh.de/v1", {"HTTPS_PROXY": "http://p", "NO_PROXY": "h.de"}, "http://p"),
        ("https://h.de:8443/v1", {"HTTPS_PROXY": "http://p", "NO_PROXY": "h.de:8443"}, None),
        ("https://h.de:8444/v1", {"HTTPS_PROXY": "http://p", "NO_PROXY": "h.de:8443"}, "http://p"),
        ("https://h/v1", {"HTTPS_PROXY": "http://p", "NO_PROXY": "*"}, None),
        ("http://127.0.0.1:1/v1", {"HTTP_PROXY": "http://p"}, None),
        ("http://localhost:1/v1", {"HTTP_PROXY": "http://p"}, None),
        ("http://[::1]:1/v1", {"HTTP_PROXY": "http://p"}, None),
    ],
)
def test_proxy(url: str, environment: dict[str, str], expected: str | None) -> None:
    assert find_proxy(url, environment) == expected
