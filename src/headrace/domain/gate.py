"""Gates: what an arm must show before it is let through, and the answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from headrace.source import Pointer

GateTest: TypeAlias = Literal["superiority", "non_inferiority", "equivalence", "guardrail", "budget"]
GateOutcome: TypeAlias = Literal["passed", "failed", "undecided"]

QUANTITIES = ("cost", "latency", "tokens", "failures")
"""What guardrails and budgets are also asked about beside scores: US dollars, milliseconds and tokens of a line, and
the share of executions that failed. A score of the same name comes first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GateSpec:
    """One question that a gate asks.

    Attributes:
        metric: Name of a score; of a guardrail or a budget also one of ``QUANTITIES``.
        test: "superiority": better, by more than the margin where one is given. "non_inferiority": worse by less than
            the margin. "equivalence": neither better nor worse by as much. These pass where the data show it.
            "guardrail": passes unless the data show that the arm is worse by more than the margin. "budget": no worse
            than ``limit``, whatever the other arm does.
        margin: Not below zero, in the unit of the score or of the share of failures; of cost, latency and tokens the
            share of the other arm's, 0.1 for a tenth more. ``None`` for that of the metric; a guardrail without
            either has 0. A budget has none.
        limit: Of a budget: the value that must be kept. Of a score, its mean; of cost (US dollars) and tokens, the mean
            of an execution; of latency its 95th percentile, in milliseconds; of failures their share. At least that
            where higher is better, at most that elsewhere. Other tests have none.
        arm: The arm that is asked about; ``None`` for the only one beside the arm it is compared with.
        against: The arm, stored comparison, recorded experiment, version of a flow or branch that it is compared with;
            ``None`` for the baseline.
        pointer: Where the gate stands in the experiment file.
    """

    metric: str
    test: GateTest = "non_inferiority"
    margin: float | None = None
    limit: float | None = None
    arm: str | None = None
    against: str | None = None
    pointer: Pointer = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class GateBaseline:
    """The recorded runs of a version or of a branch that an arm was compared with.

    Attributes:
        tag: The tag that stood for the version, such as ``@prod``; ``None`` where it was named by its number.
        branch, commit: What was checked out when they were made; ``None`` where a version was asked for.
        version, digest: Of the flow that they ran; the version is ``ask_docs@7``, ``None`` where none is kept.
        data: The version of the data that they read, ``data/test.jsonl@2``.
        runs: Their names.
    """

    tag: str | None
    branch: str | None
    commit: str | None
    version: str | None
    digest: str
    data: str
    runs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class GateResult:
    """The answer to one question of a gate.

    Attributes:
        spec: The question, with arm, arm to compare with, and margin settled.
        outcome: "undecided" where the data show neither that it holds nor that it does not.
        evidence: Why, in a sentence.
        numbers: By name what the answer rests on, such as "difference", "low", "high", "p", "n" and "margin"; only
            numbers that there are.
        details: Further lines of evidence, such as the worst lines.
        n_more: Paired lines that are likely to settle what is undecided, beside those that there are; ``None`` where
            that is not known or nothing is undecided.
        baseline: The recorded version or branch that the arm was compared with; ``None`` for any other arm.
    """

    spec: GateSpec
    outcome: GateOutcome
    evidence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    details: tuple[str, ...] = ()
    n_more: int | None = None
    baseline: GateBaseline | None = None


def gate_outcome(results: tuple[GateResult, ...]) -> GateOutcome:
    """What all questions come to together: failed where one is, else undecided where one is, else passed.

    Raises:
        ValueError: There is no result: a gate that asks nothing lets nothing through.
    """
    if not results:
        msg = "a gate asks at least one question"
        raise ValueError(msg)
    outcomes = {result.outcome for result in results}
    return "failed" if "failed" in outcomes else "undecided" if "undecided" in outcomes else "passed"
