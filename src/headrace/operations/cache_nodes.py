"""Which nodes of a run take part in the cache, and what their results depend on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from headrace.domain.cache import CacheChoice
from headrace.operations.prepare_flow import LoadedFlow
from headrace.operations.workspace import Workspace
from headrace.planning.fingerprint import Fingerprinter, NoFormError
from headrace.tools.base import IdentifiedTool


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedNodes:
    """The nodes of a run whose results are kept and used again; none of them where the cache is off.

    Attributes:
        sources: Node to digests of what its tool is made of, by name.
    """

    fingerprinters: Mapping[str, Fingerprinter] = field(default_factory=dict)
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def experiment_cache(workspace: Workspace, choice: CacheChoice) -> CacheChoice:
    """What an experiment says of the cache; it is on unless it or the setting turns it off."""
    is_on = workspace.settings.cache != "off" if choice.is_on is None else choice.is_on
    return replace(choice, is_on=is_on)


def find_cached_nodes(
    workspace: Workspace,
    loaded: LoadedFlow,
    *,
    repeat: int,
    left_out: Collection[str] = (),
    only: Collection[str] | None = None,
) -> CachedNodes:
    """The nodes whose tools say what they are made of, and what that is.

    Prompt nodes and aggregation nodes are not among them: a prompt is rendered sooner than it is looked up, and an
    aggregation node runs once.

    Args:
        workspace: For connections and the environment.
        loaded: The flow.
        repeat: Which repetition of its arm the run is.
        left_out: Nodes that are to run every time.
        only: The nodes to choose from; ``None`` for all.
    """
    fingerprinters: dict[str, Fingerprinter] = {}
    sources: dict[str, Mapping[str, str]] = {}
    environment = {**workspace.settings.environment, **loaded.variables}
    for step in loaded.plan.steps:
        name = step.node.name
        tool = loaded.tools[name]
        if (
            name in left_out
            or (only is not None and name not in only)
            or not isinstance(tool, IdentifiedTool)
        ):
            continue
        try:
            identity = tool.identity(workspace.connections)
            if identity is None:
                continue
            fingerprinters[name] = Fingerprinter(
                identity,
                declared=loaded.variables,
                environment=environment,
                repeat=repeat,
                setting={"escaped": list(step.inputs_to_escape), "images": loaded.flow.message_format},
            )
        except (NoFormError, OSError):  # what it is made of cannot be told: it is called every time
            continue
        sources[name] = identity.code
    return CachedNodes(fingerprinters=fingerprinters, sources=sources)
