"""Prompt nodes: a template rendered with the node's inputs, untouched (promptflow-format: 4)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.domain.flow import Flow, Node
from headrace.domain.tool import ToolSpec
from headrace.formats.positions import read_text
from headrace.formats.template import Template, load_template
from headrace.tools.base import INLINE, ConnectionLookup, NodeContext, Tool
from headrace.tools.escape import PromptText, escape_values
from headrace.tools.sources import source_file

_RESERVED = ("template",)


class PromptTool:
    """Renders one template."""

    mode = INLINE

    def __init__(self, name: str, template: Template) -> None:
        self._template = template
        self.spec = ToolSpec(
            name=name,
            parameters=(),
            takes_any=True,
            reserved=_RESERVED,
            template_variables=template.variables,
            image_variables=template.image_variables,
        )

    def call(self, arguments: Mapping[str, Any], context: NodeContext) -> PromptText:
        """The rendered text, with what a chat prompt that it goes into must know about text from outside.

        Raises:
            NodeError: E602 at the template's line.
        """
        text = self._template.render(arguments)
        escaped = escape_values(arguments, context.inputs_to_escape)
        if not escaped.marks:
            return PromptText(text)
        return PromptText(text, self._template.render(escaped.values), escaped.marks)


def load_prompt_tool(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> Tool:
    """Load the template of a prompt node.

    Raises:
        DefinitionError: F001 or F011 for the file, F009 for the template.
    """
    source = source_file(node, flow, folder)
    template = load_template(read_text(source.path, source.shown), source.shown)
    return PromptTool(node.name, template)
