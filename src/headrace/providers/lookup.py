"""Finding connections by name, and keeping them in files.

A name is looked for in this order; the first place that has it wins:

1. ``NAME.yaml`` in the folders that the environment variable ``HEADRACE_CONNECTIONS`` names
2. ``.headrace/connections/NAME.yaml`` in the workspace
3. ``~/.headrace/connections/NAME.yaml``
4. the environment variable ``PROMPTFLOW_ENCODED_CONNECTIONS``, which holds what the JSON file of the next place does,
   compressed; then the JSON file that the environment variable ``PROMPTFLOW_CONNECTIONS`` names
5. the workspace of Azure Machine Learning that the setting ``connection.provider`` names (``PF_CONNECTION_PROVIDER``,
   ``pf.yaml``), where it does; a name that is the whole address of a connection there needs no setting
6. the environment: ``openai`` where ``OPENAI_API_KEY`` or ``OPENAI_BASE_URL`` is set (``OPENAI_ORG_ID``
   counts as well), ``azure_openai`` where ``AZURE_OPENAI_ENDPOINT`` is set (with ``AZURE_OPENAI_API_KEY``,
   else Microsoft Entra ID; ``OPENAI_API_VERSION`` counts as well). The names that prompt flow's samples use,
   ``open_ai_connection`` and ``azure_open_ai_connection``, mean the same two
7. built in: ``baseline``

Any field of a connection is overridden by the environment variable ``<CONNECTION>_<FIELD>`` in upper case,
with ``_`` for spaces and dashes: ``MY_AOAI_API_KEY`` for the ``api_key`` of ``my-aoai``. What the environment does not
hold may be a file in the folder that ``HEADRACE_SECRETS`` names; see :mod:`headrace.providers.variables`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from headrace.config import STATE_FOLDER, Settings, user_folder
from headrace.domain.connection import Connection, Secret, override_variable
from headrace.errors import DefinitionError, HeadraceError, Problem, UsageError, nearest
from headrace.formats.connection_file import CONNECTION_TYPES, find_vault_url, load_connection
from headrace.providers.azure_sources import AzureSources
from headrace.providers.connection_files import FILE_NAME, delete_file, find_file, stored_names, write_file
from headrace.providers.connections_json import ENCODED_CONNECTIONS, decode_connections, read_connections_json
from headrace.providers.variables import Variables, is_unresolved, unresolved

SEARCH_ORDER = (
    "Names are looked for in .headrace/connections of the workspace, in ~/.headrace/connections, in the file "
    "that PROMPTFLOW_CONNECTIONS names, and in the environment (OPENAI_API_KEY, AZURE_OPENAI_ENDPOINT)."
)
"""One sentence for the fix of an unknown connection."""

_FROM_ENVIRONMENT = {
    "openai": "Set OPENAI_API_KEY, or OPENAI_BASE_URL for a local server. ",
    "open_ai_connection": "Set OPENAI_API_KEY, or OPENAI_BASE_URL for a local server. ",
    "azure_openai": "Set AZURE_OPENAI_ENDPOINT. ",
    "azure_open_ai_connection": "Set AZURE_OPENAI_ENDPOINT. ",
}
"""What to do first about the names that the environment offers."""

ENVIRONMENT = "environment"
BUILT_IN = "built in"

_REFERENCE = re.compile(r"\$\{env:([^}]+)\}")
_BASELINE = Connection(name="baseline", type="baseline", origin=BUILT_IN)


class Connections:
    """All connections that a command can use; a :class:`~headrace.tools.base.ConnectionLookup`.

    Args:
        workspace_folder: The folder that holds ``.headrace``.
        settings: The environment.
        given: Connections that code has made, by name; they win.
        azure: What connections and secrets of Azure come from; without it, as the environment says.

    Attributes:
        given: See above.
        azure: See above.
    """

    def __init__(
        self,
        workspace_folder: Path,
        settings: Settings,
        given: Mapping[str, Connection] | None = None,
        azure: AzureSources | None = None,
    ) -> None:
        self.azure = azure or AzureSources(settings, workspace_folder)
        self._environment = settings.environment
        self._variables = Variables(settings.environment, settings.secrets_folder)
        self.given = given or {}
        self._revealed: set[str] = set()
        # Nearest first: a workspace's own connection hides the person's of the same name.
        self._own_folders = (
            workspace_folder / STATE_FOLDER / "connections",
            user_folder(settings) / "connections",
        )
        self._folders = (*settings.connection_folders, *self._own_folders)

    def find(self, name: str) -> Connection | None:
        """The connection of this name with its overrides applied, or ``None``.

        Raises:
            DefinitionError: C502 when its file is wrong, C503 when a field names a variable that is not set, C514 or
                C515 for a workspace, or a connection of one, that cannot be used.
            RemoteError: P713 when the workspace cannot be read, X201 when nobody gives a token for it.
        """
        return self._find(name, self.azure.find)

    def _find(self, name: str, ask: Callable[[str], Connection | None]) -> Connection | None:
        """The connection of this name, where ``ask`` looks for it in a workspace of Azure."""
        if name in self.given:
            return self.given[name]
        found = self._find_in_files(name) or self._from_json.get(name)
        if found is None and name == _BASELINE.name:
            return _BASELINE
        found = found or ask(name) or self._find_in_environment(name)
        return self._resolve(self._override(found)) if found is not None else None

    def names(self) -> tuple[str, ...]:
        """All names that :meth:`find` knows, sorted; without those of a workspace that cannot be read."""
        known = set(self._own_names())
        with suppress(HeadraceError):  # finding anything there says what is wrong
            known.update(connection.name for connection in self._from_workspace[0])
        return tuple(sorted(known))

    def _own_names(self) -> tuple[str, ...]:
        known = {_BASELINE.name, *self.given, *(name for name, make in _PRESETS if make(self._environment))}
        with suppress(DefinitionError):  # a broken file offers no names; finding anything says what is wrong
            known.update(self._from_json)
        for folder in self._folders:
            known.update(stored_names(folder))
        return tuple(sorted(known))

    def list_connections(self) -> tuple[tuple[Connection, ...], tuple[Problem, ...]]:
        """Every connection by name, stored ones first, and the problems of those that cannot be read."""
        found: dict[str, Connection] = {}
        problems: list[Problem] = []
        stored = {name for folder in self._folders for name in stored_names(folder)}
        for name in sorted(self._own_names(), key=lambda name: (name not in stored, name)):
            try:
                connection = self._find(name, _ask_nobody)
            except DefinitionError as error:
                problems.extend(error.problems)
            else:
                if connection is not None:
                    found[name] = connection
        try:
            kept, unusable = self._from_workspace
        except HeadraceError as error:
            problems.extend(error.problems)
        else:
            problems.extend(replace(problem, severity="warning") for problem in unusable)
            for item in kept:
                if item.name not in found or found[item.name].origin == ENVIRONMENT:
                    found[item.name] = self._override(item)
        # One broken file can stand in the way of several names.
        return tuple(found.values()), tuple(dict.fromkeys(problems))

    @cached_property
    def _from_workspace(self) -> tuple[tuple[Connection, ...], tuple[Problem, ...]]:
        return self.azure.list_all()

    def secret(self, connection: Connection, field_name: str) -> str | None:
        """The value of a secret field, resolved now; ``None`` when it is not set.

        One that is kept in Azure is asked for, which blocks, and then known for ten minutes.

        Raises:
            DefinitionError: C503 when the field names a variable that is not set.
            RemoteError: P713, P714 or X201 when a workspace or a vault does not give it.
        """
        stored = connection.secrets.get(field_name)
        if stored is None:
            return None
        value = stored.value
        if stored.variable is not None:
            value = self._variable(connection, field_name, stored.variable)
        elif stored.vault_url is not None:
            value = self.azure.vault_secret(stored.vault_url)
        elif stored.resource_id is not None:
            value = self.azure.workspace_secret(stored.resource_id, field_name)
        if value:
            self._revealed.add(value)
        return value

    def revealed(self) -> frozenset[str]:
        """Every secret value that :meth:`secret` has given out, so that records can be kept free of them."""
        return frozenset(self._revealed)

    def note_revealed(self, values: Iterable[str]) -> None:
        """Note secret values that were given out elsewhere, in a worker process."""
        self._revealed.update(values)

    def unknown(self, name: str) -> Problem:
        """C501 for a name that :meth:`find` does not know, with the nearest one that it does."""
        known = self.names()
        near = nearest(name, known)
        hint = f'Did you mean "{near}"? ' if near else f"Known are: {', '.join(known)}. "
        hint = _FROM_ENVIRONMENT.get(name, hint)
        return Problem(code="C501", what=f'There is no connection "{name}".', fix=hint + SEARCH_ORDER)

    def create(self, connection: Connection, *, for_person: bool = False) -> Path:
        """Write a connection to its file, readable for its owner only; one of this name is replaced.

        Args:
            connection: What to keep, secrets included.
            for_person: In ``~/.headrace`` instead of the workspace.

        Returns:
            The file.

        Raises:
            UsageError: C507 for a name that cannot be a file name.
            StateError: S808 when the file cannot be written.
        """
        if not FILE_NAME.fullmatch(connection.name):
            raise UsageError(
                Problem(
                    code="C507",
                    what=f'"{connection.name}" cannot be the name of a connection.',
                    fix="Begin with a letter or digit, and use letters, digits, blanks and _ - . only.",
                )
            )
        folder = self._own_folders[1 if for_person else 0]
        return write_file(folder, connection)

    def stored(self, name: str) -> Connection:
        """The connection as the nearest file of this name keeps it: without overrides, variables by name.

        Raises:
            UsageError: C501 when no file keeps a connection of this name.
            DefinitionError: C502 when the file is wrong.
        """
        found = self._find_in_files(name)
        if found is None:
            raise UsageError(self._not_in_a_file(name))
        return found

    def update(self, connection: Connection) -> Path:
        """Write a connection over the nearest file of its name, which is there.

        Raises:
            StateError: S808 when the file cannot be written.
        """
        folder = next(folder for folder in self._folders if find_file(folder, connection.name))
        return write_file(folder, connection)

    def delete(self, name: str) -> Path:
        """Delete the nearest file of this name.

        Raises:
            UsageError: C501 when no file keeps a connection of this name.
            StateError: S808 when it cannot be deleted.
        """
        for folder in self._folders:
            path = find_file(folder, name)
            if path is not None:
                delete_file(path)
                return path
        raise UsageError(self._not_in_a_file(name))

    def _not_in_a_file(self, name: str) -> Problem:
        if name not in self.names():
            return self.unknown(name)
        return Problem(
            code="C501",
            what=f'The connection "{name}" is not kept in a file.',
            fix="Change the environment variables or the workspace that it comes from; the built-in one always stays.",
        )

    def _find_in_files(self, name: str) -> Connection | None:
        for folder in self._folders:
            path = find_file(folder, name)
            if path is not None:
                # The file's name counts: two files must never claim one name.
                return replace(load_connection(path), name=name, origin=str(path))
        return None

    @cached_property
    def _from_json(self) -> Mapping[str, Connection]:
        encoded = self._environment.get(ENCODED_CONNECTIONS)
        path = self._environment.get("PROMPTFLOW_CONNECTIONS")
        return {
            **(read_connections_json(Path(path)) if path else {}),
            **(decode_connections(encoded) if encoded else {}),
        }

    def _find_in_environment(self, name: str) -> Connection | None:
        for known, make in _PRESETS:
            if known == name:
                connection = make(self._environment)
                return connection and replace(connection, name=name)
        return None

    def _override(self, connection: Connection) -> Connection:
        """Let the environment override single fields."""
        configs, secrets = dict(connection.configs), dict(connection.secrets)
        kind = CONNECTION_TYPES.get(connection.type)
        config_names = {*configs, *(kind.configs if kind else ())}
        for field_name in sorted({*secrets, *(kind.secrets if kind else ())} | config_names):
            variable = override_variable(connection.name, field_name)
            value = self._variables.find(variable)
            if not value:
                continue
            if field_name in config_names:
                configs[field_name] = value
            else:
                secrets[field_name] = Secret(variable=variable)
        return replace(connection, configs=configs, secrets=secrets)

    def _resolve(self, connection: Connection) -> Connection:
        """Put the values of ``${env:NAME}`` into the plain fields; secrets wait until they are needed."""
        configs = {
            name: self._with_values(connection, name, text) for name, text in connection.configs.items()
        }
        secrets = {name: self._behind_variable(secret) for name, secret in connection.secrets.items()}
        return replace(connection, configs=configs, secrets=secrets)

    def _behind_variable(self, secret: Secret) -> Secret:
        """A variable that names a secret of a vault stands for that secret."""
        value = self._variables.find(secret.variable) if secret.variable else None
        address = find_vault_url(value) if value else None
        return Secret(vault_url=address) if address else secret

    def _with_values(self, connection: Connection, field_name: str, text: str) -> str:
        return _REFERENCE.sub(lambda match: self._variable(connection, field_name, match[1]), text)

    def _variable(self, connection: Connection, field_name: str, variable: str) -> str:
        value = self._variables.find(variable)
        if value and is_unresolved(value):
            raise DefinitionError(unresolved(variable, connection, field_name))
        if value:
            return value
        raise DefinitionError(
            Problem(
                code="C503",
                what=f'The {field_name} of connection "{connection.name}" is taken from the environment variable '
                f"{variable}, which is not set.",
                fix=f"Set {variable}, or give {field_name} another value in {connection.origin}.",
            )
        )


def _ask_nobody(_: str) -> None:
    """In place of a workspace that is not to be asked."""


def _openai(environment: Mapping[str, str]) -> Connection | None:
    base_url, organization = environment.get("OPENAI_BASE_URL"), environment.get("OPENAI_ORG_ID")
    has_key = bool(environment.get("OPENAI_API_KEY"))
    if not has_key and not base_url:
        return None
    configs = {"base_url": base_url, "organization": organization}
    return Connection(
        name="openai",
        type="open_ai",
        configs={name: value for name, value in configs.items() if value},
        secrets={"api_key": Secret(variable="OPENAI_API_KEY")} if has_key else {},
        origin=ENVIRONMENT,
    )


def _azure_openai(environment: Mapping[str, str]) -> Connection | None:
    endpoint = environment.get("AZURE_OPENAI_ENDPOINT")
    if not endpoint:
        return None
    has_key = bool(environment.get("AZURE_OPENAI_API_KEY"))
    configs = {
        "api_base": endpoint,
        "api_type": "azure",
        "api_version": environment.get("OPENAI_API_VERSION") or "2024-02-01",
        "auth_mode": "key" if has_key else "meid_token",
    }
    secrets = {"api_key": Secret(variable="AZURE_OPENAI_API_KEY")} if has_key else {}
    return Connection(
        name="azure_openai", type="azure_open_ai", configs=configs, secrets=secrets, origin=ENVIRONMENT
    )


_PRESETS: tuple[tuple[str, Callable[[Mapping[str, str]], Connection | None]], ...] = (
    ("openai", _openai),
    ("open_ai_connection", _openai),
    ("azure_openai", _azure_openai),
    ("azure_open_ai_connection", _azure_openai),
)
