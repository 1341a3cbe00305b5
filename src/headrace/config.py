"""Settings. The only module that reads or writes the process environment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from headrace.errors import Problem, UsageError

STATE_FOLDER = ".headrace"
_SHORTEST_S = 0.001
CACHE_WORDS = ("auto", "on", "off")
IMAGE_ADDRESSES = ("public", "named", "none")
MODEL_CLIENTS = ("wire", "openai")
ACCESS_LOGS = ("none", "stderr", "otlp", "both")
_YES, _NO = ("1", "true", "yes", "on"), ("", "0", "false", "no", "off")
_QUOTA_UNITS = ("rpm", "tpm")


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaLimit:
    """What a model service allows per minute, as configured; ``None`` is found out."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingLimits:
    """What one process that serves flows takes on.

    Attributes:
        max_requests: Requests in flight at once (``HEADRACE_SERVE_REQUESTS``).
        max_waiting: Requests that may wait for a place; more are refused (``HEADRACE_SERVE_WAITING``).
        wait_s: How long one may wait for a place, seconds (``HEADRACE_SERVE_WAIT_S``).
        body_bytes: Size of the largest request (``HEADRACE_SERVE_BODY_BYTES``).
        request_s: How long one may take until its answer begins, seconds (``HEADRACE_SERVE_TIMEOUT_S``).
        idle_s: How long a body, a stream, or a connection without a request may stand still, seconds
            (``HEADRACE_SERVE_IDLE_S``).
        stop_delay_s: How long requests are still accepted after the request to stop, while ``/readyz`` says that the
            process ends, seconds (``HEADRACE_SERVE_STOP_DELAY_S``).
    """

    max_requests: int = 128
    max_waiting: int = 256
    wait_s: float = 30.0
    body_bytes: int = 64_000_000
    request_s: float = 300.0
    idle_s: float = 60.0
    stop_delay_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment says, read once at the start of a command.

    Attributes:
        store: Path of a SQLite file or address of a PostgreSQL database, which may hold a password, or of a secret of
            Azure Key Vault that says one of them (``HEADRACE_STORE``); ``None`` means ``.headrace/headrace.sqlite`` in
            the workspace: the nearest folder at or above the working directory that holds ``.headrace``.
        journal: Folder in which a server that splits traffic keeps what is not in the store yet (``HEADRACE_JOURNAL``);
            ``None`` means a folder of the workspace, one for each store.
        syncs_journal: Whether it is forced to the disk before it is acknowledged (``HEADRACE_JOURNAL_SYNC``).
        max_concurrency: Lines in flight at once in a batch run (``HEADRACE_MAX_CONCURRENCY``, else
            ``PF_WORKER_COUNT``).
        workers: Processes that run the lines of a batch run; 0 runs them in threads of this one (``HEADRACE_WORKERS``).
        line_timeout_s: Limit for one line, seconds (``HEADRACE_LINE_TIMEOUT_S``, else ``PF_LINE_TIMEOUT_SEC``).
        batch_timeout_s: Limit for all lines of a batch run together, seconds; ``None`` means none
            (``HEADRACE_BATCH_TIMEOUT_S``, else ``PF_BATCH_TIMEOUT_SEC``).
        node_timeout_s: Limit for one node, seconds; ``None`` means only the line's (``HEADRACE_NODE_TIMEOUT_S``).
        grace_s: How long lines in flight may go on after an interrupt, seconds (``HEADRACE_GRACE_S``).
        model_timeout_s: Limit for one model request, seconds (``HEADRACE_MODEL_TIMEOUT_S``).
        idle_timeout_s: Limit for the wait between two pieces of an answer, seconds (``HEADRACE_IDLE_TIMEOUT_S``).
        max_retries: Retries after the first attempt of a model request (``HEADRACE_MAX_RETRIES``).
        quota: Connection, or ``connection/model``, to what its service allows (``HEADRACE_QUOTA``).
        quota_wait_s: How long one request may wait for a quota in all, seconds (``HEADRACE_QUOTA_WAIT_S``).
        model_client: ``wire`` calls OpenAI-compatible services directly, ``openai`` through the ``openai`` package
            (``HEADRACE_MODEL_CLIENT``); both send the same requests.
        cache: Whether results of nodes are used again (``HEADRACE_CACHE``): ``on``, ``off``, or ``auto``, which is
            on for comparisons and off for single runs.
        image_addresses: Which addresses images are fetched from (``HEADRACE_IMAGE_ADDRESSES``): ``public`` ones and
            those of ``image_hosts``, only ``named`` ones, which are those, or ``none``.
        image_hosts: Hosts that images are fetched from although their address is not public, in lower case
            (``HEADRACE_IMAGE_HOSTS``, separated by commas).
        otlp_endpoint: Where spans are sent; ``None`` sends none (``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`` or
            ``OTEL_EXPORTER_OTLP_ENDPOINT``; the exporter reads its other OTEL variables itself).
        serving: What a process that serves flows takes on.
        access_log: Where a line for each request that is served goes (``HEADRACE_ACCESS_LOG``): ``none``, ``stderr``,
            ``otlp`` or ``both``.
        exports_telemetry: Whether anything of spans, metrics and logs leaves, where the environment says so; not from
            worker processes, whose run does it for them.
        has_error_json: Whether errors are written as JSON as well (``PROMPTFLOW_STRUCTURE_EXCEPTION_OUTPUT=true``).
        connection_folders: Folders of connection files that are looked into first (``HEADRACE_CONNECTIONS``, separated
            as in ``PATH``).
        secrets_folder: Folder of files, each the value of the variable that it is called after (``HEADRACE_SECRETS``);
            ``None`` means none.
        environment: The whole environment as it was, for connections and ``${env:NAME}``.
    """

    store: str | None
    journal: Path | None
    syncs_journal: bool
    max_concurrency: int
    workers: int
    line_timeout_s: float
    batch_timeout_s: float | None
    node_timeout_s: float | None
    grace_s: float
    model_timeout_s: float
    idle_timeout_s: float
    max_retries: int
    quota: Mapping[str, QuotaLimit]
    quota_wait_s: float
    model_client: str
    cache: str
    image_addresses: str
    image_hosts: frozenset[str]
    otlp_endpoint: str | None
    serving: ServingLimits
    access_log: str
    has_error_json: bool
    connection_folders: tuple[Path, ...]
    secrets_folder: Path | None
    environment: Mapping[str, str]
    exports_telemetry: bool = True


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read the settings from ``environment`` (default: the process environment).

    Raises:
        UsageError: C506 when a variable has a value of the wrong form.
    """
    source = dict(os.environ if environment is None else environment)
    pf_timeout = _number(source, "PF_LINE_TIMEOUT_SEC", 600.0, at_least=_SHORTEST_S)
    line_timeout = _number(source, "HEADRACE_LINE_TIMEOUT_S", pf_timeout, at_least=_SHORTEST_S)
    pf_batch_timeout = _number(source, "PF_BATCH_TIMEOUT_SEC", 0.0)
    batch_timeout = _number(source, "HEADRACE_BATCH_TIMEOUT_S", pf_batch_timeout)
    workers = _number(source, "PF_WORKER_COUNT", 64, at_least=1)
    node_timeout = _number(source, "HEADRACE_NODE_TIMEOUT_S", 0.0)
    return Settings(
        store=source.get("HEADRACE_STORE") or None,
        journal=next(iter(_folders(source.get("HEADRACE_JOURNAL") or "")), None),
        syncs_journal=read_flag(source, "HEADRACE_JOURNAL_SYNC"),
        max_concurrency=int(_number(source, "HEADRACE_MAX_CONCURRENCY", workers, at_least=1)),
        workers=int(_number(source, "HEADRACE_WORKERS", 0)),
        line_timeout_s=line_timeout,
        batch_timeout_s=batch_timeout or None,
        node_timeout_s=node_timeout or None,
        grace_s=_number(source, "HEADRACE_GRACE_S", 10.0),
        model_timeout_s=_number(source, "HEADRACE_MODEL_TIMEOUT_S", 120.0, at_least=_SHORTEST_S),
        idle_timeout_s=_number(source, "HEADRACE_IDLE_TIMEOUT_S", 60.0, at_least=_SHORTEST_S),
        quota=_quota(source.get("HEADRACE_QUOTA") or ""),
        quota_wait_s=_number(source, "HEADRACE_QUOTA_WAIT_S", 3600.0),
        max_retries=int(_number(source, "HEADRACE_MAX_RETRIES", 8)),
        model_client=_word(source, "HEADRACE_MODEL_CLIENT", MODEL_CLIENTS),
        cache=_word(source, "HEADRACE_CACHE", CACHE_WORDS),
        image_addresses=_word(source, "HEADRACE_IMAGE_ADDRESSES", IMAGE_ADDRESSES),
        image_hosts=_names(source.get("HEADRACE_IMAGE_HOSTS") or ""),
        otlp_endpoint=source.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        or source.get("OTEL_EXPORTER_OTLP_ENDPOINT")
        or None,
        serving=_serving_limits(source),
        access_log=_word(source, "HEADRACE_ACCESS_LOG", ACCESS_LOGS),
        has_error_json=source.get("PROMPTFLOW_STRUCTURE_EXCEPTION_OUTPUT", "").lower() == "true",
        connection_folders=_folders(source.get("HEADRACE_CONNECTIONS") or ""),
        secrets_folder=next(iter(_folders(source.get("HEADRACE_SECRETS") or "")), None),
        environment=source,
    )


def _serving_limits(source: Mapping[str, str]) -> ServingLimits:
    usual = ServingLimits()
    return ServingLimits(
        max_requests=int(_number(source, "HEADRACE_SERVE_REQUESTS", usual.max_requests, at_least=1)),
        max_waiting=int(_number(source, "HEADRACE_SERVE_WAITING", usual.max_waiting)),
        wait_s=_number(source, "HEADRACE_SERVE_WAIT_S", usual.wait_s),
        body_bytes=int(_number(source, "HEADRACE_SERVE_BODY_BYTES", usual.body_bytes, at_least=1)),
        request_s=_number(source, "HEADRACE_SERVE_TIMEOUT_S", usual.request_s, at_least=_SHORTEST_S),
        idle_s=_number(source, "HEADRACE_SERVE_IDLE_S", usual.idle_s, at_least=_SHORTEST_S),
        stop_delay_s=_number(source, "HEADRACE_SERVE_STOP_DELAY_S", usual.stop_delay_s),
    )


def _folders(text: str) -> tuple[Path, ...]:
    return tuple(Path(part).absolute() for part in text.split(os.pathsep) if part)


def _number(source: Mapping[str, str], name: str, default: float, *, at_least: float = 0.0) -> float:
    text = source.get(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not at_least <= value < float("inf"):
        raise UsageError(
            Problem(
                code="C506",
                what=f"The environment variable {name} must be a number of at least {at_least:g}.",
                fix=f"Set {name} to a number, or unset it for the default of {default:g}.",
            )
        )
    return value


def _quota(text: str) -> Mapping[str, QuotaLimit]:
    """Read ``connection/model=600rpm,90000tpm connection=60rpm``."""
    found = {}
    for entry in text.split():
        name, _, limits = entry.rpartition("=")
        given: dict[str, float] = {}
        for limit in limits.split(","):
            number, unit = limit[:-3], limit[-3:].lower()
            if unit in _QUOTA_UNITS and number.isascii() and number.isdigit() and int(number) > 0:
                given[unit] = float(number)
            else:
                name = ""
        if not name:
            raise UsageError(
                Problem(
                    code="C506",
                    what=f"The environment variable HEADRACE_QUOTA has an entry of the wrong form: {entry}",
                    fix="Write entries such as my_connection/my_model=600rpm,90000tpm, separated by blanks; the "
                    "model or one of the two limits may be left out.",
                )
            )
        found[name] = QuotaLimit(requests_per_minute=given.get("rpm"), tokens_per_minute=given.get("tpm"))
    return found


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(",") if name.strip())


def read_flag(source: Mapping[str, str], name: str) -> bool:
    """Whether a variable of ``source`` says yes; one that is not set says no.

    Raises:
        UsageError: C506 when it says neither.
    """
    text = source.get(name, "").lower()
    if text in (*_YES, *_NO):
        return text in _YES
    what = f"The environment variable {name} must be true or false."
    raise UsageError(Problem(code="C506", what=what, fix=f"Correct {name}, or unset it."))


def _word(source: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """One of the ``known`` words; the first is the default."""
    text = source.get(name) or known[0]
    if text in known:
        return text
    raise UsageError(
        Problem(
            code="C506",
            what=f"The environment variable {name} must be one of: {', '.join(known)}.",
            fix=f"Set {name} to one of them, or unset it for the default, {known[0]}.",
        )
    )


def serving_variable(settings: Settings, name: str) -> str | None:
    """A variable of prompt flow's server, which may also begin with ``PF_`` in place of ``PROMPTFLOW_``."""
    value = settings.environment.get(name)
    if value is None and name.startswith("PROMPTFLOW_"):
        value = settings.environment.get(name.replace("PROMPTFLOW_", "PF_", 1))
    return value


def find_workspace(start: Path) -> Path:
    """The nearest folder at or above ``start`` that holds ``.headrace``, else ``start`` itself."""
    for folder in (start, *start.parents):
        if (folder / STATE_FOLDER).is_dir():
            return folder
    return start


def user_folder(settings: Settings) -> Path:
    """The person's own state folder, ``~/.headrace``."""
    home = settings.environment.get("HOME") or settings.environment.get("USERPROFILE") or "."
    return Path(home) / STATE_FOLDER


def quota_folder(settings: Settings) -> Path | None:
    """Where the processes of this person share what they know of quotas; ``None`` where there is no home folder.

    Not in ``~/.headrace``, which would make a workspace of the home folder.
    """
    state, home = settings.environment.get("XDG_STATE_HOME"), settings.environment.get("HOME")
    if not state and not home:
        return None
    return (Path(state) if state else Path(home or "") / ".local" / "state") / "headrace" / "quota"


def promptflow_folder(settings: Settings) -> Path:
    """Where prompt flow keeps what is the person's own, ``~/.promptflow``: its settings are read here as well."""
    chosen = settings.environment.get("PF_HOME_DIRECTORY")
    return Path(chosen).expanduser() if chosen else user_folder(settings).with_name(".promptflow")


def is_variable(name: str, value: str) -> bool:
    """Whether the operating system takes a variable of this name with this value."""
    try:
        os.fsencode(name + value)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return bool(name) and "=" not in name and "\0" not in name + value


@dataclass(slots=True, kw_only=True, eq=False)
class _Layer:
    """One block that has set variables, and what they were before it."""

    variables: Mapping[str, str]
    before: dict[str, str | None]


_layers: list[_Layer] = []  # in order of entering


@contextmanager
def process_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the duration of a block, overwriting existing ones, then restore them.

    Flows declare ``environment_variables`` that their tools read; prompt flow overwrites as well. Blocks may end in
    another order than they began: a variable that a later block has set stays as that one has set it.

    Raises:
        UsageError: C506 for a name or value that no environment takes.
    """
    for name, text in variables.items():
        if not is_variable(name, text):
            what = f"{name!r} with the value given cannot be a variable of the environment."
            fix = "A name is not empty and has no equals sign, and neither has a null character."
            raise UsageError(Problem(code="C506", what=what, fix=fix))
    layer = _Layer(variables={**variables}, before={name: os.environ.get(name) for name in variables})
    os.environ.update(variables)
    _layers.append(layer)
    try:
        yield
    finally:
        place = _layers.index(layer)
        del _layers[place]
        for name, value in layer.before.items():
            above = next((other for other in _layers[place:] if name in other.variables), None)
            if above is not None:
                above.before[name] = value
            elif value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def set_default_variables(variables: Mapping[str, str]) -> None:
    """Set variables of this process that libraries read by themselves, where nobody has set them."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def worker_environment() -> dict[str, str]:
    """The environment of a worker process: this one's as it is now, but a worker starts no workers."""
    return {name: text for name, text in os.environ.items() if name != "HEADRACE_WORKERS"}


def prepend_child_path(folder: str) -> None:
    """Let Python processes that this one starts import from ``folder`` first, by ``PYTHONPATH``."""
    inherited = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{inherited}" if inherited else folder
