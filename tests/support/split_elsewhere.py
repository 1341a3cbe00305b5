"""A split between two endpoints elsewhere, and programs in front of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headrace.ab import Split
from headrace.domain.evidence import Completion, Evidence, Exposure, Feedback
from headrace.store.opening import open_store

TRAFFIC = """\
name: {name}
unit: {unit}
arms:
  - {{name: old, flow: "http://127.0.0.1:9001/score", weight: 0.5}}
  - {{name: new, flow: "http://127.0.0.1:9002/score", weight: 0.5}}
metrics:
  - {{name: helpful, window: 10m, missing: 0}}
{more}"""


def write_traffic(
    folder: Path, *, more: str = "", unit: str = "{header: x-user}", name: str = "elsewhere"
) -> Path:
    path = folder / "traffic.yaml"
    path.write_text(TRAFFIC.format(name=name, unit=unit, more=more), encoding="utf-8")
    return path


@contextmanager
def splitting(folder: Path, *, more: str = "", unit: str = "{header: x-user}") -> Iterator[Split]:
    """A split with a store and a journal in ``folder``, which looks for changes when it is told to."""
    path = write_traffic(folder, more=more, unit=unit)
    with Split.open(path, store=folder / "store.sqlite", follow_s=3600) as split:
        yield split


def recorded(split: Split, folder: Path) -> list[Evidence]:
    """What has come into the store, in order."""
    assert split.flush(30)
    store = open_store(folder / "store.sqlite")
    try:
        return [arrival.evidence for arrival in store.read_arrivals(split.traffic.name)]
    finally:
        store.close()


def exposures(records: Sequence[Evidence]) -> list[Exposure]:
    return [record for record in records if isinstance(record, Exposure)]


def completions(records: Sequence[Evidence]) -> list[Completion]:
    return [record for record in records if isinstance(record, Completion)]


def feedbacks(records: Sequence[Evidence]) -> list[Feedback]:
    return [record for record in records if isinstance(record, Feedback)]


class Asked:
    """What an ASGI program answered to one request.

    Args:
        app: The program.
        body: Of the request, in pieces.
        leaves: Whether the client goes once it has sent everything.
    """

    def __init__(
        self,
        app: Any,
        path: str = "/ask",
        *,
        headers: Mapping[str, str] | None = None,
        body: Sequence[bytes] = (b"",),
        leaves: bool = False,
    ) -> None:
        self.messages: list[Mapping[str, Any]] = []
        self._pieces = list(body)
        self._leaves = leaves
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in (headers or {}).items()],
        }
        asyncio.run(app(scope, self._receive, self._send))

    @property
    def status(self) -> int:
        return int(self.messages[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.messages[0]["headers"]}

    async def _receive(self) -> Mapping[str, Any]:
        if self._pieces:
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}
        if self._leaves:
            return {"type": "http.disconnect"}
        return await asyncio.Future()

    async def _send(self, message: Mapping[str, Any]) -> None:
        self.messages.append(message)
