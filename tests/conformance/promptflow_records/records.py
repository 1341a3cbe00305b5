"""Reading the files that both engines write, in a form that does not depend on the machine, the time and the wording.

What is left out, and why:

* debug information, tracebacks, calls: each engine's own frames and spans
* times, durations, ids: different in every run; that they are there is compared
* token counts: stock counts none with tracing off
* the message of an error that is not the user's exception: stock's sentences are not ours; its codes are compared
* the order of node records: nodes that run at the same time end in any order
* digits of numbers in tables beyond the tenth after the point, where stock's end
* the line of an error in Python's own library: another in every release
* an internal argument of prompt and model nodes, the time before a printed text, what stock's
  own tools print about an error, the text of logs
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.conformance.promptflow.case import Step

_LEFT_OUT = frozenset(
    ("debugInfo", "traceback", "api_calls", "otel_trace_id", "_inputs_to_escape", "prompt_tokens", "completion_tokens",
     "total_tokens")
)  # fmt: skip
_MESSAGE_KEYS = ("message", "messageFormat", "messageParameters")
_OWN_MESSAGES = frozenset(("ToolExecutionError", "ScriptExecutionError"))
_RUN_MESSAGE = "BulkRunException"
_TABLES = frozenset(("inputs.jsonl", "outputs.jsonl"))
_PATTERNS = (
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "{uuid}"),
    (re.compile(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}\] ?"), ""),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "{time}Z"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?"), "{time}"),
    (re.compile(r" at 0x[0-9a-f]+"), " at 0x"),
    (re.compile(r"Exception occurs: .*?\\n"), ""),
)

Records = dict[str, Any]
"""Content of files by their path."""


def records_of_test(step: Step, folder: Path, places: Mapping[str, str]) -> Records:
    """What a test left below the folder of its case."""
    folders = sorted(path for path in folder.rglob(".promptflow") if path.is_dir())
    detail = step.option("--detail")
    if detail is not None:
        folders.append(folder / detail)
    found: Records = {}
    for place in folders:
        found.update(_read(place, folder, places))
    return found


def clear_test_records(folder: Path) -> None:
    """Remove what the tests before left, so that what a test leaves is its own."""
    for place in folder.rglob(".promptflow"):
        for file in place.rglob("*"):
            if file.is_file() and file.name != "flow.tools.json":
                file.unlink()


def records_of_run(folder: Path, places: Mapping[str, str]) -> Records:
    """What a run left in its folder."""
    return _read(folder, folder, places) if folder.is_dir() else {}


def _read(place: Path, root: Path, places: Mapping[str, str]) -> Records:
    def plain(text: str) -> str:
        for known, word in places.items():
            text = text.replace(known, word)
        for pattern, word in _PATTERNS:
            text = pattern.sub(word, text)
        return text

    found: Records = {}
    for file in sorted(place.rglob("*")):
        if file.is_file() and file.name != "flow.tools.json":
            found[plain(file.relative_to(root).as_posix())] = _content(file, plain)
    return found


def _content(file: Path, plain: Callable[[str], str]) -> Any:
    if "snapshot" in file.parts or file.suffix not in (".json", ".jsonl"):
        return None  # that it is there
    text = file.read_text(encoding="utf-8")
    if file.name in _TABLES:
        return [plain(_table_row(row)) for row in text.split("\n")]
    text = plain(text)
    if file.name in ("output.jsonl", "metrics.json") or file.name.endswith(".output.json"):
        return text.split("\n")  # key order and the form of numbers count
    data = _slim(json.loads(text))
    if file.name == "meta.json":
        for ours in ("run", "flow_version", "flow_digest"):  # prompt flow reads batch_size only
            data.pop(ours, None)
    if "node_runs" in data:
        data["node_runs"] = {record["node"]: record for record in data["node_runs"]}
    return data


def _table_row(text: str) -> str:
    """A row as compact JSON with the keys in their order and rounded numbers."""
    if not text:
        return text
    row = json.loads(text, parse_float=lambda number: round(float(number), 10) + 0.0)
    return json.dumps(row, ensure_ascii=False, separators=(",", ":"))


def _slim(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{{{value}}}"
    if isinstance(value, list):
        return [_slim(item) for item in value]
    if not isinstance(value, dict):
        return value
    slim = {key: _slim(item) for key, item in value.items() if key not in _LEFT_OUT}
    if "duration" in slim:
        slim["duration"] = "{seconds}"
    if str(slim.get("filename")).startswith("{python}"):
        slim["lineno"] = "{line}"
    if "innerError" in slim and "message" in slim:
        _drop_wording(slim)
    return slim


def _drop_wording(error: dict[str, Any]) -> None:
    word = error
    while word["innerError"]:
        word = word["innerError"]
    if word["code"] == _RUN_MESSAGE:
        error["message"] = error["message"].partition("First error message is: ")[0]
    elif word["code"] not in _OWN_MESSAGES or not error["message"].startswith("Execution failure in "):
        error.update(dict.fromkeys(_MESSAGE_KEYS, "…"))
