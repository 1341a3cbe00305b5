"""What goes wrong with deployments on this machine, made from the plain data of a problem's case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.support.targets import local_trial

from headrace.deploy.local import FOLDER
from headrace.deploy.local_front import FILE
from headrace.errors import Problem
from headrace.formats.deployment import read_deployment


def local_case(folder: Path, case: Mapping[str, Any]) -> Sequence[Problem]:
    """The ``check`` of a deployment file; or the file of the endpoint ``holds`` something, or a ``step`` is made.

    A step is a list of its action and its deployment; ``blue`` and ``green`` are wished for, and ``green`` does not start.
    """
    with local_trial(folder) as place:
        if "check" in case:
            endpoint = read_deployment(folder, None, {})
            return place.open(endpoint).check(endpoint)
        assert place.broken is not None
        endpoint = place.with_deployments(place.make("blue"), place.broken("green"))
        target = place.open(endpoint)
        place.bring(target, endpoint)
        if "holds" in case:
            file = folder / ".headrace" / "deploy" / FOLDER / endpoint.name / FILE
            before = file.read_bytes()
            file.write_text(case["holds"], encoding="utf-8")
            try:
                target.read_state()
            finally:
                file.write_bytes(before)
        place.step(target, endpoint, *case["step"])
        return ()
