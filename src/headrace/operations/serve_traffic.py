"""Split the requests of served flows among arms: traffic files, their arms, evidence, and what changes meanwhile."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from headrace.config import Settings
from headrace.domain.traffic import Revision, Traffic
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.formats.traffic import read_traffic
from headrace.operations.ab_revisions import check_answering, say_split_apart, settle_revision
from headrace.operations.kept_process import KeptProcess
from headrace.operations.renew_flows import ServedSource, Tell
from headrace.operations.served_sources import FlowSource
from headrace.operations.served_versions import LoadedVersion, ServingChoice
from headrace.operations.traffic_arms import arm_key, find_tested, load_arm, load_arms, open_arm
from headrace.operations.workspace import Workspace
from headrace.providers.loading import load_by_name, load_optional
from headrace.store.journal import Journal, JournalMover

FOLLOW_EVERY_S = 1.0
"""How often traffic files and revisions are looked at, seconds."""

_FLUSH_S = 5.0
_BACKUP_EVERY_S = 5.0
_SPLIT_FLOW = "headrace.serving.traffic:SplitFlow"
_RULES = "headrace.serving.traffic_rules:TrafficRules"
_EVIDENCE_LOG = "headrace.serving.evidence_log:EvidenceLog"
_WATCH = "headrace.operations.watch_ab:watch_beside"
_MIRRORS = "headrace.serving.mirrors:Mirrors"
_LOGGER = logging.getLogger(__name__)


def read_tests(settings: Settings, folder: Path, given: Sequence[Path]) -> tuple[Traffic, ...]:
    """The tests that are to be served.

    Args:
        settings: The environment; its ``HEADRACE_TRAFFIC`` names files where ``given`` does not, separated as in
            ``PATH``.
        folder: Where relative paths begin.
        given: Traffic files.

    Raises:
        DefinitionError: Everything that is wrong with a file.
        UsageError: C507 for two tests of one name.
    """
    named = settings.environment.get("HEADRACE_TRAFFIC", "")
    files = [*given] or [Path(part) for part in named.split(os.pathsep) if part]
    tests = tuple(read_traffic(folder / file) for file in files)
    names = [traffic.name for traffic in tests]
    for traffic in tests:
        if names.count(traffic.name) > 1:
            what = f"Two traffic files describe the test {traffic.name}."
            raise UsageError(Problem(code="C507", what=what, fix="Give one of them another name."))
    return tests


def tests_by_path(tests: Sequence[Traffic], sources: Sequence[FlowSource]) -> Mapping[str, Traffic]:
    """The tests by the path of the flow that each is about.

    Raises:
        UsageError: C507 where that is not clear, or two are about one flow.
    """
    found: dict[str, Traffic] = {}
    for traffic in tests:
        path = find_tested(traffic, sources).path
        if path in found:
            what = f"Two tests split one flow: {found[path].name} and {traffic.name}."
            raise UsageError(Problem(code="C507", what=what, fix="Make them one test with more arms."))
        found[path] = traffic
    return found


@dataclass(slots=True, kw_only=True, eq=False)
class _Split:
    """One flow that is split, and what is known of its test.

    Attributes:
        source: The flow.
        file: The traffic file.
        traffic: What it said when it could last be followed.
        read_at: When that was.
        revision: What held when the flow was loaded.
        seen: What tells the file from a newer one.
        loaded: Its arms, until they are opened.
        arms: Its arms by name, as :attr:`traffic` has them.
        opened: All arms that are open, also those that only requests of before still use.
        before: Rules that requests of before still hold.
        flow: A :class:`~headrace.serving.traffic.SplitFlow`.
        is_away: Whether its revisions could not be read the last time.
    """

    source: FlowSource
    file: Path
    traffic: Traffic
    read_at: datetime
    revision: Revision
    seen: object
    loaded: Mapping[str, tuple[FlowSource, LoadedVersion]]
    arms: dict[str, tuple[tuple[Any, ...], ServedSource]] = field(default_factory=dict)
    opened: list[ServedSource] = field(default_factory=list)
    before: list[Any] = field(default_factory=list)
    flow: Any = None
    is_away: bool = False


class SplitTraffic:
    """The flows of one process whose requests are split.

    Args:
        workspace: For the store, connections and stored versions.
        choice: What was chosen for what is served.
        tell: Hears what was taken over and what was not, and why.
        is_watched: Whether :func:`watched` runs beside, which moves the journals.
    """

    def __init__(
        self, workspace: Workspace, choice: ServingChoice, tell: Tell, *, is_watched: bool = False
    ) -> None:
        self._workspace = workspace
        self._choice = choice
        self._tell = tell
        self._is_watched = is_watched and _has_watch()
        self._splits: list[_Split] = []
        self._retiring: set[asyncio.Task[None]] = set()
        self._mirrors: Any = None

    def load(self, tests: Mapping[str, Traffic], sources: Sequence[FlowSource], stack: ExitStack) -> None:
        """Load the arms of all tests; ``stack`` leaves their folders again.

        Args:
            tests: By the path of their flow.
            sources: What is served.
            stack: Lives as long as the process serves.

        Raises:
            DefinitionError: Everything that is wrong with the files of a test's arms.
            UsageError: An arm does not fit its flow, or the one that answers everybody is not there any more.
            StateError: The store is away, which says what holds.
        """
        for source in sources:
            if source.path not in tests:
                continue
            traffic = tests[source.path]
            file = Path(traffic.path).absolute()
            now = self._workspace.now()
            seen = _file_state(file)
            loaded = load_arms(self._workspace, traffic, source, self._choice, stack)
            revision = settle_revision(self._workspace.store, traffic, now, read_at=now)
            self._splits.append(
                _Split(
                    source=source,
                    file=file,
                    traffic=traffic,
                    read_at=now,
                    revision=revision,
                    seen=seen,
                    loaded=loaded,
                )
            )

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Mapping[str, Any]]:
        """The flows by path, ready in this event loop, each a :class:`~headrace.serving.traffic.SplitFlow`.

        Raises:
            StateError: There is no place for a journal.
        """
        if not self._splits:
            yield {}
            return
        workspace = self._workspace
        sink = workspace.span_sink
        async with AsyncExitStack() as stack:
            folder, is_synced = workspace.journal_folder, workspace.settings.syncs_journal
            mover = (
                JournalMover(folder, workspace.store, _BACKUP_EVERY_S, is_backup=True)
                if self._is_watched
                else JournalMover(folder, workspace.store)
            )
            stack.callback(_end_mover, mover)
            journal = Journal(folder, is_synced=is_synced)
            stack.callback(journal.close)
            make_log = load_optional(_EVIDENCE_LOG, extra="serve")
            evidence = make_log(journal.append, is_slow=is_synced, sink=sink, tell=self._tell)
            self._mirrors = load_optional(_MIRRORS, extra="serve")(sink)
            stack.push_async_callback(self._mirrors.close)
            stack.push_async_callback(self._close_arms)
            for split in self._splits:
                await self._open(split)
                split.flow = load_optional(_SPLIT_FLOW, extra="serve")(
                    split.source.path, self._make_rules(split, split.revision), evidence, self._mirrors
                )
            yield {split.source.path: split.flow for split in self._splits}

    def drain_with(self, served: Any) -> None:
        """Mirror no more requests once ``served`` is draining; a :class:`~headrace.serving.served.Served`."""
        if self._mirrors is not None:
            self._mirrors.is_draining = lambda: served.is_draining

    def tests(self) -> tuple[Traffic, ...]:
        """What the traffic files said when they could last be followed."""
        return tuple(split.traffic for split in self._splits)

    def sources(self) -> tuple[ServedSource, ...]:
        """The arms that answer at the moment, each of which may have a new version."""
        return tuple(arm for split in self._splits for _, arm in split.arms.values())

    async def follow(self, group: asyncio.TaskGroup) -> None:
        """Take over changed files and new revisions, once in :data:`FOLLOW_EVERY_S`; ends by cancellation.

        Args:
            group: Has the tasks that wait for the last requests of arms of before.
        """
        while self._splits:
            await asyncio.sleep(FOLLOW_EVERY_S)
            for split in self._splits:
                try:
                    await self._look(split, group)
                except Exception as error:
                    _LOGGER.warning("%s could not be followed.", split.file, exc_info=error)

    def stop(self) -> None:
        """Wait no longer for requests that are at arms of before."""
        for task in tuple(self._retiring):
            task.cancel()

    async def _look(self, split: _Split, group: asyncio.TaskGroup) -> None:
        seen = await asyncio.to_thread(_file_state, split.file)
        if seen != split.seen:
            split.seen = seen  # what is broken is not tried again before it has changed
            await self._take_file(split)
        try:
            revision = await asyncio.to_thread(
                settle_revision,
                self._workspace.store,
                split.traffic,
                self._workspace.now(),
                read_at=split.read_at,
            )
        except HeadraceError as error:
            if not split.is_away:
                split.is_away = True
                what = f"The revisions of {split.traffic.name} cannot be read: what held before goes on."
                self._tell(what, error.problems)
            return
        split.is_away = False
        before = split.flow.rules
        if revision.number != before.revision.number or before.traffic is not split.traffic:
            self._put(split, revision, group)

    async def _take_file(self, split: _Split) -> None:
        """Read a changed file and open its new arms; where that fails, what was before goes on."""
        now = self._workspace.now()
        try:
            traffic = await asyncio.to_thread(read_traffic, split.file)
            _check_name(traffic, split.traffic)
            check_answering(split.flow.rules.revision, traffic)
            arms = dict(split.arms)
            for arm in traffic.arms:
                known = arms.get(arm.name)
                if known is None or known[0] != arm_key(arm):
                    source, loaded = await asyncio.to_thread(
                        load_arm, self._workspace, traffic, arm, split.source, self._choice
                    )
                    opened = await open_arm(self._workspace, split.source.path, arm, source, loaded)
                    split.opened.append(opened)
                    arms[arm.name] = arm_key(arm), opened
        except HeadraceError as error:
            split.flow.refused = error.problems
            self._tell(
                f"{split.file} has changed and cannot be followed: the rules of before go on.", error.problems
            )
            return
        split.arms = {arm.name: arms[arm.name] for arm in traffic.arms}
        split.traffic, split.read_at, split.flow.refused = traffic, now, ()

    def _put(self, split: _Split, revision: Revision, group: asyncio.TaskGroup) -> None:
        """Let new requests follow the newest rules; arms that these do not have are closed after the last request."""
        before, split.flow.rules = split.flow.rules, self._make_rules(split, revision)
        split.before = [rules for rules in (*split.before, before) if rules.is_held]
        kept = [arm for _, arm in split.arms.values()]
        dropped = [arm for arm in split.opened if arm not in kept]
        split.opened = [arm for arm in split.opened if arm in kept]
        task = group.create_task(_retire(tuple(split.before), dropped))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        what = f"{revision.test} follows revision {revision.number}"
        self._tell(f"{what} ({revision.reason}{f' by {revision.by}' if revision.by else ''}).", ())
        if apart := say_split_apart(revision, split.traffic):
            self._tell(apart, ())

    async def _open(self, split: _Split) -> None:
        for arm in split.traffic.arms:
            source, loaded = split.loaded[arm.name]
            opened = await open_arm(self._workspace, split.source.path, arm, source, loaded)
            split.opened.append(opened)
            split.arms[arm.name] = arm_key(arm), opened

    async def _close_arms(self) -> None:
        for split in self._splits:
            for arm in split.opened:
                await arm.loaded.close()

    def _make_rules(self, split: _Split, revision: Revision) -> Any:
        arms = {name: arm.flow for name, (_, arm) in split.arms.items()}
        return load_optional(_RULES, extra="serve")(split.traffic, revision, arms)


@contextmanager
def watched(workspace: Workspace, tests: Iterable[Traffic], tell: Tell) -> Iterator[None]:
    """Watch tests during the block, as ``headrace ab watch`` does, in a process beside this one.

    It moves journals as well, and is started again when it dies. Images, which have no statistics, do without.

    Raises:
        StateError: The store is away.
    """
    names = []
    for traffic in tests:
        now = workspace.now()
        settle_revision(workspace.store, traffic, now, read_at=now)
        names.append(traffic.name)
    if not names or not _has_watch():
        yield
        return
    args = (workspace.settings, workspace.cwd, names)
    with closing(KeptProcess(_watch, args, f"watches {', '.join(names)}", lambda text: tell(text, ()))):
        yield


def _check_name(traffic: Traffic, before: Traffic) -> None:
    """Refuse another test in the place of one that is served, because nobody watches it."""
    if traffic.name != before.name:
        what = f"The test {before.name} would become {traffic.name} while it is served."
        fix = "Give it its old name, or start the server again."
        raise UsageError(Problem(code="C507", what=what, fix=fix))


def _has_watch() -> bool:
    return find_spec(_WATCH.partition(":")[0]) is not None


def _watch(settings: Settings, folder: Path, tests: Sequence[str]) -> None:
    load_by_name(_WATCH)(settings, folder, tests)


async def _retire(before: Sequence[Any], dropped: Sequence[ServedSource]) -> None:
    try:
        for rules in before:
            await rules.wait_idle()
    finally:
        for arm in dropped:
            await arm.loaded.close()


def _end_mover(mover: JournalMover) -> None:
    mover.flush(_FLUSH_S)
    mover.close()


def _file_state(file: Path) -> object:
    """What tells a file from a newer one; ``None`` for one that is not there."""
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
