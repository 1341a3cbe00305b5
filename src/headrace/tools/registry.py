"""Node types and their tools. Nothing of a kind is imported before the first node of that kind."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from headrace.domain.flow import Flow, Node
from headrace.errors import DefinitionError, Problem
from headrace.tools.base import ConnectionLookup, Tool

LOADERS: Mapping[tuple[str, str], str] = {
    ("prompt", "code"): "headrace.tools.prompt:load_prompt_tool",
    ("llm", "code"): "headrace.tools.llm:load_llm_tool",
    ("python", "code"): "headrace.tools.python:load_python_tool",
    ("python", "package"): "headrace.tools.package:load_package_tool",
    ("prompty", "code"): "headrace.tools.prompty:load_prompty_tool",
    ("custom_llm", "package_with_prompt"): "headrace.tools.package:load_package_tool",
    ("endpoint", "code"): "headrace.tools.endpoint:load_endpoint_tool",
    ("flex", "code"): "headrace.tools.flex:load_flex_tool",
}
"""Node type and source type to the import string of the loader."""

PACKAGE_LOADERS: Mapping[str, str] = {
    "promptflow.tools.llm.llm": "headrace.tools.llm:load_package_llm",
    "promptflow.tools.embedding.embedding": "headrace.tools.llm:load_embedding",
    "promptflow.tools.aoai.embedding": "headrace.tools.llm:load_embedding",
    "promptflow.tools.openai.embedding": "headrace.tools.llm:load_embedding",
    "promptflow.tools.aoai.chat": "headrace.tools.llm:load_package_api",
    "promptflow.tools.aoai.completion": "headrace.tools.llm:load_package_api",
    "promptflow.tools.openai.chat": "headrace.tools.llm:load_package_api",
    "promptflow.tools.openai.completion": "headrace.tools.llm:load_package_api",
    "promptflow.tools.aoai_gpt4v.AzureOpenAI.chat": "headrace.tools.vision:load_vision",
    "promptflow.tools.openai_gpt4v.OpenAI.chat": "headrace.tools.vision:load_vision",
    "promptflow.tools.llm_vision.llm_vision": "headrace.tools.vision:load_vision",
}
"""Ids of package tools that headrace brings itself, with a loader each."""

_SENSITIVITY = {"type": ["string"]}
_ANALYZE_TEXT = {
    "module": "headrace.compat.content_safety",
    "function": "analyze_text",
    "inputs": {
        "connection": {"type": ["AzureContentSafetyConnection"]},
        "text": {"type": ["string"]},
        "hate_category": _SENSITIVITY,
        "sexual_category": _SENSITIVITY,
        "self_harm_category": _SENSITIVITY,
        "violence_category": _SENSITIVITY,
    },
}
BUILT_IN_TOOLS: Mapping[str, Mapping[str, Any]] = {
    "promptflow.tools.serpapi.SerpAPI.search": {
        "module": "headrace.compat.serpapi",
        "class_name": "SerpAPI",
        "function": "search",
        "inputs": {
            "connection": {"type": ["SerpConnection"]},
            "query": {"type": ["string"]},
            "location": {"type": ["string"]},
            "safe": {"type": ["string"]},
            "num": {"type": ["int"]},
            "engine": {"type": ["string"]},
        },
    },
    "promptflow.tools.open_model_llm.OpenModelLLM.call": {
        "module": "headrace.sdk.open_model",
        "class_name": "OpenModelLLM",
        "function": "call",
        "inputs": {
            "endpoint_name": {"type": ["string"]},
            "deployment_name": {"type": ["string"]},
            "api": {"type": ["string"]},
            "temperature": {"type": ["double"]},
            "max_new_tokens": {"type": ["int"]},
            "top_p": {"type": ["double"]},
            "model_kwargs": {"type": ["object"]},
        },
    },
    "promptflow.tools.azure_content_safety.analyze_text": _ANALYZE_TEXT,
    "content_safety_text.tools.content_safety_text_tool.analyze_text": _ANALYZE_TEXT,
}
"""Ids of package tools that headrace brings itself, described as packages describe theirs."""


def load_tool(node: Node, flow: Flow, folder: Path, connections: ConnectionLookup) -> Tool:
    """Load the tool of one node.

    Args:
        node: A node of ``flow``, its variant chosen.
        flow: For names and places.
        folder: Where the flow's files are while it runs; a copy when the flow has additional includes.
        connections: Finds connections and their secrets.

    Raises:
        DefinitionError: Everything that keeps the tool from being loaded, each with its place.
    """
    loader = LOADERS.get((node.type, node.source.type))
    if loader is None:
        raise DefinitionError(_unsupported(node, flow))
    if node.source.type != "code":
        loader = PACKAGE_LOADERS.get(node.source.tool or "", loader)
    module, _, name = loader.partition(":")
    tool: Tool = getattr(import_module(module), name)(node, flow, folder, connections)
    return tool


def _unsupported(node: Node, flow: Flow) -> Problem:
    known = [source for kind, source in LOADERS if kind == node.type]
    pointer = (*node.pointer, "source", "type") if known else (*node.pointer, "type")
    return Problem(
        code="F010",
        what=f"The node {node.name!r} is of type {node.type} with a source of type {node.source.type}, "
        "which headrace does not run.",
        span=flow.source_map.span(pointer),
        pointer=pointer,
        fix=f"Use source.type: {' or '.join(known)}." if known else "Use a python, prompt or llm node.",
    )
