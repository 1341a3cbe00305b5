"""What is written down of an endpoint on this machine, and the process that has its address."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from pathlib import Path

from headrace.deploy.base import TargetSetup
from headrace.deploy.local_copies import LOG_LINES, begin_log, free_port, inherited, last_lines
from headrace.deploy.processes import LOOPBACK, Launch, ask_port, is_alive, launch, stop, wait_until
from headrace.domain.access import make_key
from headrace.errors import Problem, RemoteRequestError, StateError
from headrace.formats.folder_lock import locked_folder
from headrace.formats.key_file import write_key_file
from headrace.formats.local_endpoint import (
    LocalDeployment,
    LocalEndpoint,
    LocalFront,
    LocalProcess,
    read_local_endpoint,
    write_local_endpoint,
)

FILE, KEY_FILE = "endpoint.json", "key"
ANY_HOST = "0.0.0.0"  # noqa: S104 - only where the file says so

_FRONT = "headrace.serving.ingress:serve_ingress"
_KEYS, _LOG = "keys.yaml", "ingress.log"
_CALLER = "deploy"
_START_S = 30.0


class LocalPlace:
    """The folder of an endpoint; commands that change it at the same time wait for each other.

    Args:
        folder: Where all of it lies.
        name: Of the endpoint.

    Attributes:
        file: In which it is written down.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.file = folder / FILE
        self._name = name

    def log(self, name: str) -> Path:
        """The file that takes what the servers of a deployment print."""
        return self.folder / f"{name}.log"

    def find(self) -> LocalEndpoint | None:
        """What is written down; ``None`` where nothing is.

        Raises:
            StateError: X293.
        """
        return read_local_endpoint(self.file)

    def read(self) -> LocalEndpoint:
        """The same where there has to be something.

        Raises:
            StateError: X293; X294 where nothing is.
        """
        there = self.find()
        if there is None:
            raise self.gone()
        return there

    def begin(self, change: Callable[[LocalEndpoint], LocalEndpoint]) -> None:
        """Write something down where nothing has to be.

        Raises:
            StateError: X293; X294 when another command is at it for long.
        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            write_local_endpoint(self.file, change(self.find() or LocalEndpoint()))

    def change(self, change: Callable[[LocalEndpoint], LocalEndpoint]) -> None:
        """Change what is written down.

        Raises:
            StateError: X293; X294 where nothing is, or when another command is at it for long.
        """
        if not self.file.exists():
            raise self.gone()
        with self._locked():
            there = self.read()
            made = change(there)
            if made != there:
                write_local_endpoint(self.file, made)

    def set_deployment(self, name: str, item: LocalDeployment) -> None:
        """Write down one deployment."""
        self.change(lambda there: replace(there, deployments={**there.deployments, name: item}))

    def gone(self, name: str | None = None) -> StateError:
        """X294 for the endpoint, or a deployment of it, that is not there."""
        named = f"The deployment {name} of {self._name}" if name else f"The endpoint {self._name}"
        what = f"{named} is not there any more on this machine."
        return StateError(Problem(code="X294", what=what, fix="Give the same command again."))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            with locked_folder(self.folder):
                yield
        except TimeoutError as error:
            what = f"Another command is changing {self._name} on this machine."
            raise StateError(Problem(code="X294", what=what, fix="Give the same command again.")) from error


def make_keys(folder: Path) -> str:
    """The file of keys of an endpoint, made where there is none; the key of whoever deploys lies beside it."""
    keys, own = folder / _KEYS, folder / KEY_FILE
    if not keys.exists() or not own.exists():
        token, key = make_key(_CALLER, created=datetime.now(UTC))
        own.touch(mode=0o600)
        own.write_text(token, encoding="ascii")
        write_key_file(keys, [key])
    return str(keys)


def front_address(there: LocalEndpoint) -> str:
    """Where requests go; empty before the first process had the address."""
    return f"http://{LOOPBACK}:{there.front.port}/score" if there.front is not None else ""


def front_answers(front: LocalFront | None) -> bool:
    """Whether the process that has the address is the one that was started, and answers."""
    if front is None or front.process is None or not is_alive(front.process):
        return False
    answer = ask_port(front.port, "/healthz")
    return answer is not None and answer[0] == HTTPStatus.OK


def start_front(place: LocalPlace, setup: TargetSetup, host: str) -> None:
    """Start the process that has the address, unless it answers; it keeps its port where nobody has taken that.

    Args:
        place: Where it is written down.
        setup: For the environment, and to say that the address is another one.
        host: Where it listens.

    Raises:
        RemoteRequestError: X292 when it does not start.
    """
    front = place.read().front
    if front is not None and front.host == host and front_answers(front):
        return
    if front is not None and front.process is not None:
        stop(front.process, setup.settings.grace_s)
    known = front.port if front is not None else free_port()
    for port in (known, free_port()):
        started = _launch(place, setup, host, port)
        if wait_until(partial(_is_settled, started), _START_S) and front_answers(started):
            if port != known:
                setup.tell(f"port {known} is taken by now; the address is {front_address(place.read())}")
            return
        if started.process is not None:
            stop(started.process, 0)
    said = last_lines(place.folder / _LOG, LOG_LINES, is_of_last_start=True)
    what = f"The process that is to have the address of {setup.endpoint.name} does not start."
    fix = "Mend what its log says, then: headrace deploy apply"
    raise RemoteRequestError(
        Problem(code="X292", what=what, fix=fix, detail=tuple(f"log: {line}" for line in said))
    )


def _is_settled(front: LocalFront) -> bool:
    return front_answers(front) or front.process is None or not is_alive(front.process)


def _launch(place: LocalPlace, setup: TargetSetup, host: str, port: int) -> LocalFront:
    noted: list[LocalFront] = []

    def note(process: LocalProcess) -> None:
        noted.append(LocalFront(process=process, host=host, port=port))
        place.change(lambda there: replace(there, front=noted[0]))

    log = place.folder / _LOG
    begin_log(log, "")
    environment = inherited(setup.settings.environment)
    launch(Launch(function=_FRONT, path=place.file, cwd=place.folder, environment=environment, log=log), note)
    return noted[0]
