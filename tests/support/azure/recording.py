"""What was asked of the stand-in, for tests to look at and for the check against Azure's schemas; without secrets."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.azure.messages import Request

RECORD_VARIABLE = "HEADRACE_AZURE_RECORD"
"""A folder that every stand-in writes what it was asked into, one file for each process (``make azure-schemas``)."""

_SECRET_HEADERS = frozenset({"authorization", "api-key", "cookie", "x-ms-authorization-auxiliary"})
_SECRET_HOSTS = frozenset({"login.microsoftonline.com"})


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One request and the status of its answer, 0 where the connection was lost.

    Attributes:
        body: JSON as data, else its length in bytes; ``None`` for none.
    """

    method: str
    host: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    status: int

    @property
    def api_version(self) -> str:
        return self.query.get("api-version", "")


class Recording:
    """All requests in the order of their answers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests: list[Recorded] = []
        folder = os.environ.get(RECORD_VARIABLE, "")
        self._path = Path(folder) / f"{os.getpid()}.jsonl" if folder else None

    def add(self, request: Request, status: int) -> None:
        """Note a request that was answered."""
        recorded = Recorded(
            method=request.method,
            host=request.host,
            path=request.path,
            query={name: value for name, value in request.query.items() if name != "sig"},
            headers={name: value for name, value in request.headers.items() if name not in _SECRET_HEADERS},
            body=_body(request),
            status=status,
        )
        with self._lock:
            self.requests.append(recorded)
            if self._path is not None:
                with self._path.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(asdict(recorded)) + "\n")

    def find(self, method: str = "", path: str = "") -> list[Recorded]:
        """Those with a method and a part of ``host/path``, whatever the case."""
        with self._lock:
            return [
                item
                for item in self.requests
                if method in ("", item.method) and path.lower() in (item.host + item.path).lower()
            ]

    def clear(self) -> None:
        """Forget what was asked so far."""
        with self._lock:
            self.requests.clear()


def _body(request: Request) -> Any:
    if not request.body:
        return None
    if request.host in _SECRET_HOSTS or "json" not in request.headers.get("content-type", ""):
        return len(request.body)
    try:
        return json.loads(request.body)
    except ValueError:
        return len(request.body)
