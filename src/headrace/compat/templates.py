"""Rendering and cutting prompts under the names of promptflow's tools."""

from __future__ import annotations

from typing import Any

from headrace.formats.template import load_template
from headrace.tools import chat


def render_jinja_template(
    template_content: str,
    trim_blocks: bool = True,  # noqa: FBT001, FBT002 - the signature that projects call
    keep_trailing_newline: bool = True,  # noqa: FBT001, FBT002
    **values: Any,
) -> str:
    """Render a template; both options are always on.

    Raises:
        DefinitionError: F009 when the template cannot be parsed.
        NodeError: E602 when it fails.
    """
    del trim_blocks, keep_trailing_newline
    return load_template(template_content, "<prompt>").render(values)


def parse_chat(chat_str: str, **_: Any) -> list[chat.Message]:
    """Cut a rendered prompt into messages.

    Raises:
        NodeError: E605 when it has no roles.
    """
    return chat.parse_chat(chat_str)


def render_template_jinja2(template: str, **values: Any) -> str:
    """Render a template.

    Raises:
        DefinitionError: F009 when the template cannot be parsed.
        NodeError: E602 when it fails.
    """
    return load_template(template, "<prompt>").render(values)
