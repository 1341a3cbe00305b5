"""The target ``local``: each deployment is a server process on this machine, behind one that splits requests.

All of it is written down in one file of the workspace before it begins to work, so that a command that was killed can
be given again. Nothing watches the processes: one that has died is seen by the next command, and applying the file
starts it again.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace

from headrace.deploy.base import Address, TargetSetup, Traits, no_deployment, wished
from headrace.deploy.local_copies import (
    CopyWish,
    ask_ready,
    check_here,
    copy_package,
    find_values,
    inherited,
    last_lines,
    start_copy,
    wait_ready,
    wished_copy,
)
from headrace.deploy.local_front import (
    ANY_HOST,
    KEY_FILE,
    LocalPlace,
    front_address,
    front_answers,
    make_keys,
    start_front,
)
from headrace.deploy.plan import scale_facts
from headrace.deploy.processes import LOOPBACK, is_alive, stop
from headrace.domain.deployment import (
    PREVIOUS_TAG,
    SPEC_TAG,
    UNTRIED_TAG,
    VERSION_TAG,
    Change,
    Deployment,
    DeploymentState,
    Endpoint,
    EndpointState,
    Scale,
)
from headrace.domain.deployment_notes import read_previous, read_untried
from headrace.domain.remote import PIN
from headrace.domain.values import JsonValue
from headrace.errors import HeadraceError, Problem, RemoteRequestError, StateError
from headrace.formats.local_endpoint import LocalCopy, LocalDeployment, LocalEndpoint, LocalLeaving
from headrace.providers.azure_sources import AzureSources

FOLDER = "local"
"""Below the state folder; holds a folder for each endpoint."""

_SHOWN_LINES = 5


class LocalTarget:
    """One endpoint of this machine; see :class:`~headrace.deploy.base.Target`.

    Attributes:
        traits: A changed deployment takes the place of the one before once it is ready.
    """

    traits = Traits(
        can_mirror=True,
        replaces_in_place=True,
        most_deployments=20,
    )

    def __init__(self, setup: TargetSetup) -> None:
        self._setup = setup
        self._place = LocalPlace(setup.state_folder / FOLDER / setup.endpoint.name, setup.endpoint.name)
        self._workspace = setup.state_folder.parent.parent
        self._azure = AzureSources(setup.settings, self._workspace)

    def check(self, endpoint: Endpoint) -> tuple[Problem, ...]:
        """What of the file cannot be done on this machine."""
        return tuple(check_here(endpoint))

    def read_state(self) -> EndpointState:
        """What is there now; servers are asked whether they are ready.

        Raises:
            StateError: X293.
        """
        there = self._place.find()
        if there is None:
            return EndpointState()
        previous, specs = read_previous(there.tags.get(PREVIOUS_TAG, ""))
        return EndpointState(
            exists=True,
            address=front_address(there),
            deployments=tuple(
                self._deployment_state(name, item) for name, item in sorted(there.deployments.items())
            ),
            traffic=dict(there.traffic),
            mirror=dict(there.mirror),
            previous=previous,
            previous_specs=specs,
            untried=read_untried(there.tags.get(UNTRIED_TAG, "")),
            is_busy=bool(there.leaving),
            down=_why_down(there),
            settings=dict(there.settings),
        )

    def _deployment_state(self, name: str, item: LocalDeployment) -> DeploymentState:
        shown = item.copy or item.coming
        tags: Mapping[str, str] = shown.tags if shown is not None else {}
        lives = shown is not None and is_alive(shown.process)
        lacks = ask_ready(shown) if shown is not None and lives else None
        is_coming = item.copy is None and lives
        message = ""
        if not lives:
            said = last_lines(self._place.log(name), _SHOWN_LINES, is_of_last_start=True)
            message = "; ".join(["its process has ended", *(f"log: {line}" for line in said)])
        elif lacks != "" and not is_coming:
            message = "it does not answer" if lacks is None else lacks
        return DeploymentState(
            name=name,
            version=tags.get(VERSION_TAG, ""),
            spec=tags.get(SPEC_TAG, ""),
            health="starting" if is_coming else "failed" if message else "healthy",
            is_busy=item.copy is not None and item.coming is not None,
            message=message,
            n_copies=shown.n_workers if shown is not None and lives else 0,
            is_ours=True,
            scale=_scale(item.scale),
        )

    def apply(self, change: Change, endpoint: Endpoint) -> None:
        """Make one step of a plan.

        Raises:
            RemoteRequestError: X292 when a server does not become ready.
            StateError: X293 for the file of the endpoint, X294 for what is not as the plan has it.
            DefinitionError: X101 for a variable that is not set.
        """
        steps: Mapping[str, Callable[[Change, Endpoint], None]] = {
            "wait": self._wait,
            "create endpoint": self._put_endpoint,
            "update endpoint": self._put_endpoint,
            "prepare": self._prepare,
            "create deployment": self._put_deployment,
            "update deployment": self._put_deployment,
            "note": self._note,
            "set mirror": self._set_mirror,
            "move traffic": self._move_traffic,
            "set scale": self._set_scale,
            "delete deployment": self._delete_deployment,
            "delete endpoint": self._delete_endpoint,
        }
        steps[change.action](change, endpoint)

    def address(self, deployment: str | None) -> Address:
        """Where requests go, with the key of whoever deploys.

        Raises:
            UsageError: X143 for a deployment, or an endpoint, that does not exist.
        """
        there = self._place.find()
        name = self._setup.endpoint.name
        if there is None:
            raise no_deployment(name)
        if deployment is not None and deployment not in there.deployments:
            raise no_deployment(name, deployment, list(there.deployments))
        headers = {PIN: deployment} if deployment is not None else {}
        if there.key_file:
            key = (self._place.folder / KEY_FILE).read_text(encoding="ascii").strip()
            headers["Authorization"] = f"Bearer {key}"
        return Address(url=front_address(there), headers=headers)

    def read_logs(self, deployment: str, n_lines: int) -> Iterator[str]:
        """The last lines that the servers of a deployment have written.

        Raises:
            UsageError: X143 for a deployment that does not exist.
        """
        there = self._place.find()
        if there is None or deployment not in there.deployments:
            raise no_deployment(
                self._setup.endpoint.name, deployment, list(there.deployments if there is not None else ())
            )
        yield from last_lines(self._place.log(deployment), n_lines)

    def close(self) -> None:
        """Give back what secrets were read through; what was started goes on."""
        self._azure.close()

    # The endpoint

    def _put_endpoint(self, change: Change, endpoint: Endpoint) -> None:
        def put(there: LocalEndpoint) -> LocalEndpoint:
            key_file = make_keys(self._place.folder) if endpoint.authentication == "key" else ""
            tags = {**there.tags, **change.tags}
            return replace(there, settings=endpoint.own_settings(), tags=tags, key_file=key_file)

        self._place.begin(put)
        start_front(self._place, self._setup, ANY_HOST if endpoint.is_public else LOOPBACK)
        for name in _ended(self._place.read()):
            self._start_again(name)

    def _start_again(self, name: str) -> None:
        """Start what has ended, from what is written down; what does not start stays failed, and is no obstacle."""
        item = self._place.read().deployments[name]
        if item.copy is None:
            return
        wish = self._wish(name, item.copy)

        def note(copy: LocalCopy) -> None:
            self._place.set_deployment(name, replace(self._place.read().deployments[name], copy=copy))

        try:
            values = self._values(item.copy)
            start_copy(wish, self._setup.settings, values, note)
        except HeadraceError as error:
            self._setup.tell(f"{name} does not start again: {error.problems[0].what}")

    def _wish(self, name: str, copy: LocalCopy) -> CopyWish:
        return CopyWish(name=name, made_from=copy, log=self._place.log(name), cwd=self._workspace)

    def _values(self, copy: LocalCopy, deployment: Deployment | None = None) -> dict[str, str]:
        return find_values(copy, self._setup.settings.environment, self._azure.vault_secret, deployment)

    def _wait(self, change: Change, endpoint: Endpoint) -> None:
        """See what is under way to its end, whatever that is."""
        if not change.deployment:
            self._end_leaving()
            return
        item = self._place.read().deployments.get(change.deployment)
        if item is None or item.coming is None:
            return
        try:
            self._see_ready(change.deployment, item.coming)
        except RemoteRequestError:
            if item.copy is not None:
                self._give_up(change.deployment)

    def _delete_endpoint(self, change: Change, endpoint: Endpoint) -> None:
        if self._place.find() is None:
            return

        def leave(there: LocalEndpoint) -> LocalEndpoint:
            leaving = [*there.leaving, *_leaving_of(*there.deployments.values())]
            if there.front is not None and there.front.process is not None:
                leaving.append(LocalLeaving(process=there.front.process))
            front = replace(there.front, process=None) if there.front is not None else None
            return replace(there, front=front, deployments={}, traffic={}, mirror={}, leaving=tuple(leaving))

        self._place.change(leave)
        self._end_leaving()
        for path in sorted(self._place.folder.iterdir(), key=lambda path: path == self._place.file):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        with suppress(OSError):
            self._place.folder.rmdir()

    def _end_leaving(self) -> None:
        """End what is to end: requests that it has are answered first."""
        for item in self._place.read().leaving:
            stop(item.process, self._setup.settings.grace_s)
            if item.folder:
                shutil.rmtree(item.folder, ignore_errors=True)
            self._place.change(
                lambda there, item=item: replace(  # type: ignore[misc]
                    there, leaving=tuple(other for other in there.leaving if other != item)
                )
            )

    # Deployments

    def _prepare(self, change: Change, endpoint: Endpoint) -> None:
        deployment = wished(change, endpoint)
        self._setup.pack(deployment, "image")
        made_from = wished_copy(deployment, {}, self._place.folder, 1)
        self._values(made_from, deployment)  # what is missing is said at once

    def _put_deployment(self, change: Change, endpoint: Endpoint) -> None:
        deployment = wished(change, endpoint)
        item = self._place.read().deployments.get(deployment.name) or LocalDeployment()
        if item.copy is not None and _is_made(item.copy, change.tags) and ask_ready(item.copy) == "":
            return
        if item.coming is not None and _is_made(item.coming, change.tags) and is_alive(item.coming.process):
            self._see_ready(deployment.name, item.coming)
            return
        self._make(deployment, endpoint, {**deployment.tags, **change.tags}, deployment.scale.minimum)

    def _make(
        self, deployment: Deployment, endpoint: Endpoint, tags: Mapping[str, str], n_workers: int
    ) -> None:
        """Start a copy beside the one that is there, and let it take over once it is ready."""
        name, environment = deployment.name, self._setup.settings.environment
        self._give_up(name)
        folder = self._place.folder / "copies" / f"{name}-{secrets.token_hex(4)}"
        made_from = wished_copy(deployment, tags, folder, n_workers)
        values = self._values(made_from, deployment)
        copy_package(self._setup.pack(deployment, "image"), folder, {**inherited(environment), **values})

        def note(copy: LocalCopy) -> None:
            item = self._place.read().deployments.get(name) or LocalDeployment(
                scale=scale_facts(Scale(minimum=n_workers, maximum=n_workers))
            )
            self._place.set_deployment(name, replace(item, coming=copy))

        try:
            start_copy(self._wish(name, made_from), self._setup.settings, values, note)
        except RemoteRequestError:
            self._set_back(name)
            raise
        self._take_over(name)

    def _see_ready(self, name: str, coming: LocalCopy) -> None:
        try:
            wait_ready(name, coming, self._place.log(name))
        except RemoteRequestError:
            self._set_back(name)
            raise
        self._take_over(name)

    def _take_over(self, name: str) -> None:
        """Let what is ready answer, and end what answered before."""

        def take(there: LocalEndpoint) -> LocalEndpoint:
            item = there.deployments[name]
            made = replace(item, copy=item.coming or item.copy, coming=None)
            before = () if item.coming is None else _leaving_of(replace(item, coming=None))
            return replace(
                there, deployments={**there.deployments, name: made}, leaving=(*there.leaving, *before)
            )

        self._place.change(take)
        self._end_leaving()

    def _set_back(self, name: str) -> None:
        """End what did not become ready. Where nothing else is there, it stays written down as failed."""
        item = self._place.read().deployments.get(name)
        if item is None or item.coming is None:
            return
        stop(item.coming.process, 0)
        if item.copy is not None:
            self._give_up(name)

    def _give_up(self, name: str) -> None:
        """End what was to take over, and forget it."""

        def leave(there: LocalEndpoint) -> LocalEndpoint:
            item = there.deployments.get(name)
            if item is None or item.coming is None:
                return there
            made = replace(item, coming=None)
            others = {other: found for other, found in there.deployments.items() if other != name}
            kept = {**others, name: made} if item.copy is not None else others
            before = _leaving_of(replace(item, copy=None))
            return replace(there, deployments=kept, leaving=(*there.leaving, *before))

        self._place.change(leave)
        self._end_leaving()

    def _set_scale(self, change: Change, endpoint: Endpoint) -> None:
        deployment = wished(change, endpoint)
        item = self._place.read().deployments.get(deployment.name)
        if item is None:
            raise self._place.gone(deployment.name)
        if item.copy is not None and item.copy.n_workers != deployment.scale.minimum:
            self._make(deployment, endpoint, item.copy.tags, deployment.scale.minimum)
        scale = scale_facts(deployment.scale)
        name = deployment.name
        self._place.change(
            lambda there: replace(
                there,
                deployments={**there.deployments, name: replace(there.deployments[name], scale=scale)},
            )
        )

    def _delete_deployment(self, change: Change, endpoint: Endpoint) -> None:
        name = change.deployment

        def leave(there: LocalEndpoint) -> LocalEndpoint:
            item = there.deployments.get(name)
            if item is None:
                return there
            if there.traffic.get(name) or there.mirror.get(name):
                what = f"The deployment {name} still gets requests, or copies of them, and is not deleted."
                fix = "Move its traffic to another deployment first: headrace deploy traffic NAME=100"
                raise StateError(Problem(code="X294", what=what, fix=fix))
            others = {other: found for other, found in there.deployments.items() if other != name}
            return replace(there, deployments=others, leaving=(*there.leaving, *_leaving_of(item)))

        self._place.change(leave)
        self._end_leaving()
        self._place.log(name).unlink(missing_ok=True)

    # Traffic

    def _move_traffic(self, change: Change, endpoint: Endpoint) -> None:
        shares = change.shares

        def move(there: LocalEndpoint) -> LocalEndpoint:
            self._check_answering(there, shares)
            if dict(there.traffic) == shares:
                return there  # its tags still say what was before
            mirror = {name: share for name, share in there.mirror.items() if name not in shares}
            return replace(there, traffic=shares, mirror=mirror, tags={**there.tags, **change.tags})

        self._place.change(move)

    def _note(self, change: Change, endpoint: Endpoint) -> None:
        self._place.change(lambda there: replace(there, tags={**there.tags, **change.tags}))

    def _set_mirror(self, change: Change, endpoint: Endpoint) -> None:
        shares = change.shares

        def mirror(there: LocalEndpoint) -> LocalEndpoint:
            self._check_answering(there, shares)
            return replace(there, mirror=shares, tags={**there.tags, **change.tags})

        self._place.change(mirror)

    def _check_answering(self, there: LocalEndpoint, shares: Mapping[str, int]) -> None:
        for name in shares:
            item = there.deployments.get(name)
            if item is None or item.copy is None:
                raise self._place.gone(name)
            is_more = shares[name] > there.traffic.get(name, 0)
            if is_more and not is_alive(item.copy.process):
                what = f"The server of {name} has ended, so it gets no more requests than before."
                raise StateError(Problem(code="X294", what=what, fix="Start it again: headrace deploy apply"))


def _why_down(there: LocalEndpoint) -> str:
    """What is to be started again: the process that has the address, or a server that is to get requests."""
    if not front_answers(there.front):
        return "nothing answers at its address"
    ended = _ended(there)
    return f"the server of {' and '.join(ended)} has ended" if ended else ""


def _ended(there: LocalEndpoint) -> list[str]:
    """Deployments that are to get requests, or copies of them, and whose process has ended."""
    return [
        name
        for name, item in sorted(there.deployments.items())
        if (name in there.traffic or name in there.mirror)
        and item.copy is not None
        and not is_alive(item.copy.process)
    ]


def _leaving_of(*items: LocalDeployment) -> tuple[LocalLeaving, ...]:
    copies = [copy for item in items for copy in (item.copy, item.coming) if copy is not None]
    return tuple(LocalLeaving(process=copy.process, folder=copy.folder) for copy in copies)


def _is_made(copy: LocalCopy, tags: Mapping[str, str]) -> bool:
    return copy.tags.get(SPEC_TAG) == tags.get(SPEC_TAG)


def _scale(facts: Mapping[str, JsonValue]) -> Scale | None:
    return Scale(**json.loads(json.dumps(facts))) if facts else None
