"""Cutting a rendered prompt into chat messages (promptflow-format: 4.2).

A line ``system:``, ``user:``, ``assistant:``, ``function:`` or ``tool:`` opens a message. The patterns
accept what prompt flow's accept, written so that no text makes them slow.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Collection
from typing import Any

from headrace.errors import NodeError, Problem
from headrace.tools.escape import ROLES, restore

Message = dict[str, Any]
"""One chat message as the services take it."""

_ROLE_LINE = re.compile(
    rf"^[^\S\n]*+(?:\#\s*+)?({'|'.join(ROLES)})\s*+:[^\S\n]*+\n", re.IGNORECASE | re.MULTILINE
)
_ROLE_WITH_TEXT = re.compile(rf"^[^\S\n]*+#*\s*({'|'.join(ROLES)})\s*+:[^\S\n]*+\S", re.IGNORECASE)
_ROLE_AT_END = re.compile(rf"^[^\S\n]*+#?\s*({'|'.join(ROLES)})\s*+:\s*\Z", re.IGNORECASE)
_CONTENT = r"\s*:(?=[^\S\n]*\n)\s*+(\S+)\s*+(?:\#{1,2}\s*+)?content\s*:\s*+(.*)"
_NAME = re.compile("name" + _CONTENT, re.DOTALL)
_TOOL_CALL_ID = re.compile("tool_call_id" + _CONTENT, re.DOTALL)
_TOOL_CALLS = re.compile(r"tool_calls\s*:(?=[^\S\n]*\n)\s*+(?=\[)")

_MAX_NESTING = 60
"""Python 3.11 parses no Python any more in a process in which one literal was nested too deeply."""
_LITERAL_ERRORS = (ValueError, SyntaxError, TypeError, MemoryError, RecursionError)


def parse_chat(text: str, marks: Collection[str] = (), *, is_call_last: bool = False) -> list[Message]:
    """Cut a rendered prompt into messages; no text at all gives no messages.

    Args:
        text: The rendered prompt.
        marks: Marks of :func:`headrace.tools.escape.escape_values`; removed from the messages.
        is_call_last: A list of tool calls that text follows is text itself, as in prompties; else that text is dropped.

    Raises:
        NodeError: E605 when text stands before the first role line, or when a function or tool message
            lacks its name or id.
    """
    chunks = _ROLE_LINE.split(text)
    if chunks[0].strip():
        raise NodeError(_no_role(chunks[0]))
    messages: list[Message] = []
    for role, chunk in zip(chunks[1::2], chunks[2::2], strict=True):
        message = _parse_message(role.lower(), chunk, is_call_last=is_call_last)
        messages.append(restore(message, marks) if marks else message)
    return messages


def _parse_message(role: str, chunk: str, *, is_call_last: bool) -> Message:
    if role == "tool":
        found = _TOOL_CALL_ID.search(chunk)
        if found is None:
            raise NodeError(_bad_message(role, "tool_call_id"))
        return {"role": role, "tool_call_id": found.group(1), "content": found.group(2).strip()}
    if role == "assistant":
        calls = parse_tool_calls(chunk, is_last=is_call_last)
        if calls is not None:
            return {"role": role, "tool_calls": calls}
    found = _NAME.search(chunk)
    if found is not None:
        return {"role": role, "name": found.group(1), "content": found.group(2).strip()}
    if role == "function":
        raise NodeError(_bad_message(role, "name"))
    return {"role": role, "content": chunk.strip()}


def parse_tool_calls(chunk: str, *, is_last: bool = False) -> list[Any] | None:
    """The list after a line ``tool_calls:``, written as Python or JSON literal; ``None`` when there is none.

    Text around it is dropped, as prompt flow does; unlike there, the list may hold lists itself. With ``is_last`` a
    list that text follows is none.
    """
    found = _TOOL_CALLS.search(chunk)
    if found is None:
        return None
    text = chunk[found.end() :]
    end = _list_end(text)
    if end is None or (is_last and text[end:].strip()) or _nesting(text[:end]) > _MAX_NESTING:
        return None
    readers: tuple[Callable[[str], Any], ...] = (ast.literal_eval, json.loads)
    for read in readers:
        try:
            calls = read(text[:end])
        except _LITERAL_ERRORS:
            continue
        return calls if isinstance(calls, list) else None
    return None


def _nesting(text: str) -> int:
    """How deep brackets stand in each other at most; brackets in quotes count as well."""
    depth = deepest = 0
    for char in text:
        depth += (char in "[{(") - (char in "]})")
        deepest = max(deepest, depth)
    return deepest


def _list_end(text: str) -> int | None:
    """Where the list that ``text`` begins with ends; brackets inside quotes do not count."""
    depth = 0
    quote = ""
    is_escaped = False
    for index, char in enumerate(text):
        if quote:
            if is_escaped:
                is_escaped = False
            elif char == "\\":
                is_escaped = True
            elif char == quote:
                quote = ""
        elif char in "'\"":
            quote = char
        elif char == "[":
            depth += 1
        elif char == "]":
            depth -= 1
            if depth == 0:
                return index + 1
    return None


def _no_role(before: str) -> Problem:
    first = before.strip().splitlines()[0]
    if match := _ROLE_AT_END.match(before.strip()):
        what = (
            f"The chat prompt ends right after a role line ({match.group(1).lower()}:) that has no line end."
        )
        fix = "End the role line with a newline."
    elif match := _ROLE_WITH_TEXT.match(first):
        what = f"The chat prompt begins with text on the role line itself ({match.group(1).lower()}: …)."
        fix = (
            "Put the role on a line of its own and the text on the next line; at most one # before the role."
        )
    else:
        what = "The chat prompt begins with text that belongs to no role."
        fix = 'Begin the template with a line "system:" or "user:", or set api: completion on the node.'
    return Problem(code="E605", what=what, fix=fix)


def _bad_message(role: str, field: str) -> Problem:
    return Problem(
        code="E605",
        what=f"A {role} message of the chat prompt has no {field}.",
        fix=f'After "{role}:" write "{field}:", the {field} on a line of its own, "content:", and the text.',
    )
