"""What is recorded of an experiment before its first call is paid, so that it can be gone on with and repeated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias

from headrace.domain.run import Cap

Role: TypeAlias = Literal["flow", "evaluator"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedFlow:
    """The version of a flow that an experiment was begun with.

    Attributes:
        path: Absolute path of the flow, as it was then.
        name: Name of the flow.
        number: Its number within the flow.
        digest: Its id.
        used_by: Names of the arms, or of the evaluator, that run it.
    """

    role: Role
    path: str
    name: str
    number: int
    digest: str
    used_by: tuple[str, ...]

    @property
    def version_name(self) -> str:
        """``ask_docs@7``."""
        return f"{self.name}@{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedData:
    """The version of the data that an experiment was begun with.

    Attributes:
        path: Absolute, with which of its lines are read.
        name: What the data is called.
        number: Its number.
        digest: SHA-256 over it, with the choice of lines.
        n_lines: Lines that every arm answers.
        content: What the store keeps of it, as a version of data has it; ``None`` where that is nothing.
    """

    path: str
    name: str
    number: int
    digest: str
    n_lines: int
    content: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run that an experiment makes, named before it begins.

    Attributes:
        name: Name of the run.
        evaluator: The evaluator that judges; ``None`` for the run of the arm itself.
    """

    name: str
    arm: str
    repeat: int
    evaluator: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedExperiment:
    """An experiment as it was begun, and its life. Times are UTC-aware.

    Attributes:
        id: Groups its runs.
        name: Title of the comparison.
        definition: The experiment as it was read and resolved to arms, as plain data; without values of environment
            variables.
        texts: The experiment file and its overlay, by name, without keys and passwords; empty for one that was given
            by arguments.
        judgement: How it judges its arms, as every run of it records; see :class:`~headrace.domain.run.RunSpec`.
        flows: What it runs, each flow once.
        planned: All runs, in the order in which they begin.
        cap: What it may spend; ``None`` for no limit.
        environment_names: Which environment variables it gives its flows; their values may be secret and are not kept.
        rerun_of: The experiment that it repeats.
        status: Running, Completed, Canceled or Failed.
        verdict: What it came to, in a sentence; ``None`` before that.
        owner: Who works on it, or was the last to.
        heartbeat_at: When its owner last said so.
    """

    id: str
    name: str
    created_at: datetime
    definition: Mapping[str, Any]
    judgement: Mapping[str, Any]
    flows: tuple[PinnedFlow, ...]
    data: PinnedData
    planned: tuple[PlannedRun, ...]
    texts: Mapping[str, str] = field(default_factory=dict)
    cap: Cap | None = None
    environment_names: tuple[str, ...] = ()
    rerun_of: str | None = None
    status: str = "Running"
    finished_at: datetime | None = None
    verdict: str | None = None
    owner: str | None = None
    heartbeat_at: datetime | None = None

    def run_name(self, arm: str, repeat: int, evaluator: str | None = None) -> str:
        """The name of a planned run."""
        for planned in self.planned:
            if (planned.arm, planned.repeat, planned.evaluator) == (arm, repeat, evaluator):
                return planned.name
        raise KeyError(arm, repeat, evaluator)
