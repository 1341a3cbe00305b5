"""What goes wrong with managed online endpoints, made from the plain data of a problem's case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.managed_target import managed_target

from headrace.errors import Problem
from headrace.formats.deployment import read_deployment

Case = Mapping[str, Any]


def managed_case(folder: Path, case: Case) -> Sequence[Problem]:
    """The ``check`` of a deployment file, or steps of which the last goes wrong.

    A step is a list of its action, its deployment and what comes after it; ``others`` takes the tags of all assets of a
    kind away before the last one.
    """
    with pytest.MonkeyPatch.context() as patch, managed_target(folder, patch) as managed:
        if "check" in case:
            managed.endpoint = read_deployment(folder, None, {})
            return managed.target().check(managed.endpoint)
        *before, last = case["steps"]
        for step in before:
            managed.make(*step)
        if "others" in case:
            kind = f"Microsoft.MachineLearningServices/workspaces/{case['others']}/versions"
            for item in managed.azure.resources.of_type(kind):
                item.properties["tags"] = {}
        if "identities" in case:
            managed.endpoint = replace(managed.endpoint, identities=tuple(case["identities"]))
        managed.make(*last)
    return ()
