"""The cases of this folder and their recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.conformance.promptflow.case import Case, load_case
from tests.conformance.promptflow_records.records import Records

HERE = Path(__file__).parent


def load_cases() -> dict[str, Case]:
    """Every case by its name."""
    return {path.stem: load_case(path) for path in sorted((HERE / "cases").glob("*.yaml"))}


def recording_path(name: str) -> Path:
    """The recording of a case: for every step, the content of files by their path."""
    return HERE / "recorded" / f"{name}.json"


def load_recordings() -> dict[str, list[Records]]:
    """What stock left, by name of the case."""
    return {
        path.stem: json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((HERE / "recorded").glob("*.json"))
    }


def expected_records(case: Case, recording: list[Records]) -> list[Records]:
    """What headrace has to leave: what stock left, but for the case's own ``ours``.

    ``ours`` maps ``step/file`` or ``step/file::key/key`` to what is there instead; ``absent`` means nothing.
    """
    expected: list[Records] = json.loads(json.dumps(recording))
    for place, value in case.ours.items():
        number, _, rest = place.partition("/")
        path, _, keys = rest.partition("::")
        *parents, last = [path, *(keys.split("/") if keys else ())]
        holder: Any = expected[int(number)]
        for key in parents:
            holder = holder[int(key) if isinstance(holder, list) else key]
        if value == "absent":
            del holder[last]
        else:
            holder[last] = value
    return expected
