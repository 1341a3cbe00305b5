"""Ways of answering that are rougher than those of ``manners.py``: refusals, lost connections, tags of versions, late deletions.

They count requests and no time, too.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from tests.support.azure.arm import ARM_HOST
from tests.support.azure.manners import changed, data_of, is_arm, is_status
from tests.support.azure.messages import Drop, Request, Response, refuse

Ask = Callable[[Request], Response]

_WRITES = ("PUT", "PATCH", "DELETE")
_VERSIONED = re.compile(
    r"/(onlineEndpoints|onlineEndpoints/[^/]+/deployments|accounts/[^/]+/deployments|containerApps)/[^/]+$",
    re.I,
)


class ETags:
    """Every answer says the version of its resource, and a write of another version than the one that is there is refused."""

    def __init__(self) -> None:
        self._versions: dict[str, int] = {}
        self._lock = threading.Lock()
        self.n_matched = 0
        self.n_refused = 0

    def __call__(self, request: Request, ask: Ask) -> Response:
        if not is_arm(request) or not _VERSIONED.search(request.path):
            return ask(request)
        path = request.path.lower()
        wanted = request.headers.get("if-match")
        with self._lock:
            now = f'"{self._versions.get(path, 1):08x}-0000-0d00-0000-0000abcdef"'
            if wanted not in (None, "*", now) and request.method in _WRITES:
                self.n_refused += 1
                return refuse(412, "PreconditionFailed", "The condition 'If-Match' was not met.")
        response = ask(request)
        with self._lock:
            if request.method in _WRITES and response.status < 300:
                self.n_matched += wanted is not None
                self._versions[path] = self._versions.get(path, 1) + 1
            now = f'"{self._versions.get(path, 1):08x}-0000-0d00-0000-0000abcdef"'
        if response.status >= 300:
            return response
        if request.method == "GET" and response.body:
            return changed(response, data={**data_of(response), "etag": now}, ETag=now)
        return changed(response, ETag=now)


class Colleague:
    """Somebody else changes a resource right before a write to it, once.

    Args:
        path: Regular expression for the end of the path of the resource.
        change: Changes its body.
    """

    def __init__(self, path: str, change: Callable[[dict[str, Any]], object]) -> None:
        self._path, self._change, self._is_done = re.compile(path + "$", re.I), change, False

    def __call__(self, request: Request, ask: Ask) -> Response:
        if request.method in ("PUT", "PATCH") and self._path.search(request.path) and not self._is_done:
            self._is_done = True
            read = replace(request, method="GET", body=b"")
            body = data_of(ask(read))
            self._change(body)
            headers = {name: text for name, text in request.headers.items() if name != "if-match"}
            ask(replace(request, method="PUT", headers=headers, body=json.dumps(body).encode()))
            while data_of(ask(read))["properties"]["provisioningState"] != "Succeeded":
                pass
        return ask(request)


class Refusing:
    """Every so many of some requests one is answered with a refusal that passes.

    Args:
        every: How many.
        status: Of the refusal.
        code: Of its error; empty for a page of a gateway in its place.
        message: Of its error.
        methods: Of the requests that are counted.
        headers: Of the refusal.
        hosts: Whose requests are counted, as a regular expression.
    """

    def __init__(
        self,
        every: int,
        status: int,
        code: str = "",
        message: str = "",
        *,
        methods: str = "GET PUT PATCH POST DELETE",
        headers: Mapping[str, str] | None = None,
        hosts: str = ARM_HOST,
    ) -> None:
        self._every, self._status, self._code, self._message = every, status, code, message
        self._methods, self._headers, self._hosts = methods.split(), dict(headers or {}), re.compile(hosts)
        self._n_asked = 0
        self.n_refused = 0

    def __call__(self, request: Request, ask: Ask) -> Response:
        if request.method in self._methods and self._hosts.fullmatch(request.host):
            self._n_asked += 1
            if self._n_asked % self._every == 0:
                self.n_refused += 1
                if self._code:
                    return refuse(self._status, self._code, self._message, headers=self._headers)
                page = f"<html><head><title>{self._status}</title></head><body>nginx</body></html>".encode()
                return Response(
                    status=self._status, headers={"Content-Type": "text/html", **self._headers}, body=page
                )
        return ask(request)


class Dropping:
    """Every so many requests the connection is lost.

    Args:
        every: How many.
        moment: "before" or "after" it had its effect; "within" its answer.
        hosts: Whose requests are counted, as a regular expression.
        methods: Of the requests that are counted; empty for all.
    """

    def __init__(self, every: int, moment: str = "before", hosts: str = ARM_HOST, methods: str = "") -> None:
        self._every, self._moment, self._hosts = every, moment, re.compile(hosts)
        self._methods = methods.split()
        self._n_asked = 0

    def __call__(self, request: Request, ask: Ask) -> Response:
        if not self._hosts.search(request.host) or (self._methods and request.method not in self._methods):
            return ask(request)
        self._n_asked += 1
        if self._n_asked % self._every:
            return ask(request)
        if self._moment == "before":
            raise Drop
        response = ask(request)
        if self._moment == "after":
            raise Drop
        body = response.body if isinstance(response.body, bytes) else b"".join(response.body)
        return changed(
            replace(response, body=body[: len(body) // 2]), Content_Length=str(len(body)), Connection="close"
        )


def display_regions(request: Request, ask: Ask) -> Response:
    """Regions are spelled as people do."""
    names = {"westeurope": "West Europe"}
    return _reworded(request, ask, ("location",), names)


def link(value: str | None) -> Callable[[Request, Ask], Response]:
    """What the last page of a list says of the next one."""

    def manner(request: Request, ask: Ask) -> Response:
        response = ask(request)
        if not is_arm(request) or request.method != "GET" or response.status != 200 or not response.body:
            return response
        data = data_of(response)
        if isinstance(data, dict) and isinstance(data.get("value"), list):
            return changed(response, data={"nextLink": value, **data})
        return response

    return manner


class Expiring:
    """The address of an operation is gone once it has told of the end.

    Args:
        status: It is answered with from then on.
    """

    def __init__(self, status: int = 404) -> None:
        self._status = status
        self._told: set[str] = set()

    def __call__(self, request: Request, ask: Ask) -> Response:
        if not is_status(request):
            return ask(request)
        if request.path in self._told:
            return refuse(self._status, "OperationNotFound", "The operation has expired.")
        response = ask(request)
        data = data_of(response) if response.body else {}
        if response.status != 202 and data.get("status") not in ("InProgress",):
            self._told.add(request.path)
        return response


class LaggingDeletes:
    """What was deleted is shown for a while, also in lists.

    Args:
        n_reads: How often.
    """

    def __init__(self, n_reads: int = 2) -> None:
        self._n_reads = n_reads
        self._stale: dict[str, list[Response]] = {}

    def __call__(self, request: Request, ask: Ask) -> Response:
        path = request.path.lower()
        if is_arm(request) and request.method == "DELETE" and _VERSIONED.search(path):
            target, _, query = request.target.partition("?")
            parent = f"{target.rpartition('/')[0]}?{query}"
            reads = {path: request.target}
            if "/deployments/" in path:
                reads[path.rpartition("/")[0]] = parent
            before = {
                key: ask(replace(request, method="GET", target=to, body=b"")) for key, to in reads.items()
            }
            response = ask(request)
            if response.status < 300:
                for key, old in before.items():
                    if old.status == 200:
                        self._stale[key] = [old] * self._n_reads
            return response
        left = self._stale.get(path)
        if request.method == "GET" and left and "skip" not in request.target.lower():
            return left.pop()
        return ask(request)


def bare_secrets(request: Request, ask: Ask) -> Response:
    """Lists of secrets have no values of those that a vault keeps, and null in their place."""
    response = ask(request)
    if request.path.endswith("/listSecrets") and "containerApps" in request.path and response.status == 200:
        data = data_of(response)
        for item in data["value"]:
            item.setdefault("value", None)
            item.setdefault("keyVaultUrl", None)
            item.setdefault("identity", None)
        return changed(response, data=data)
    return response


def null_flavors(request: Request, ask: Ask) -> Response:
    """Versions of models say null of everything that they do not have."""
    response = ask(request)
    if not re.search(r"/models/[^/]+/versions/[^/]+$", request.path) or response.status >= 300:
        return response
    data = data_of(response)
    data["properties"] = {
        **dict.fromkeys(("flavors", "jobName", "stage", "description")),
        **data["properties"],
    }
    if not data["properties"]["flavors"]:
        data["properties"]["flavors"] = None
    return changed(response, data=data)


def other_words(request: Request, ask: Ask) -> Response:
    """What is under way is called otherwise."""
    words = {
        "InProgress": "Running",
        "Updating": "Provisioning",
        "Creating": "Accepted",
        "Deleting": "Deprovisioning",
    }
    return _reworded(request, ask, ("status", "provisioningState"), words)


def _reworded(request: Request, ask: Ask, keys: Collection[str], words: Mapping[str, str]) -> Response:
    """An answer with other words for the values of some keys."""
    response = ask(request)
    if not is_arm(request) or not response.body or response.status >= 400:
        return response

    def change(data: Any) -> Any:
        if isinstance(data, list):
            return [change(item) for item in data]
        if not isinstance(data, dict):
            return data
        return {
            key: words.get(value, value) if key in keys and isinstance(value, str) else change(value)
            for key, value in data.items()
        }

    return changed(response, data=change(data_of(response)))


class NoAnswerAtFirst:
    """The address of a deployment cannot be reached at first.

    Args:
        n: How often.
    """

    def __init__(self, n: int = 2) -> None:
        self._n = n
        self._seen: dict[str, int] = {}

    def __call__(self, request: Request, ask: Ask) -> Response:
        if request.path.endswith("/score"):
            key = request.host + request.headers.get("azureml-model-deployment", "")
            number = self._seen[key] = self._seen.get(key, 0) + 1
            if number <= self._n:
                raise Drop
        return ask(request)
