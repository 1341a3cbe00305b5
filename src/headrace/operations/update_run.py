"""Change what people note about a run."""

from __future__ import annotations

from collections.abc import Mapping

from headrace.domain.run import Run
from headrace.operations.collect_scores import EVALUATOR_TAG
from headrace.operations.workspace import Workspace


def update_run(
    workspace: Workspace,
    name: str,
    *,
    display_name: str | None = None,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Run:
    """Change title, description or tags; ``None`` leaves a value as it is.

    Tags replace those that the run had, as in prompt flow; only the tag by which a comparison finds its evaluation
    runs stays.

    Raises:
        UsageError: S801 for an unknown run.
        StateError: The store failed.
    """
    if tags is not None:
        recorded = workspace.store.read_run(name).spec.tags
        kept = {key: value for key, value in recorded.items() if key == EVALUATOR_TAG}
        tags = {**kept, **tags}
    return workspace.store.update_run(name, display_name=display_name, description=description, tags=tags)
