"""What was chosen for a run, in the words in which runs record it."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.flow import Flow


def variant_text(choices: Mapping[str, str]) -> str | None:
    """Choices as a run records them: ``${node.variant}`` texts, joined by commas; ``None`` for none."""
    return ",".join(f"${{{node}.{name}}}" for node, name in choices.items()) or None


def asked_models(flow: Flow) -> tuple[str, ...]:
    """``connection/model`` of every llm node, each once; of a prompty its type where it names no connection.

    A flow that runs elsewhere may ask any model: its address stands here.
    """
    if flow.remote is not None:
        return (flow.remote.url,)
    if flow.prompt is not None:
        asked = flow.prompt.configuration
        model = asked.get("azure_deployment") or asked.get("model") or ""
        return (f"{asked.get('connection') or asked.get('type')}/{model}",)
    if flow.model is not None:
        return (f"{flow.model.connection}/{flow.model.model}",)
    found = {
        f"{node.connection}/{node.inputs.get('deployment_name') or node.inputs.get('model') or ''}": None
        for node in flow.nodes
        if node.type == "llm"
    }
    return tuple(found)
