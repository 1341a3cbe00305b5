"""A target that only remembers, as strict as the strictest service: for tests of whatever deploys.

What it remembers lies in a file of the state folder, so that a process that was killed, and the next one, see the same
place. It answers no requests: who needs answers gives it the address of a server.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from headrace.deploy.base import Address, TargetSetup, Traits, no_deployment
from headrace.domain.deployment import (
    OWNER_TAG,
    PREVIOUS_TAG,
    SPEC_TAG,
    UNTRIED_TAG,
    VERSION_TAG,
    Change,
    DeploymentState,
    Endpoint,
    EndpointState,
    Scale,
)
from headrace.domain.deployment_notes import read_previous, read_untried
from headrace.domain.remote import PIN
from headrace.errors import Problem, RemoteRequestError, RemoteUnavailableError

FILE = "memory_target.json"
_EMPTY: Mapping[str, Any] = {
    "endpoint": None,
    "deployments": {},
    "faults": [],
    "applied": [],
    "url": "",
    "beside": False,
}


class MemoryTarget:
    """What was deployed, in a file; see :class:`~headrace.deploy.base.Target`.

    Attributes:
        traits: Of a target that can do all but scale to zero, and makes a changed deployment beside the one before only
            where it was told so.
    """

    traits = Traits(
        can_mirror=True,
        replaces_in_place=False,
        most_deployments=4,
    )

    def __init__(self, setup: TargetSetup) -> None:
        self._setup = setup
        self._file = setup.state_folder / FILE
        is_beside = _load(self._file)["beside"]
        self.traits = replace(self.traits, replaces_in_place=is_beside, tries_beside=is_beside)

    def check(self, endpoint: Endpoint) -> tuple[Problem, ...]:
        """Nothing is beyond it."""
        del endpoint
        return ()

    def read_state(self) -> EndpointState:
        """What it remembers."""
        return read_memory(self._file)

    def apply(self, change: Change, endpoint: Endpoint) -> None:
        """Remember one step, unless a fault is laid for it.

        Raises:
            RemoteRequestError: X159 for a step that no service would make, or that is to fail.
            RemoteUnavailableError: X159 for a connection that is to break.
        """
        memory = _load(self._file)
        fault = _take_fault(memory, change)
        if fault == "die before":
            _save(self._file, memory)
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "drop":
            _save(self._file, memory)
            raise RemoteUnavailableError(_refusal(change, "the connection broke"))
        if fault == "interrupt":
            _save(self._file, memory)
            raise KeyboardInterrupt
        if change.action == "prepare":
            deployment = endpoint.find(change.deployment)
            if deployment is not None:
                self._setup.pack(deployment, "flow")
        _STEPS[change.action](memory, change, endpoint)
        if fault in ("fail", "busy", "starting") and change.deployment in memory["deployments"]:
            item = memory["deployments"][change.deployment]
            item = item.get("tried") or item
            item |= {
                "fail": {"health": "failed", "message": "the readiness probe failed"},
                "busy": {"health": "starting", "busy": True},
                "starting": {"health": "starting"},
            }[fault]
        memory["applied"].append([change.action, change.deployment, change.after])
        _save(self._file, memory)
        self._setup.tell(change.what)
        if fault == "die after":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "fail":
            raise RemoteRequestError(_refusal(change, "the readiness probe failed"))

    def address(self, deployment: str | None) -> Address:
        """The address that it was given.

        Raises:
            UsageError: X143 for a deployment that it does not remember.
        """
        memory = _load(self._file)
        name = self._setup.endpoint.name
        if memory["endpoint"] is None:
            raise no_deployment(name)
        if deployment and deployment not in memory["deployments"]:
            raise no_deployment(name, deployment, list(memory["deployments"]))
        headers = {PIN: deployment} if deployment else {}
        return Address(url=memory["url"], headers=headers)

    def read_logs(self, deployment: str, n_lines: int) -> Iterator[str]:
        """What it did for a deployment."""
        done = [action for action, name, _ in _load(self._file)["applied"] if name == deployment]
        yield from done[-n_lines:]

    def close(self) -> None:
        """Nothing is open."""


def read_memory(file: Path) -> EndpointState:
    """What a file of a :class:`MemoryTarget` remembers."""
    memory = _load(file)
    there = memory["endpoint"]
    if there is None:
        return EndpointState()
    previous, specs = read_previous(there["tags"].get(PREVIOUS_TAG, ""))
    return EndpointState(
        exists=True,
        address=memory["url"],
        deployments=tuple(_deployment(name, item) for name, item in sorted(memory["deployments"].items())),
        traffic=dict(there["traffic"]),
        mirror=dict(there["mirror"]),
        previous=previous,
        previous_specs=specs,
        untried=read_untried(there["tags"].get(UNTRIED_TAG, "")),
        is_busy=there["busy"],
        settings=there["settings"],
    )


def change_memory(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Let somebody else change what is remembered: lay faults, give an address, make a deployment unhealthy.

    Args:
        file: As :func:`read_memory` takes it.
        change: Takes ``endpoint`` (``None`` for none), ``deployments`` by name, ``url``, ``applied``, and ``faults``,
            each a mapping with ``action``, ``deployment`` and ``kind``: ``fail``, ``busy``, ``starting``, ``drop``,
            ``interrupt``, ``die before`` or ``die after``. A fault happens once. ``beside`` lets a changed deployment
            with traffic stand beside the one that answers, which then has it as ``tried``.
    """
    memory = _load(file)
    change(memory)
    _save(file, memory)


def _load(file: Path) -> dict[str, Any]:
    if not file.exists():
        return json.loads(json.dumps(_EMPTY))  # type: ignore[no-any-return]
    return json.loads(file.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def _save(file: Path, memory: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(memory), encoding="utf-8")
    part.replace(file)


def _deployment(name: str, item: Mapping[str, Any]) -> DeploymentState:
    return DeploymentState(
        name=name,
        version=item["tags"].get(VERSION_TAG, ""),
        spec=item["tags"].get(SPEC_TAG, ""),
        health=item["health"],
        is_busy=item["busy"],
        message=item["message"],
        n_copies=item["scale"]["minimum"],
        is_ours=OWNER_TAG in item["tags"],
        instance_type=item["instance_type"],
        scale=Scale(**item["scale"]),
        tried=_deployment(name, item["tried"]) if item.get("tried") else None,
    )


def _take_fault(memory: dict[str, Any], change: Change) -> str:
    for index, fault in enumerate(memory["faults"]):
        if fault["action"] == change.action and fault.get("deployment", "") in ("", change.deployment):
            del memory["faults"][index]
            return str(fault["kind"])
    return ""


def _refusal(change: Change, why: str) -> Problem:
    named = f" {change.deployment}" if change.deployment else ""
    return Problem(
        code="X159",
        what=f"The step {change.action}{named} was not made: {why}.",
        fix="Apply again once the reason is gone.",
    )


def _refuse_if(condition: object, change: Change, why: str) -> None:
    if condition:
        raise RemoteRequestError(_refusal(change, why))


def _wait(memory: dict[str, Any], change: Change, endpoint: Endpoint) -> None:
    del endpoint
    if not change.deployment:
        if memory["endpoint"]:
            memory["endpoint"]["busy"] = False
        return
    item = memory["deployments"].get(change.deployment)
    for copy in (item, item.get("tried")) if item is not None else ():
        if copy is not None:
            copy["busy"] = False
            copy["health"] = "healthy" if copy["health"] == "starting" else copy["health"]


def _set_endpoint(memory: dict[str, Any], change: Change, endpoint: Endpoint) -> None:
    del endpoint
    there = memory["endpoint"]
    _refuse_if(there and there["busy"], change, "the endpoint is busy")
    before = there or {"traffic": {}, "mirror": {}, "tags": {}, "busy": False}
    memory["endpoint"] = {**before, "settings": change.after, "tags": {**before["tags"], **change.tags}}


def _make(memory: dict[str, Any], change: Change, endpoint: Endpoint) -> None:
    wish = endpoint.find(change.deployment)
    there = memory["endpoint"]
    found = memory["deployments"].get(change.deployment)
    _refuse_if(wish is None or there is None, change, "there is nothing to make it for")
    _refuse_if(there["busy"] or (found and found["busy"]), change, "something is under way")
    if wish is not None:
        at_least = wish.scale.minimum
        scale = {"minimum": at_least, "maximum": at_least, "requests_at_once": None, "cpu_percent": None}
        made = {
            "tags": {**wish.tags, **change.tags},
            "health": "healthy",
            "busy": False,
            "message": "",
            "instance_type": wish.size.instance_type,
            "scale": found["scale"] if found else scale,
        }
        if memory["beside"] and found and change.deployment in there["traffic"]:
            is_back = found["health"] == "healthy" and _spec(found) == _spec(made)
            found["tried"] = None if is_back else made
        else:
            memory["deployments"][change.deployment] = made


def _spec(item: Mapping[str, Any]) -> str:
    return str(item["tags"].get(SPEC_TAG, ""))


def _prepare(memory: dict[str, Any], change: Change, endpoint: Endpoint) -> None:
    del memory
    _refuse_if(endpoint.find(change.deployment) is None, change, "nobody wishes for it")


def _move(memory: dict[str, Any], change: Change, endpoint: Endpoint) -> None:
    del endpoint
    for name in change.taking_over:
        _take_over(memory, name)
    shares = _shares(memory, change)
    there = memory["endpoint"]
    for name in {*there["traffic"]} - {*shares}:
        _take_over(memory, name)
    _refuse_if(sum(shares.values()) not in (0, 100), change, "the traffic has to add to 100")
    _refuse_if(
        set(shares) & set(there["mirror"]), change, "a deployment cannot have traffic and copies of it"
    )
    if there["traffic"] != shares:  # made again, its tags still say what was before
        there["traffic"] = shares
        there["tags"] |= change.tags


def _take_over(memory: dict[str, Any], name: str) -> None:
    """Let what was tried be all that there is under a name."""
    item = memory["deployments"].get(name) or {}
    if item.get("tried"):
        memory["deployments"][name] = item["tried"]


def _note(memory: dict[str, Any], change: Change, endpoint: Endpoint) -> None:
    del endpoint
    there = memory["endpoint"]
    _refuse_if(there is None or there["busy"], change, "the endpoint is busy, or not there")
    there["tags"] |= change.tags


def _set_mirror(memory: dict[str, Any], change: Change, endpoint: Endpoint) -> None:
    del endpoint
    shares = _shares(memory, change)
    there = memory["endpoint"]
    _refuse_if(
        len(shares) > 1 or sum(shares.values()) > 50, change, "one deployment may get half of the requests"
    )
    _refuse_if(
        set(shares) & set(there["traffic"]), change, "a deployment cannot have traffic and copies of it"
    )
    there["mirror"] = shares


def _shares(memory: dict[str, Any], change: Change) -> dict[str, int]:
    shares = change.shares
    there = memory["endpoint"]
    _refuse_if(there is None or there["busy"], change, "the endpoint is busy, or not there")
    for name, share in shares.items():
        item = memory["deployments"].get(name)
        _refuse_if(item is None or item["busy"], change, f"{name} is busy, or not there")
        is_more = name in change.taking_over or share > there["traffic"].get(name, 0)
        _refuse_if(is_more and item["health"] != "healthy", change, f"{name} is {item['health']}")
    return shares


def _set_scale(memory: dict[str, Any], change: Change, endpoint: Endpoint) -> None:
    del endpoint
    item = memory["deployments"].get(change.deployment)
    _refuse_if(item is None or item["busy"], change, "it is busy, or not there")
    (item.get("tried") or item)["scale"] = change.after


def _delete(memory: dict[str, Any], change: Change, endpoint: Endpoint) -> None:
    del endpoint
    there, item = memory["endpoint"], memory["deployments"].get(change.deployment)
    if there is None or item is None:
        return
    _refuse_if(item["busy"], change, "it is busy")
    has_requests = change.deployment in there["traffic"] or change.deployment in there["mirror"]
    _refuse_if(has_requests, change, "it gets requests")
    del memory["deployments"][change.deployment]


def _delete_endpoint(memory: dict[str, Any], change: Change, endpoint: Endpoint) -> None:
    del change, endpoint
    memory |= {"endpoint": None, "deployments": {}}


_STEPS: Mapping[str, Callable[[dict[str, Any], Change, Endpoint], None]] = {
    "wait": _wait,
    "create endpoint": _set_endpoint,
    "update endpoint": _set_endpoint,
    "prepare": _prepare,
    "create deployment": _make,
    "update deployment": _make,
    "note": _note,
    "set mirror": _set_mirror,
    "move traffic": _move,
    "set scale": _set_scale,
    "delete deployment": _delete,
    "delete endpoint": _delete_endpoint,
}
