"""Fixed values of nodes that stand for more than they say: images, and the definitions of assistants.

They are read when a flow is loaded, so that a file that is missing is found before anything runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from headrace.domain.flow import Flow, Node
from headrace.domain.multimedia import ImageError
from headrace.domain.reference import Reference
from headrace.domain.tool import ToolSpec
from headrace.errors import DefinitionError, Problem
from headrace.formats.multimedia import ImageReader, image_problem
from headrace.formats.positions import load_yaml, read_text
from headrace.planning.plan import is_dropped
from headrace.source import file_span
from headrace.tools.value_types import AssistantDefinition

_ASSISTANT = "assistant_definition"


def read_literals(
    flow: Flow, specs: Mapping[str, ToolSpec], reader: ImageReader
) -> tuple[Flow, tuple[Problem, ...]]:
    """The flow with the images and assistant definitions among its nodes' literals read.

    Args:
        flow: Its variants settled.
        specs: Tool signature by node name; nodes without one are left alone.
        reader: Reads images; relative paths of assistant definitions begin where those of images do.

    Returns:
        The flow, and T210, C509, F001 or F005 for every literal that cannot be read; it stays what it was.
    """
    nodes: list[Node] = []
    problems: list[Problem] = []
    for node in flow.nodes:
        spec = specs.get(node.name)
        read: dict[str, Any] = {}
        for name, type_name in _to_read(node, spec) if spec else ():
            pointer = (*node.pointer, "inputs", name)
            try:
                read[name] = _read(node.inputs[name], type_name, reader)
            except ImageError as error:
                owner = f"The input {name!r} of the node {node.name!r}"
                problems.append(image_problem(error, owner, flow.source_map.span(pointer), pointer))
            except DefinitionError as error:
                place = flow.source_map.span(pointer)
                problems += [
                    replace(item, span=item.span or place, pointer=pointer) for item in error.problems
                ]
        nodes.append(replace(node, inputs={**node.inputs, **read}) if read else node)
    return replace(flow, nodes=tuple(nodes)), tuple(problems)


def _to_read(node: Node, spec: ToolSpec) -> Iterator[tuple[str, str]]:
    """Literals of types that are read, with the type; a template's variable counts where it stands as an image."""
    for name, value in node.inputs.items():
        if isinstance(value, Reference) or is_dropped(node, value):
            continue
        parameter = spec.parameter(name)
        if parameter is not None:
            yield from ((name, kind) for kind in parameter.types[:1])
        elif name in spec.image_variables:
            yield name, "image"


def _read(value: Any, type_name: str, reader: ImageReader) -> Any:
    if type_name == _ASSISTANT and not isinstance(value, AssistantDefinition):
        return _read_assistant(value, reader)
    return reader.read(value, type_name) if reader.has_images(value, type_name) else value


def _read_assistant(value: Any, reader: ImageReader) -> AssistantDefinition:
    """An assistant definition from the YAML or JSON file that a literal names."""
    fix = "Name a YAML or JSON file with the keys model, instructions and tools."
    if not isinstance(value, str):
        what = "An assistant definition is given by the path of its file."
        raise DefinitionError(Problem(code="F005", what=what, fix=fix))
    path = reader.find_file(value)
    data = load_yaml(read_text(path, value), value)[0]
    if not isinstance(data, Mapping):
        what = f"{value} should hold a mapping."
        raise DefinitionError(Problem(code="F005", what=what, span=file_span(value), fix=fix))
    return AssistantDefinition(
        model=str(data.get("model") or ""),
        instructions=str(data.get("instructions") or ""),
        tools=list(data.get("tools") or []),
    )
