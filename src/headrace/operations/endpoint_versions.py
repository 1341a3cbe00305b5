"""What an endpoint said of its version while a run asked it, and the warning where that changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from headrace.domain.flow import ENDPOINT, Flow
from headrace.domain.run import LineResult, RunSpec
from headrace.errors import Problem
from headrace.operations.workspace import Workspace
from headrace.telemetry.attributes import ENDPOINT_VERSION

PROPERTY = "endpoint_versions"
"""Property of a run: all that its endpoint said, in order."""

DEPLOYED_PROPERTY = "deployed_version"
"""Property of a run of something that is deployed: the version that its target said."""


def endpoint_note(arms: Mapping[str, RunSpec]) -> str:
    """What a reader must know of arms that answer at an address, by the specification of a run of each."""
    found = {
        arm: spec.model
        for arm, spec in arms.items()
        if (spec.model or "").startswith(("http://", "https://"))
    }
    if not found:
        return ""
    return (
        f"Answers of {', '.join(found)} come from an address: what runs there, its tokens and its cost are not known, "
        "and every line is asked anew unless its level says cache: on."
    )


class EndpointVersions:
    """Notes what the endpoint of a run says of itself, also over several parts of a run.

    Args:
        workspace: For the store, and for the warning.
        run: Name of the run, which is recorded.
        flow: Its flow; of one that does not run elsewhere nothing is noted.
    """

    def __init__(self, workspace: Workspace, run: str, flow: Flow) -> None:
        self._workspace = workspace
        self._run = run
        self._is_remote = flow.kind == ENDPOINT
        self._deployed = flow.remote.version if flow.remote is not None else ""
        self._said: dict[str, None] = {}

    def note(self, results: Iterable[LineResult]) -> None:
        """Read what the answers of lines came with."""
        if not self._is_remote:
            return
        for result in results:
            for span in result.spans:
                version = span.attributes.get(ENDPOINT_VERSION)
                if version is not None:
                    self._said[str(version)] = None

    def keep(self) -> None:
        """Record it with the run; P712 where it is not one version.

        Raises:
            StateError: The store failed.
        """
        if not self._said and not self._deployed:
            return
        properties = self._workspace.store.read_run(self._run).spec.properties
        before = list(properties.get(PROPERTY) or ())
        said = list(dict.fromkeys((*before, *self._said)))
        noted: dict[str, Any] = {PROPERTY: said} if said else {}
        if self._deployed:
            noted[DEPLOYED_PROPERTY] = self._deployed
        if noted.items() <= properties.items():
            return
        self._workspace.store.update_run(self._run, properties={**properties, **noted})
        if len(said) > 1:
            what = f"The endpoint of the run {self._run!r} changed while it was asked: {' then '.join(said)}."
            fix = "Make a new run while nothing is deployed; on Azure, name one deployment: deployment: blue."
            self._workspace.warn([Problem(code="P712", what=what, fix=fix, severity="warning")])
