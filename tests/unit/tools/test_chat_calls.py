"""Tool calls in chat prompts: where we go further than prompt flow, and what is refused with which words."""

from __future__ import annotations

import pytest

from headrace.errors import NodeError
from headrace.tools.chat import parse_chat, parse_tool_calls


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("[{'id': 'a', 'args': [1, [2]]}] tail", [{"id": "a", "args": [1, [2]]}]),
        ('[{"ok": true, "none": null}]', [{"ok": True, "none": None}]),
        ("[{'text': 'a ] b \\' ]'}]", [{"text": "a ] b ' ]"}]),
        ("[__import__('os')]", None),
        ("[" * 500_000 + "]" * 500_000, None),
        ("[1, 2", None),
    ],
)
def test_tool_calls_are_read_as_literals(text: str, calls: object) -> None:
    assert parse_tool_calls(f"tool_calls:\n{text}") == calls


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ("user: hello\n", "text on the role line itself"),
        ("## user:\nhello", "belongs to no role"),
        ("user:", "no line end"),
        ("hello", "belongs to no role"),
        ("tool:\nhello", "no tool_call_id"),
        ("function:\nhello", "no name"),
    ],
)
def test_problems_say_what_is_wrong_and_what_to_do(prompt: str, words: str) -> None:
    with pytest.raises(NodeError) as caught:
        parse_chat(prompt)
    (problem,) = caught.value.problems
    assert problem.code == "E605"
    assert words in problem.what
    assert problem.fix
