"""Whether all arms of a comparison were graded by the same judges."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.domain.run import Run
from headrace.errors import Problem, UsageError
from headrace.evaluation.judges.settings import JUDGES_PROPERTY
from headrace.operations.collect_scores import JudgedRun

_DIGEST_LENGTH = 12


def versions_of(run: Run) -> tuple[str, ...]:
    """The versions of the judges of an evaluation run; empty where no model graded.

    Of an evaluation flow with nodes that ask a model it is the flow, with a digest of its files, and the model.
    """
    spec = run.spec
    known = spec.properties.get(JUDGES_PROPERTY)
    if isinstance(known, list):
        return tuple(map(str, known))
    return (f"{spec.flow_name} · {spec.model} · {spec.flow_digest[:_DIGEST_LENGTH]}",) if spec.model else ()


def check_judge_versions(judged: Sequence[JudgedRun]) -> None:
    """Refuse to compare arms by scores of different judges.

    Raises:
        UsageError: G945 for every evaluator of which two runs have other versions.
    """
    first: dict[str, Run] = {}
    problems: dict[str, Problem] = {}
    for item in judged:
        for name, run in item.evaluations.items():
            known = first.setdefault(name, run)
            if versions_of(known) != versions_of(run):
                problems.setdefault(name, _mixed(name, known, run))
    if problems:
        raise UsageError(*problems.values())


def _mixed(evaluator: str, one: Run, other: Run) -> Problem:
    def said(run: Run) -> str:
        return " and ".join(versions_of(run)) or "no model"

    return Problem(
        code="G945",
        what=f"The scores {evaluator!r} come from different judges: {said(one)} in the run {one.spec.name!r}, "
        f"{said(other)} in the run {other.spec.name!r}.",
        fix="Evaluate both by the same judges: run the experiment again. Kept answers are not asked for again.",
    )
