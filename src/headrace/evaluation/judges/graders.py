"""The graders that are shipped, read from their prompty files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from headrace.domain.flow import Flow
from headrace.formats.flow_file import load_flow
from headrace.formats.front_matter import read_prompty_text

GRADERS = (
    "groundedness",
    "relevance",
    "coherence",
    "fluency",
    "similarity",
    "correctness",
    "rubric",
    "geval",
    "pairwise",
)
"""Names of the graders, each a file beside this module."""

PAIRWISE = "pairwise"
GEVAL = "geval"
STEPS = "geval_steps"
"""The prompty that makes the steps of :data:`GEVAL` from the criteria; no grader by itself."""

FOLDER = Path(__file__).parent
LOWEST, HIGHEST = 1, 5
"""Ends of the scale of every grader but :data:`PAIRWISE`."""

_SPACE = re.compile(r"[ \t]+$", re.MULTILINE)
_DIGEST_LENGTH = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Grader:
    """A prompty by which a model judges.

    Attributes:
        version: Raised with every change of the file that may change a grade.
        digest: Of the text of the file, and of what goes with it.
        flow: The prompty as a flow.
        needs: Inputs without which there is nothing to judge by.
        labels: What the grades are called, the worst first; for :data:`PAIRWISE` worse, tie, better.
    """

    name: str
    version: int
    description: str
    digest: str
    flow: Flow
    needs: tuple[str, ...]
    labels: tuple[str, ...]

    def label(self, grade: float) -> str:
        """What a grade from 1 to 5 is called; one between two grades, halves upwards, as the nearest."""
        return self.labels[min(int(grade + 0.5), HIGHEST) - LOWEST]


@cache
def load_grader(name: str) -> Grader:
    """Read a grader.

    Args:
        name: One of :data:`GRADERS`, or :data:`STEPS`.

    Raises:
        KeyError: Any other name.
    """
    if name not in (*GRADERS, STEPS):
        raise KeyError(name)
    file = FOLDER / f"{name}.prompty"
    front: Mapping[str, Any] = read_prompty_text(file).data
    return Grader(
        name=name,
        version=int(front["version"]),
        description=str(front["description"]),
        digest=_digest(name),
        flow=load_flow(file),
        needs=tuple(front["needs"]),
        labels=tuple(front["labels"]),
    )


def _digest(name: str) -> str:
    """Over the text of the files, without regard to line ends and blanks before them."""
    total = sha256()
    for part in (name, STEPS) if name == GEVAL else (name,):
        text = (FOLDER / f"{part}.prompty").read_text(encoding="utf-8")
        total.update(_SPACE.sub("", text).encode())
    return total.hexdigest()[:_DIGEST_LENGTH]
