"""Versions of flows made ready to be served, and closed again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from headrace.domain.flow import Flow
from headrace.domain.run import RunSpec
from headrace.domain.variant import Arm
from headrace.engine.masking import mask_settings
from headrace.engine.runtime import PreparedFlow
from headrace.errors import DefinitionError, HeadraceError, Problem
from headrace.formats.flow_identity import served_identity
from headrace.operations.kept_requests import KeptRequests, KeptRun
from headrace.operations.prepare_flow import FlowSession, LoadedFlow, loaded_flow
from headrace.operations.project_needs import connection_needs, python_sources
from headrace.operations.read_version import read_snapshot
from headrace.operations.recorded_choices import asked_models, variant_text
from headrace.operations.served_sources import find_served_file
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_optional
from headrace.telemetry.attributes import ARM, FLOW_DIGEST, FLOW_VERSION

_LINE_KEEPER = "headrace.serving.kept_lines:LineKeeper"
_SERVED_VERSION = "headrace.serving.served:ServedVersion"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingChoice:
    """What was chosen for the flows that are served.

    Attributes:
        environment_variables: Set for the tools, whatever the environment says. Those of the flow's file are only set
            where the environment has none of the name.
        init: What the constructor of a flex flow's class is given.
        fields: Names of the outputs that are answered; ``None`` for all but those for evaluation only.
        max_threads: Threads of one flow for ordinary Python tools.
        kept: Keeps requests; ``None`` where none are kept.
    """

    environment_variables: Mapping[str, str] = field(default_factory=dict)
    init: Mapping[str, Any] = field(default_factory=dict)
    fields: Sequence[str] | None = None
    max_threads: int = 16
    kept: KeptRequests | None = None


class LoadedVersion:
    """A version whose files are loaded and checked. It is in its flow's folder and environment until it is closed.

    Args:
        workspace: For connections.
        source: Flow folder or file.
        choice: What was chosen for it.
        arm: What it is as an arm of a test; ``None`` for the flow as its file says.

    Attributes:
        digest: The id of the version.

    Raises:
        DefinitionError: Everything that is wrong with the flow's files.
        UsageError: The arm does not fit the flow.
    """

    def __init__(
        self, workspace: Workspace, source: Path, choice: ServingChoice, arm: Arm | None = None
    ) -> None:
        self._workspace = workspace
        self._choice = choice
        self._arm = arm
        self._path = str(source.resolve())  # before the working directory becomes the flow's
        self._session: FlowSession | None = None
        self._run: KeptRun | None = None
        with ExitStack() as stack:
            self._loaded: LoadedFlow = stack.enter_context(
                loaded_flow(
                    workspace,
                    find_served_file(source),
                    arm=arm,
                    environment_variables=choice.environment_variables,
                    keeps_environment=True,
                    init=choice.init,
                )
            )
            snapshot = read_snapshot(self._loaded.flow)
            self.digest = snapshot.digest
            self._snapshot = snapshot if choice.kept is not None else None
            self._identity = served_identity(
                Path(self._loaded.flow.folder), self._loaded.flow.name, self.digest
            )
            self._loaded = _named(self._loaded, self._identity.flow)
            workspace.warn(self._loaded.warnings)
            self._stack = stack.pop_all()

    @property
    def flow(self) -> Flow:
        """The flow as it was loaded."""
        return self._loaded.flow

    async def open(self) -> Any:
        """The version, ready to run in this event loop: a :class:`~headrace.serving.served.ServedVersion`."""
        identity = self._identity
        session = FlowSession(
            self._workspace,
            self._loaded,
            max_threads=self._choice.max_threads,
            attributes={
                FLOW_VERSION: identity.version,
                FLOW_DIGEST: identity.digest,
                **({} if self._arm is None else {ARM: self._arm.name}),
            },
            keeps_nodes=False,
        )
        prepared = await session.__aenter__()
        prepared.is_interruptible = False
        self._session = session
        return load_optional(_SERVED_VERSION, extra="serve")(
            flow=prepared,
            name=identity.version,
            fields=self._choice.fields,
            example=_read_example(self._loaded.folder),
            find_missing=_missing_connections(self._workspace, self._loaded),
            keeper=self._open_keeper(prepared),
        )

    def _open_keeper(self, prepared: PreparedFlow) -> Any:
        """What keeps lines of this version, a :class:`~headrace.serving.kept_lines.LineKeeper`, if any are kept."""
        kept, snapshot = self._choice.kept, self._snapshot
        if kept is None or snapshot is None:
            return None
        run = self._run = kept.begin(self._make_spec(), snapshot)
        return load_optional(_LINE_KEEPER, extra="serve")(prepared, kept.rule, partial(kept.take, run))

    def _make_spec(self) -> RunSpec:
        """What the run of this version's requests says of itself, but for its name."""
        flow, arm = self._loaded.flow, self._arm
        return RunSpec(
            name="",
            flow_path=self._path,
            flow_name=flow.name,
            flow_digest=self.digest,
            variant=variant_text(arm.variant.choices if arm is not None and arm.variant else {}),
            arm=None if arm is None else arm.name,
            model=", ".join(asked_models(flow)) or None,
            chosen_model=None if arm is None else arm.model,
            connections={} if arm is None else arm.overrides,
            init=mask_settings(self._choice.init),
            environment_names=tuple(sorted(self._choice.environment_variables)),
        )

    async def close(self) -> None:
        """Close its clients and leave its folder; once is enough, and more often does no harm."""
        run, self._run = self._run, None
        if run is not None and self._choice.kept is not None:
            self._choice.kept.end(run)
        session, self._session = self._session, None
        if session is not None:
            await session.__aexit__(None, None, None)
        self.leave()

    def leave(self) -> None:
        """Leave its folder and environment."""
        self._stack.close()


def _named(loaded: LoadedFlow, name: str) -> LoadedFlow:
    """A flow by the name that it was packed under: callers, traces and metrics know it by that, not by its folder."""
    flow, plan = replace(loaded.flow, name=name), loaded.plan
    return replace(loaded, flow=flow, plan=replace(plan, flow=replace(plan.flow, name=name)))


def _missing_connections(workspace: Workspace, loaded: LoadedFlow) -> Callable[[], tuple[Problem, ...]]:
    """Says which connections of a flow are not there, or lack something."""
    sources = python_sources(loaded.flow, PurePath(loaded.flow.folder))
    needs = connection_needs(workspace, loaded.flow, sources)
    names = tuple(dict.fromkeys(need.name for need in needs if need.kind == "connection"))

    def find() -> tuple[Problem, ...]:
        problems: list[Problem] = []
        for name in names:
            try:
                connection = workspace.connections.find(name)
                if connection is None:
                    raise DefinitionError(workspace.connections.unknown(name))
                for key in connection.secrets:
                    workspace.connections.secret(connection, key)
            except HeadraceError as error:
                problems.extend(error.problems)
        return tuple(problems)

    return find


def _read_example(folder: Path) -> Mapping[str, Any]:
    """The first of the examples beside the flow; none where they cannot be read, for nothing depends on them."""
    try:
        samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    first = samples[0] if isinstance(samples, list) and samples else {}
    return first if isinstance(first, dict) else {}
