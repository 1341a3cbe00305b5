"""The pages of served flows as they are sent; tests/browser/test_flow_page.py uses them."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.support.endpoint import Endpoint, serving

from headrace.domain.access import AccessRules, known_key

FLOW = """\
inputs:
  secret_name: {type: string, default: "</textarea><script>alert(1)</script>", description: "<b>bold</b>"}
  n: {type: int}
  ok: {type: bool, default: true}
  more: {type: object, default: {"x": "</script>"}}
outputs: {r: {type: string, reference: "${inputs.secret_name}"}}
nodes: []
"""
CHAT = """\
inputs:
  question: {type: list, is_chat_input: true}
  chat_history: {type: list, default: []}
outputs: {answer: {type: list, reference: "${inputs.question}", is_chat_output: true}}
nodes: []
"""
FILES = {"flows/a_b/flow.dag.yaml": FLOW, "flows/chat/flow.dag.yaml": CHAT, "flows/chat/samples.json": "[{}]"}
FILES["flows/a_b/samples.json"] = '[{"n": 7}]'
KEY = "k" * 24


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="flow">(.*?)</script>', page)
    assert found
    return json.loads(found[1])


def open_page(endpoint: Endpoint, path: str) -> str:
    answer = endpoint.ask("GET", path)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    return answer.text


def test_pages_of_flows(tmp_path: Path) -> None:
    with serving(tmp_path, FILES, ["flows"]) as endpoint:
        page = open_page(endpoint, "/a_b/")
        chat = open_page(endpoint, "/chat/")
        root = endpoint.ask("GET", "/")
        again = endpoint.ask("GET", "/")
        moved = endpoint.ask("GET", "/chat")
        head = endpoint.ask("HEAD", "/chat/")
    assert "<script>alert" not in page
    assert "<b>bold" not in page
    assert html.escape("</textarea><script>alert(1)</script>") in page
    assert 'value="7"' in page
    assert re.search(r'type="checkbox" [^>]*checked', page)
    data = data_of(page)
    assert ([item["name"] for item in data["inputs"]], data["chat"]) == (
        ["secret_name", "n", "ok", "more"],
        None,
    )
    assert data_of(chat)["chat"] == {
        "message": "question",
        "history": "chat_history",
        "answer": "answer",
        "isList": True,
        "hasRoles": False,
    }
    assert 'id="pictures"' in chat
    for label in re.findall('<label for="([^"]+)"', page + chat):
        assert f'id="{label}"' in page + chat
    assert '<a href="chat/">' in root.text
    assert (moved.status, moved.headers["location"], head.text) == (307, "chat/", "")
    policy = root.headers["content-security-policy"]
    nonces = set(re.findall(r"nonce-([\w-]{16,})", policy))
    assert len(nonces) == 1
    assert set(re.findall(r'nonce="([^"]+)"', root.text)) == nonces
    assert policy != again.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert not re.search(r"https?://(?!127)", page)


def test_a_page_without_its_key_holds_nothing_of_the_flow(tmp_path: Path) -> None:
    rules = AccessRules(keys=(known_key(KEY, "me"),))
    with serving(tmp_path, FILES, ["flows"], access=rules) as endpoint:
        for path in ("/", "/chat/"):
            page = open_page(endpoint, path)
            assert "chat_history" not in page.partition("<main")[2].partition("</main>")[0]
            assert 'id="key"' in page
            assert endpoint.ask("GET", f"{path}form").status == 401
        form = endpoint.ask("GET", "/chat/form", headers={"authorization": f"Bearer {KEY}"})
        assert data_of(form.text)["name"] == "chat"
        assert "chat/" in endpoint.ask("GET", "/form", headers={"authorization": f"Bearer {KEY}"}).text


@pytest.mark.parametrize("path", ["/form", "/chat/form"])
def test_parts_of_pages_are_only_where_a_key_is_asked_for(tmp_path: Path, path: str) -> None:
    with serving(tmp_path, FILES, ["flows"]) as endpoint:
        assert endpoint.ask("GET", path).status == 404
