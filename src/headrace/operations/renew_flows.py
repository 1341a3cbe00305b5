"""Let the flows that are served take over new versions without dropping a request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headrace.domain.flow import Flow
from headrace.domain.variant import Arm
from headrace.domain.version import parse_version_name
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.formats.flow_files import find_flow_files
from headrace.formats.paths import exists
from headrace.operations.served_sources import FlowSource
from headrace.operations.served_versions import LoadedVersion, ServingChoice
from headrace.operations.versions import chosen_flow, find_version
from headrace.operations.workspace import Workspace

WATCH_EVERY_S = 1.0

_LOGGER = logging.getLogger("headrace.serving")

Tell = Callable[[str, tuple[Problem, ...]], None]
"""Hears what happened, and the problems behind it."""


@dataclass(slots=True)
class ServedSource:
    """A flow that is served, and where its versions come from.

    Attributes:
        source: What was asked for.
        flow: The pointer that requests follow; a :class:`~headrace.serving.served.ServedFlow`.
        loaded: The version that it points to.
        state: What told that version's source from others when it was loaded.
        is_unreadable: Whether the source could not be looked at the last time.
        arm: What it is as an arm of a test; ``None`` for the flow as its file says.
    """

    source: FlowSource
    flow: Any
    loaded: LoadedVersion
    state: object
    is_unreadable: bool = False
    arm: Arm | None = None


class Renewals:
    """Looks for new versions, and puts each in the place of the one before once it is loaded and checked.

    A version that is broken, or that lacks a connection which the one before has, is not taken: that one goes on.

    Args:
        workspace: For connections and stored versions.
        choice: What was chosen for the flows.
        tell: Hears what was taken over and what was not, and why.
        group: Has the tasks that wait for the last requests of versions of before.
    """

    def __init__(
        self, workspace: Workspace, choice: ServingChoice, tell: Tell, group: asyncio.TaskGroup
    ) -> None:
        self._workspace = workspace
        self._choice = choice
        self._tell = tell
        self._asked = asyncio.Event()
        self._group = group
        self._retiring: set[asyncio.Task[None]] = set()

    def ask(self) -> None:
        """Look at every flow now, and load it anew even where nothing seems to have changed."""
        self._asked.set()

    async def run(self, sources: Callable[[], Iterable[ServedSource]], *, is_watching: bool) -> None:
        """Look whenever it is asked for, and while watching once in :data:`WATCH_EVERY_S`; ends by cancellation.

        Args:
            sources: Says which flows are served at the moment.
            is_watching: Look without being asked.
        """
        while True:
            try:
                async with asyncio.timeout(WATCH_EVERY_S if is_watching else None):
                    await self._asked.wait()
                is_asked = True
                self._asked.clear()
            except TimeoutError:
                is_asked = False
            for source in tuple(sources()):
                try:
                    await self._look(source, is_asked=is_asked)
                except Exception as error:
                    _LOGGER.warning("%s could not be looked at.", source.source.given, exc_info=error)
                    if isinstance(error, OSError) and not source.is_unreadable:
                        source.state = None  # it may be over in a second

    def stop(self) -> None:
        """Wait no longer for requests that are at versions of before."""
        for task in tuple(self._retiring):
            task.cancel()

    async def _look(self, served: ServedSource, *, is_asked: bool) -> None:
        was_unreadable, served.is_unreadable = served.is_unreadable, True
        try:
            state = source_state(self._workspace, served.source, served.loaded.flow)
        except HeadraceError as error:  # a store that is away, or a file that is being written
            self._refuse(served, "cannot be looked at for new versions", error.problems)
            return
        served.is_unreadable = False
        if state == served.state and not is_asked:
            if was_unreadable:
                served.flow.refused = ()
            return
        served.state = state  # what is broken is not tried again before it has changed
        try:
            await self._renew(served)
        except HeadraceError as error:
            self._refuse(served, "has a new version that cannot be served", error.problems)

    def _refuse(self, served: ServedSource, what: str, problems: tuple[Problem, ...]) -> None:
        """Go on with the version that answers, and say why, once."""
        if served.flow.refused != problems:
            served.flow.refused = problems
            self._tell(f"{served.source.given} {what}: {served.flow.version.name} goes on.", problems)

    async def _renew(self, served: ServedSource) -> None:
        path = chosen_flow(self._workspace, served.source.source)
        loaded = await asyncio.to_thread(LoadedVersion, self._workspace, path, self._choice, served.arm)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(loaded.close)
            version = await loaded.open()
            missing = version.find_missing()
            if missing and not served.flow.version.find_missing():
                raise UsageError(*missing)
            stack.pop_all()  # it is taken
        before, served.loaded = served.loaded, loaded
        old = served.flow.version.name
        task = self._group.create_task(self._retire(served, version, before))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        self._tell(f"{served.source.given} now answers as {version.name}, after {old}.", ())

    async def _retire(self, served: ServedSource, version: Any, before: LoadedVersion) -> None:
        try:
            await served.flow.take_over(version)
        finally:
            try:
                await before.close()
            except Exception as error:
                _LOGGER.warning("A version of before could not be closed.", exc_info=error)


def source_state(workspace: Workspace, source: FlowSource, flow: Flow) -> object:
    """What tells whether there may be a new version: times and sizes of files, or the digest that a name stands for.

    Raises:
        UsageError: S831 or S834 for the name of a version.
        DefinitionError: The flow file cannot be read any more.
    """
    if parse_version_name(str(source.source)) is not None and not exists(source.source):
        return find_version(workspace, str(source.source)).digest
    return _times(place for _, place in find_flow_files(flow).files.values())


def _times(places: Iterable[Path]) -> Mapping[str, tuple[int, int]]:
    found = {}
    for place in places:
        try:
            status = place.stat()
        except OSError:
            continue
        found[str(place)] = (status.st_mtime_ns, status.st_size)
    return found
