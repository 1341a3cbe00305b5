"""What a step gave, in a form that does not depend on the machine, and how both engines' are compared.

A result is a mapping: ``succeeded``, ``requests`` that reached the model service, and by kind of step ``outputs``
(test, python), ``shown`` (show) or ``rows``, ``failed_lines``, ``metrics`` and, where the aggregation failed,
``failed_nodes`` (run).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.conformance.promptflow.case import Case
from tests.support.model_server import Request

INFORMATION = "error"
"""The key under which a recording keeps stock's error; it is not compared."""

_INCIDENTAL = {
    "created_on", "output", "output_path", "system_metrics", "error",
    "created_date", "last_modified_date", "expiry_time",
}  # fmt: skip

_PATTERNS = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "{uuid}"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:?\d\d|Z)?"), "{time}"),
)


def normalise(value: Any, places: Mapping[str, str]) -> Any:
    """``value`` as JSON has it, with ``places``, times and uuids replaced by words in braces.

    Args:
        places: Text to word, e.g. a folder to ``{folder}``; longer ones first.
    """
    if isinstance(value, str):
        for text, word in places.items():
            value = value.replace(text, word)
        for pattern, word in _PATTERNS:
            value = pattern.sub(word, value)
        return value
    if isinstance(value, Mapping):
        return {normalise(str(key), places): normalise(item, places) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [normalise(item, places) for item in value]
    return value


def drop_incidental(shown: Any) -> Any:
    """What a command shows, without times, places of files and the texts of errors."""
    if isinstance(shown, list):
        return [drop_incidental(item) for item in shown]
    if not isinstance(shown, Mapping):
        return shown
    return {key: drop_incidental(item) for key, item in shown.items() if key not in _INCIDENTAL}


def restrict(given: Any, expected: Any) -> Any:
    """``given`` without the keys that ``expected`` does not have at the same place: what we show beyond stock."""
    if isinstance(given, list) and isinstance(expected, list) and len(given) == len(expected):
        return [restrict(*pair) for pair in zip(given, expected, strict=True)]
    if isinstance(given, Mapping) and isinstance(expected, Mapping):
        return {key: restrict(item, expected[key]) for key, item in given.items() if key in expected}
    return given


def make_places(folder: Path, home: Path, url: str) -> dict[str, str]:
    """The places of one engine's run of a case, for :func:`normalise`."""
    texts = {str(folder.resolve()): "{folder}", str(folder): "{folder}", str(home): "{home}", url: "{url}"}
    return dict(sorted(texts.items(), key=lambda item: -len(item[0])))


def requests_to_json(requests: Iterable[Request]) -> list[dict[str, Any]]:
    """Method, path with query, and body of requests, in an order that does not depend on their times."""
    plain = []
    for request in requests:
        query = "&".join(f"{name}={text}" for name, text in sorted(request.query.items()))
        body = request.body.decode(errors="replace") if isinstance(request.body, bytes) else request.body
        plain.append(
            {"method": request.method, "path": request.path + (f"?{query}" if query else ""), "body": body}
        )
    return sorted(plain, key=lambda item: json.dumps(item, sort_keys=True))


def compared(result: Mapping[str, Any]) -> dict[str, Any]:
    """What of a result is compared: of a step that failed nothing but that and its requests."""
    if not result["succeeded"]:
        return {"succeeded": False, "requests": result["requests"]}
    return {key: value for key, value in result.items() if key != INFORMATION}


def expected_results(case: Case, recording: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What headrace has to give for every step: what stock gave, but for the case's own ``ours``.

    ``ours`` speaks of the last step, or by ``steps: {number: …}`` of others.
    """
    results = [compared(result) for result in recording["steps"]]
    for number, changes in _changes(case, len(results)).items():
        result = {**results[number], **changes}
        results[number] = compared({key: value for key, value in result.items() if value is not None})
    return results


def _changes(case: Case, n_steps: int) -> dict[int, dict[str, Any]]:
    last = {key: value for key, value in case.ours.items() if key not in ("problem", "steps")}
    changes = {int(number): dict(given) for number, given in case.ours.get("steps", {}).items()}
    return {**changes, n_steps - 1: {**changes.get(n_steps - 1, {}), **last}}


def find_error(text: str) -> str:
    """Kind and message of the error in what stock printed, for people who read a recording."""
    failed = re.findall(r"^[\w.]+ failed with (\w+: .*(?:\n.*)?)", text, re.MULTILINE)
    raised = re.findall(
        r"^(?:\w+\.)*(\w*(?:Error|Exception|Defined|NotFound|Exit)\w*: .*)", text, re.MULTILINE
    )
    found = [*raised, *failed]
    return found[-1].strip()[:300] if found else text.strip()[-300:]
