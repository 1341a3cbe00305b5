"""SerpAPI and content safety as functions and as nodes, on loopback. Expectations were observed at stock's tools."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.support.tool_nodes import MemoryConnections, call_once, connection, load_node
from tests.support.web_server import WebServer, web_server

from headrace.compat import content_safety, serpapi
from headrace.compat.exception_families import exception_family
from headrace.compat.exceptions import SystemErrorException, UserErrorException
from headrace.tools.connection_types import AzureContentSafetyConnection, SerpConnection

pytestmark = pytest.mark.usefixtures("served_names")
GRADES = {"Hate": 0, "SelfHarm": 2, "Sexual": 4, "Violence": 6}
ANALYSIS = json.dumps({"categoriesAnalysis": [{"category": k, "severity": v} for k, v in GRADES.items()]})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    with web_server() as running:
        monkeypatch.setattr(serpapi, "ADDRESS", running.url + "/search")
        yield running


def query(server: WebServer) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(server.asked[-1].path).query).items()}


SERP = SerpConnection(api_key="KEY")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({}, {"engine": "google", "num": "10"}),
        ({"safe": "active", "num": 5}, {"engine": "google", "safe": "Active", "num": "5"}),
        (
            {"safe": serpapi.SafeMode.ACTIVE, "engine": serpapi.Engine.BING, "location": "Rome"},
            {"engine": "bing", "safeSearch": "Strict", "count": "10", "location": "Rome"},
        ),
        ({"engine": "bing", "safe": "off"}, {"engine": "bing", "count": "10"}),
    ],
)
def test_a_search_asks_in_the_words_of_its_engine(
    server: WebServer, given: dict[str, Any], sent: dict[str, str]
) -> None:
    server.answers = [(200, '{"organic_results": [1]}')]
    assert serpapi.search(SERP, "cats", **given) == {"organic_results": [1]}
    assert query(server) == {"q": "cats", "api_key": "KEY", "source": "python", **sent}
    assert serpapi.SerpAPI(SERP).search("cats", **given) == {"organic_results": [1]}


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        ((401, '{"error": "Invalid API key"}'), UserErrorException, "Invalid API key"),
        ((404, '{"other": 1}'), UserErrorException, "HTTP status 404"),
        ((500, "oops"), SystemErrorException, "HTTP status 500"),
        ((200, "no json"), SystemErrorException, "no JSON result"),
    ],
)
def test_a_failed_search_says_whose_fault_it_is(
    server: WebServer, answer: tuple[int, str], kind: type[Exception], message: str
) -> None:
    server.answers = [answer]
    with pytest.raises(kind, match=message) as caught:
        serpapi.search(SERP, "cats")
    assert type(caught.value).__module__ == "promptflow.tools.exception"


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serpapi, "ADDRESS", "http://127.0.0.1:9/")
    kind = exception_family("promptflow.tools.exception")["SerpAPISystemError"]
    with pytest.raises(kind, match="refused"):
        serpapi.search(SERP, "cats")


def safety(url: str, **more: str) -> AzureContentSafetyConnection:
    return AzureContentSafetyConnection(api_key="KEY", endpoint=url, **more)


@pytest.mark.parametrize(
    ("sensitivity", "rejected"),
    [
        ("medium_sensitivity", ["Sexual", "Violence"]),
        ("low_sensitivity", ["Violence"]),
        ("high_sensitivity", ["SelfHarm", "Sexual", "Violence"]),
        ("disable", []),
    ],
)
def test_a_category_is_rejected_from_its_severity_on(
    server: WebServer, sensitivity: str, rejected: list[str]
) -> None:
    server.answers = [(200, ANALYSIS)]
    word = content_safety.TextCategorySensitivity(sensitivity)
    result = content_safety.analyze_text(safety(server.url + "/"), "text", word, word, word, word)
    actions = {name: "Reject" if name in rejected else "Accept" for name in GRADES}
    assert result == {
        "suggested_action": "Reject" if rejected else "Accept",
        "action_by_category": actions,
    }
    asked = server.asked[-1]
    assert urlsplit(asked.path).path.endswith("/contentsafety/text:analyze")
    assert query(server) == {"api-version": "2023-10-01"}
    assert asked.headers["ocp-apim-subscription-key"] == "KEY"
    assert json.loads(asked.body) == {"text": "text", "blocklistNames": []}


def test_the_answer_of_the_older_interface(server: WebServer) -> None:
    server.answers = [
        (
            200,
            json.dumps({f"{name[0].lower()}{name[1:]}Result": {"severity": n} for name, n in GRADES.items()}),
        )
    ]
    result = content_safety.analyze_text(safety(server.url, api_version="2023-04-30-preview"), "text")
    assert result["action_by_category"]["Sexual"] == "Reject"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((401, '{"error": {"message": "denied"}}'), "Error in detecting content: denied"),
        ((500, "x"), "the answer is not JSON"),
        ((503, "[]"), "HTTP status 503"),
        ((200, '{"categoriesAnalysis": []}'), "says nothing about Hate"),
    ],
)
def test_a_check_that_fails(server: WebServer, answer: tuple[int, str], message: str) -> None:
    server.answers = [answer]
    with pytest.raises(SystemErrorException, match=message):
        content_safety.analyze_text(safety(server.url), "text")


def test_a_sensitivity_that_does_not_exist_is_refused_before_asking(server: WebServer) -> None:
    with pytest.raises(UserErrorException, match="sensitivity for Hate must be one of"):
        content_safety.analyze_text(safety(server.url), "text", "some")  # type: ignore[arg-type]
    assert server.asked == []


@pytest.mark.parametrize(
    "tool_id",
    [
        "promptflow.tools.azure_content_safety.analyze_text",
        "content_safety_text.tools.content_safety_text_tool.analyze_text",
    ],
)
def test_content_safety_as_a_node(server: WebServer, tool_id: str, tmp_path: Path) -> None:
    server.answers = [(200, ANALYSIS)]
    known = MemoryConnections(
        connection(
            "safe", "azure_content_safety", {"api_key": "K"}, endpoint=server.url, api_version="2023-10-01"
        )
    )
    node = {
        "type": "python",
        "source": {"type": "package", "tool": tool_id},
        "inputs": {"connection": "safe"},
    }
    given = {"text": "t", "hate_category": "high_sensitivity"}
    assert call_once(load_node(tmp_path, {}, node, known), given)["suggested_action"] == "Reject"


def test_a_search_as_a_node(server: WebServer, tmp_path: Path) -> None:
    known = MemoryConnections(connection("serp", "serp", {"api_key": "K"}))
    node = {
        "type": "python",
        "source": {"type": "package", "tool": "promptflow.tools.serpapi.SerpAPI.search"},
        "inputs": {"connection": "serp"},
    }
    search = load_node(tmp_path, {}, node, known)
    assert {item.name: item.types for item in search.spec.parameters}["num"] == ("int",)
    assert call_once(search, {"query": "cats", "num": 3, "engine": "google", "safe": "off"}) == {}
    assert query(server) == {"q": "cats", "api_key": "K", "engine": "google", "num": "3", "source": "python"}
