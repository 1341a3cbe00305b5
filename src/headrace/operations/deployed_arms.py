"""Arms that are deployed: their target says where they answer and lets requests in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from headrace.config import Settings
from headrace.deploy.base import Address
from headrace.domain.remote import PIN, DeployedPlace, RemoteFlow
from headrace.operations.open_deployment import NEW, DeploymentChoice, open_deployment
from headrace.operations.workspace import Workspace

KEPT_S = 600.0
"""How long an address with its key or token is used before the target is asked again, seconds: tokens last longer."""

_MORE_S = 10.0
"""How much longer than the server may take an answer is waited for, seconds."""


def find_deployed(workspace: Workspace, remote: RemoteFlow, place: DeployedPlace) -> RemoteFlow:
    """The flow with what its target says of it: address, pinned deployment, version and limit; no key.

    Args:
        workspace: For settings and the state folder.
        remote: As an experiment or a traffic file says.
        place: Which deployment it means.

    Raises:
        DefinitionError: The deployment file is wrong.
        UsageError: There is no such deployment, X143, or no such overlay.
        RemoteError: The target cannot be asked.
    """
    choice = _choice(place)
    with open_deployment(workspace, choice) as opened:
        name = opened.named(place.arm) if place.arm else None
        address = opened.target.address(name)
        found = opened.target.read_state().find(name) if name else None
        limit_s = max((item.limits.timeout_s for item in opened.endpoint.deployments), default=60.0)
    pin = {key.lower(): value for key, value in address.headers.items()}.get(PIN)
    return replace(
        remote,
        url=address.url,
        deployed=replace(
            place,
            file=str(choice.file.absolute()),
            arm=name if place.arm == NEW else place.arm,  # settled: later requests go to the same place
        ),
        deployment=pin,
        version=found.version if found is not None else "",
        timeout_s=remote.timeout_s or limit_s + _MORE_S,
    )


def _choice(place: DeployedPlace) -> DeploymentChoice:
    return DeploymentChoice(file=Path(place.file), environment=place.environment)


class DeployedAccess:
    """Address and key of a deployment, asked for when they are needed. Threads may share it.

    Args:
        settings: For the target.
        folder: A folder of the workspace.
        place: Which deployment.
        clock: Seconds, for when it is asked again.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        place: DeployedPlace,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._place = place
        self._clock = clock
        self._held: tuple[Address, float] | None = None
        self._lock = threading.Lock()

    def held(self) -> Address | None:
        """What :meth:`address` would say without asking anybody; ``None`` where it would have to. Never blocks."""
        held = self._held  # one look, because another thread may forget it
        return held[0] if held is not None and self._clock() - held[1] <= KEPT_S else None

    def address(self) -> Address:
        """Where requests go, with what lets them in; blocks where the target has to be asked.

        Raises:
            HeadraceError: As :func:`find_deployed`.
        """
        with self._lock:
            address = self.held()
            if address is None:
                address = self._ask()
                self._held = address, self._clock()
            return address

    def forget(self) -> None:
        """Ask again for the next request: the key was refused, and may be another one by now."""
        with self._lock:
            self._held = None

    def _ask(self) -> Address:
        with ExitStack() as stack:
            workspace = Workspace(self._settings, self._folder, stack)
            opened = stack.enter_context(open_deployment(workspace, _choice(self._place)))
            return opened.target.address(opened.named(self._place.arm) if self._place.arm else None)
