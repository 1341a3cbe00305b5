"""Whether a model node or a prompty says which model to ask.

A service that is asked with an empty name, or for another model than the file seems to name, often answers with no more
than that there is no such model. Prompt flow asks it all the same, so this warns, except where the name is part of the
address of every request: an ``llm`` node fails there under prompt flow, and a prompty at the service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from headrace.domain.flow import Flow, ModelPrompt, Node
from headrace.domain.tool import ToolSpec
from headrace.errors import Problem
from headrace.planning.plan import is_dropped
from headrace.source import Pointer

_CONFIGURATION: Pointer = ("model", "configuration")
_DEPLOYMENT = "azure_deployment"


def check_model_name(flow: Flow, node: Node, spec: ToolSpec) -> Iterator[Problem]:
    """T205 for a node that names no model in a way that its service reads: an error where its tool needs the name.

    Args:
        flow: For places.
        node: A node as it runs, its arm chosen.
        spec: Of its tool.
    """
    name = spec.model
    given = {item for item, value in node.inputs.items() if not is_dropped(node, value)}
    if name is None or name.key in given or flow.prompt is not None:
        return
    is_misnamed = name.unread in given
    parameter = spec.parameter(name.key)
    is_required = parameter is not None and parameter.is_required
    if not (is_required or is_misnamed) and (name.is_optional or name.default):
        return
    inputs: Pointer = (*node.pointer, "inputs")
    pointer = (*inputs, name.unread if is_misnamed else name.key)
    asked = f"for {name.default}" if name.default else "with an empty name"
    effect = "its tool fails without it" if is_required else f"the service is asked {asked}"
    if is_misnamed:
        what = (
            f"The node {node.name!r} sets {name.unread!r}, but a connection of type {name.connection_type} takes the "
            f"name of the model from {name.key!r}: {effect}."
        )
        fix = f"Write {name.key} instead of {name.unread}."
    else:
        what = f"The node {node.name!r} does not set {name.key!r}, so that {effect}."
        fix = f"Add {name.key} to the node's inputs."
    place = flow.source_map.key_span(pointer) if is_misnamed else flow.source_map.span(pointer)
    severity = "error" if is_required else "warning"
    yield Problem(code="T205", what=what, span=place, pointer=pointer, fix=fix, severity=severity)


def check_prompt_model(flow: Flow, specs: Mapping[str, ToolSpec]) -> Iterator[Problem]:
    """F006 for a prompty whose configuration names no model: an error on Azure, whose address is made of it.

    Args:
        flow: With its arm chosen; any flow.
        specs: Of its node, where that could be loaded.
    """
    prompt = flow.prompt
    if prompt is None or any(prompt.configuration.get(key) for key in (_DEPLOYMENT, "model")):
        return
    key = _key_of(prompt, next(iter(specs.values()), None))
    if key is None:
        return
    fix = f"Add {key}."
    if prompt.parameters.get("model"):
        fix = f"Write it as {key} in the configuration: model among the parameters is not read."
    is_azure = key == _DEPLOYMENT
    yield Problem(
        code="F006",
        what=f"The configuration names no {'deployment' if is_azure else 'model'}.",
        span=flow.source_map.span(_CONFIGURATION),
        pointer=_CONFIGURATION,
        fix=fix,
        severity="error" if is_azure else "warning",
    )


def _key_of(prompt: ModelPrompt, spec: ToolSpec | None) -> str | None:
    """What the configuration should name the model by; ``None`` where it need not, or where nobody knows."""
    if spec is not None:
        return spec.model.key if spec.model and not spec.model.is_optional else None
    if prompt.configuration.get("connection"):
        return None  # its type is not known, because the tool could not be loaded
    return _DEPLOYMENT if str(prompt.configuration.get("type")).lower().startswith("azure") else "model"
