"""Model nodes that show images (promptflow-format: 3.6).

They are the package tools ``aoai_gpt4v``, ``openai_gpt4v`` and ``llm_vision``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.domain.flow import Flow, Node
from headrace.domain.multimedia import find_images
from headrace.domain.tool import ToolParameter, ToolSpec
from headrace.formats.positions import read_text
from headrace.formats.template import Template, load_template
from headrace.tools.base import ConnectionLookup, NodeContext, Tool
from headrace.tools.chat import Message
from headrace.tools.chat_prompt import make_messages
from headrace.tools.image_lines import give_images_lines, place_images
from headrace.tools.llm import ModelTool, input_connection
from headrace.tools.model_parameters import AZURE, CHAT, FAMILIES, OPENAI, VISION_PARAMETERS, ModelApi
from headrace.tools.sources import source_file

_TYPES: Mapping[str, tuple[str, ...]] = {
    "promptflow.tools.aoai_gpt4v.AzureOpenAI.chat": ("azure_open_ai",),
    "promptflow.tools.openai_gpt4v.OpenAI.chat": ("open_ai",),
    "promptflow.tools.llm_vision.llm_vision": ("azure_open_ai", "open_ai"),
}
"""Tool id to the types of connections that it takes."""

_MODELS: Mapping[str, tuple[ToolParameter, ...]] = {
    "promptflow.tools.aoai_gpt4v.AzureOpenAI.chat": (
        ToolParameter(name="deployment_name", types=("string",)),
    ),
    "promptflow.tools.openai_gpt4v.OpenAI.chat": (
        ToolParameter(name="model", types=("string",), default="gpt-4-vision-preview"),
    ),
    "promptflow.tools.llm_vision.llm_vision": (
        ToolParameter(name="deployment_name", types=("string",), default=""),
        ToolParameter(name="model", types=("string",), default=""),
    ),
}
"""Tool id to how a node names the model."""


class VisionTool(ModelTool):
    """Calls a chat API with a prompt whose images are sent as images."""

    def make_messages(
        self, template: Template, values: Mapping[str, Any], context: NodeContext, marks: frozenset[str]
    ) -> list[Message]:
        """The messages of a rendered prompt; lists print line by line, whatever the service."""
        messages = make_messages(
            template, values, family=AZURE, inputs_to_escape=context.inputs_to_escape, marks=marks
        )
        return place_images(messages, find_images(values))


def load_vision(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> Tool:
    """Load one of the tools.

    Raises:
        DefinitionError: F001, F009 or F011 for the template; C501 or C504 for the connection.
    """
    tool_id = node.source.tool or ""
    connection = input_connection(node, flow, _TYPES[tool_id], connections)
    family = FAMILIES[connection.type]
    source = source_file(node, flow, folder)
    text = read_text(source.path, source.shown)
    written = load_template(text, source.shown)
    parameters = (
        ToolParameter(name="connection", types=("object",)),
        *_MODELS[tool_id],
        *VISION_PARAMETERS,
    )
    reserved = ("prompt", *(item.name for item in parameters))
    api = ModelApi(
        family=family,
        operation=CHAT,
        model_parameter="model" if family == OPENAI else "deployment_name",
        parameters=parameters,
        reserved=reserved,
        fixed={"n": 1},
    )
    spec = ToolSpec(
        name=node.name,
        parameters=parameters,
        takes_any=True,
        reserved=reserved,
        template_variables=written.variables,
        image_variables=written.image_variables,
        model=api.model_name(connection.type),
    )
    return VisionTool(spec, api, connection.name, load_template(give_images_lines(text), source.shown))
