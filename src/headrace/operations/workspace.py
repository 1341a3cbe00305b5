"""The composition root: settings, connections, store and span export of one command."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from headrace.config import STATE_FOLDER, Settings, find_workspace, quota_folder
from headrace.domain.connection import Connection
from headrace.errors import DefinitionError, Problem, StateError, UsageError
from headrace.formats.connection_file import is_vault_url
from headrace.providers.azure_sources import PROVIDER_VARIABLE, AzureSources
from headrace.providers.base import ModelClient
from headrace.providers.loading import load_by_name
from headrace.providers.lookup import Connections
from headrace.providers.quota import Quota
from headrace.providers.registry import open_client
from headrace.store.base import RunStore
from headrace.store.opening import is_store_url, open_store
from headrace.telemetry.setup import SpanSink, open_span_sink
from headrace.tools.current_span import running_span

_SEND_LOGS = "headrace.telemetry.sent_logs:send_logs"
_MASK_TEXT = "headrace.engine.masking:mask_text"
_FETCH_IMAGE = "headrace.providers.image_fetch:fetch_image"
"""Reached by name: few flows name images by their address."""


class Workspace:
    """What one command works with. Made by :func:`open_workspace`.

    Attributes:
        settings: What the environment says.
        cwd: The working directory of the command.
        folder: The folder whose ``.headrace`` holds runs, connections and reports.
        connections: Finds and keeps connections.
        quota: Says when model requests are sent; ``quota.snapshot()`` tells what it did.
        warnings: What did not stop the command: findings in its files, spans that no collector took. Complete after
            the block.
    """

    def __init__(self, settings: Settings, cwd: Path, stack: ExitStack) -> None:
        self.settings = settings
        self.folder = find_workspace(cwd)
        azure = AzureSources(settings, cwd)
        stack.callback(azure.close)
        self.connections = Connections(self.folder, settings, azure=azure)
        self.warnings: tuple[Problem, ...] = ()
        self.cwd = cwd
        self._stack = stack
        self.quota = Quota(settings, quota_folder(settings))
        stack.callback(self.quota.close)
        self._store: RunStore | None = None
        self._span_sink: SpanSink | None = None

    @property
    def state_folder(self) -> Path:
        """``.headrace`` of this workspace; it may not exist yet."""
        return self.folder / STATE_FOLDER

    @property
    def store(self) -> RunStore:
        """The run store, opened on first use.

        Raises:
            UsageError: C505, C506 when its location makes no sense here.
            StateError: S803 or S804 when it cannot be opened.
            RemoteError: P714 when its location is in a key vault that does not give it.
        """
        if self._store is None:
            self._store = self.open_store()
            self._stack.callback(self._close_store, self._store)
        return self._store

    def open_store(self) -> RunStore:
        """The run store opened once more, for a thread that nobody else is to wait for; its caller closes it.

        Raises:
            UsageError: C505, C506 when its location makes no sense here.
            StateError: S803 or S804 when it cannot be opened.
            RemoteError: P714 when its location is in a key vault that does not give it.
        """
        given = self.settings.store
        location = given or str(self.state_folder / "headrace.sqlite")
        if is_vault_url(location):
            location = self._location_in_vault(location)
        return open_store(location, self.cwd, makes_folder=given is None)

    def _location_in_vault(self, address: str) -> str:
        location = self.connections.azure.vault_secret(address).strip()
        if not is_store_url(location):  # a password alone would become the name of a file, and be shown
            what = f"The secret {address}, which HEADRACE_STORE names, holds no location of a store."
            fix = "Give it the value postgresql://user:password@host/database or sqlite:///path, and nothing else."
            raise UsageError(Problem(code="C506", what=what, fix=fix))
        return location

    @property
    def journal_folder(self) -> Path:
        """Where a server that splits traffic keeps what is not in the store yet; each store has a folder of its own."""
        if self.settings.journal is not None:
            return self.settings.journal
        name = "store" if self.settings.store is None else sha256(self.store.place.encode()).hexdigest()[:16]
        return self.state_folder / "journal" / name

    def _close_store(self, store: RunStore) -> None:
        try:
            store.close()
        except StateError as error:  # everything is recorded by then
            self.warn(replace(problem, severity="warning") for problem in error.problems)

    @property
    def span_sink(self) -> SpanSink:
        """Where finished spans go besides the store, opened on first use."""
        if self._span_sink is None:
            self._span_sink = open_span_sink(self.settings)
            self._stack.callback(self._close_span_sink, self._span_sink)
            if self._span_sink.takes_events and self._span_sink.scope.has_content:
                self._stack.callback(load_by_name(_SEND_LOGS)(self._span_sink, running_span, self._masked))
        return self._span_sink

    def _masked(self, text: str) -> str:
        masked: str = load_by_name(_MASK_TEXT)(text, self.connections.revealed())
        return masked

    def _close_span_sink(self, sink: SpanSink) -> None:
        self.warn(sink.close())

    def warn(self, problems: Iterable[Problem]) -> None:
        """Keep what should be said at the end of the command; the same finding in every arm is said once."""
        self.warnings = tuple(dict.fromkeys((*self.warnings, *problems)))

    def open_client(self, wanted: str | Connection) -> ModelClient:
        """A client for a connection, given itself or by name; give it back with ``close``.

        Raises:
            DefinitionError: C501 unknown, C502 incomplete, C504 not a model service.
        """
        connection = self.connections.find(wanted) if isinstance(wanted, str) else wanted
        if connection is None:
            raise DefinitionError(self.connections.unknown(str(wanted)))
        return open_client(connection, self.connections.secret, self.settings, self.quota)

    def fetch_image(self, url: str) -> bytes:
        """The content of an image's address; blocks.

        Raises:
            ImageError: The address may not be fetched, or holds no image within the limits.
        """
        content: bytes = load_by_name(_FETCH_IMAGE)(url, self.settings)
        return content

    def with_connections(self, given: Mapping[str, Connection]) -> Workspace:
        """The same workspace, in which connections that code has made are found first."""
        other = copy(self)
        other.connections = Connections(self.folder, self.settings, given, self.connections.azure)
        return other

    def with_connection_provider(self, provider: str) -> Workspace:
        """The same workspace, with connections from where code says.

        Args:
            provider: A value of the setting ``connection.provider``.

        Raises:
            DefinitionError: C514 when it names no workspace.
        """
        other = copy(self)
        # In the environment, worker processes hear of it as well.
        environment = {**self.settings.environment, PROVIDER_VARIABLE: provider}
        other.settings = replace(self.settings, environment=environment)
        azure = AzureSources(other.settings, self.cwd)
        _ = azure.workspace
        self._stack.callback(azure.close)
        other.connections = Connections(self.folder, other.settings, self.connections.given, azure)
        return other

    def keeping_nothing(self) -> Workspace:
        """The same workspace with a store of its own that is gone with it, for runs that nobody asks about later."""
        other = copy(self)
        other._store = open_store("memory:", self.cwd)  # noqa: SLF001 - its own copy
        return other

    def now(self) -> datetime:
        """The current time, UTC-aware. The one clock of everything that is recorded."""
        return datetime.now(UTC)


_at_work: list[Workspace] = []


@contextmanager
def open_workspace(settings: Settings, cwd: Path) -> Iterator[Workspace]:
    """Open the workspace that ``cwd`` belongs to and close it at the end of the block.

    During the block it is what :func:`workspace_at_work` says to code of the flows that run.
    """
    with ExitStack() as stack:
        workspace = Workspace(settings, cwd, stack)
        with at_work(workspace):
            yield workspace


@contextmanager
def at_work(workspace: Workspace) -> Iterator[None]:
    """Work in a workspace during the block."""
    _at_work.append(workspace)
    try:
        yield
    finally:
        _at_work.remove(workspace)


def workspace_at_work() -> Workspace | None:
    """The workspace in which this process runs flows right now, from whatever thread it is asked."""
    return _at_work[-1] if _at_work else None
