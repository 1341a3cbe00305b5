"""Requests to a flow that either engine serves on a loopback port, and the answers in a comparable form."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from collections.abc import Callable, Iterable
from typing import Any

from tests.conformance.promptflow.case import Ask, Step

_EVENTS = "text/event-stream"
_READY_WITHIN_S = 60.0
_ANSWER_WITHIN_S = 30.0


def serve_words(step: Step, port: int) -> tuple[str, ...]:
    """The command line of a step that serves a flow on ``port``."""
    return (*step.words, "--port", str(port), "--skip-open-browser")


def wait_until_served(port: int, is_running: Callable[[], bool]) -> bool:
    """Whether a server accepts connections on ``port`` before its process ends.

    Raises:
        TimeoutError: It does neither.
    """
    deadline = time.monotonic() + _READY_WITHIN_S
    while time.monotonic() < deadline:
        if not is_running():
            return False
        try:
            socket.create_connection(("localhost", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return True
    message = f"nothing listens on port {port} after {_READY_WITHIN_S:.0f} seconds"
    raise TimeoutError(message)


def ask_all(port: int, asks: Iterable[Ask]) -> list[dict[str, Any]]:
    """The answers to requests, sent one after another: status, media type, body, and the headers that are asked for."""
    return [_ask(port, ask) for ask in asks]


def _ask(port: int, ask: Ask) -> dict[str, Any]:
    connection = http.client.HTTPConnection("localhost", port, timeout=_ANSWER_WITHIN_S)
    try:
        connection.request(ask.method, ask.path, body=ask.body, headers=dict(ask.headers))
        response = connection.getresponse()
        try:
            content, is_cut = response.read(), False
        except http.client.IncompleteRead as error:
            content, is_cut = error.partial, True
    finally:
        connection.close()
    media_type = (response.getheader("Content-Type") or "").partition(";")[0]
    answer: dict[str, Any] = {"status": response.status, "type": media_type}
    answer["body"] = _body(content.decode(), media_type)
    if is_cut:
        answer["is_cut"] = True
    if ask.shows:
        answer["headers"] = {name.lower(): response.getheader(name) for name in ask.shows}
    return answer


def _body(text: str, media_type: str) -> Any:
    """What was answered: data for JSON, a list for events; of an error its code, of a page for people nothing."""
    if media_type == _EVENTS:
        return [_comparable(json.loads(event)) for event in re.findall(r"^data: (.*)$", text, re.MULTILINE)]
    if media_type == "application/json":
        return _comparable(json.loads(text))
    return "{page}" if text.lstrip().startswith("<") else text


def _comparable(data: Any) -> Any:
    """``data`` without the text of an error and the version of the engine."""
    if not isinstance(data, dict):
        return data
    if isinstance(data.get("error"), dict):
        return {"error": {"code": data["error"].get("code")}}
    is_release = re.fullmatch(r"\d+\.\d+\.\d+\S*", str(data.get("version")))
    return {**data, "version": "{version}"} if is_release else data
