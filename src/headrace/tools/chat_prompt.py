"""A template and a node's values become chat messages, or the text of a completion."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from headrace.errors import NodeError, at_place
from headrace.formats.template import Template
from headrace.tools.chat import Message, parse_chat
from headrace.tools.escape import escape_values
from headrace.tools.model_parameters import AZURE


class ChatList(list[Any]):
    """A list that prints as its items on lines of their own, as prompt flow's Azure tools print lists."""

    def __str__(self) -> str:
        return "\n".join(map(str, self))


def make_messages(
    template: Template,
    values: Mapping[str, Any],
    *,
    family: str,
    inputs_to_escape: Collection[str],
    marks: frozenset[str] = frozenset(),
    parse: Callable[[str, Collection[str]], list[Message]] = parse_chat,
) -> list[Message]:
    """Render a chat prompt and cut it into messages.

    Args:
        template: The prompt.
        values: What it gets.
        family: Azure's tools print lists line by line, the others as Python does.
        inputs_to_escape: Values that come straight from flow inputs and may not open a message.
        marks: Marks that the template itself holds, because it is a rendered prompt.
        parse: Cuts the rendered text.

    Raises:
        NodeError: E602 when rendering fails, E605 when the text has no roles.
    """
    if family == AZURE:
        values = {name: _as_chat_list(value) for name, value in values.items()}
    escaped = escape_values(values, inputs_to_escape)
    text = template.render(escaped.values)
    try:
        return parse(text, escaped.marks | marks)
    except NodeError as error:
        raise at_place(error, template.start) from error


def _as_chat_list(value: Any) -> Any:
    if isinstance(value, list):
        return ChatList(_as_chat_list(item) for item in value)
    if isinstance(value, dict):
        return {key: _as_chat_list(item) for key, item in value.items()}
    return value
