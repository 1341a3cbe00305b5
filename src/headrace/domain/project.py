"""What a repository of prompt flow files needs in order to run here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headrace.errors import Problem
from headrace.source import Span

NeedKind = Literal["connection", "package", "variable"]
FlowState = Literal["runs", "needs setup", "does not run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something outside the flow's files that it cannot do without.

    Attributes:
        kind: connection, package or variable (of the environment).
        name: Connection name, distribution name or variable name.
        is_met: Whether it is there now.
        span: Where the flow asks for it first.
        note: What to do when it is not there.
    """

    kind: NeedKind
    name: str
    is_met: bool
    span: Span | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowReport:
    """One flow of a project.

    Attributes:
        path: Its folder, or its file where the folder would not name it; relative to the project.
        kind: dag, flex or prompty.
        needs: Everything it needs, met or not.
        problems: What is wrong with its files; what a missing need causes is not repeated here.
    """

    path: str
    kind: str
    needs: tuple[Need, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def state(self) -> FlowState:
        """``does not run`` with an error in its files, ``needs setup`` while a need is not met, else ``runs``."""
        if any(problem.severity == "error" for problem in self.problems):
            return "does not run"
        return "runs" if all(need.is_met for need in self.needs) else "needs setup"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectReport:
    """A whole repository: its flows, and what in it depends on the retiring service or on stock prompt flow."""

    flows: tuple[FlowReport, ...]
    problems: tuple[Problem, ...]
