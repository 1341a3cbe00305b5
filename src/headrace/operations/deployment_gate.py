"""Whether what is deployed has passed the gate that its file names."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from headrace.domain.deployment import Deployment, DeploymentState, Endpoint
from headrace.errors import HeadraceError, Problem, UsageError
from headrace.formats.paths import is_file
from headrace.operations.compare_runs import compare_experiment_again
from headrace.operations.deployed_flows import DeployedFlow, settled_variant
from headrace.operations.gate_comparison import choose_questions, gate_comparison
from headrace.operations.recorded_gates import recorded_gates
from headrace.operations.workspace import Workspace

_AGAIN = "Pass it, for this version: headrace gate EXPERIMENT --output {gate}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """A run that a gate rests on: what answered under the name of an arm."""

    arm: str
    digest: str
    variant: str
    model: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Passed:
    """What a gate has said.

    Attributes:
        outcomes: Arm that was asked about to its outcomes.
        against: Arms that others were compared with, which answer already.
    """

    outcomes: Mapping[str, tuple[str, ...]]
    against: frozenset[str]
    runs: tuple[_Run, ...]


def check_gate(
    workspace: Workspace, endpoint: Endpoint, flows: Sequence[DeployedFlow]
) -> Mapping[int, Problem]:
    """Place of a deployment among those of the endpoint to why it has not passed; nothing without a gate.

    A deployment has passed where all questions about an arm are answered with "passed" whose runs ran the same version
    of the flow, in the same variant and with the same model. What arms were compared with needs to pass nothing.
    """
    wanted = dict(enumerate(map(_of_wish, endpoint.deployments, flows)))
    return _ask(workspace, endpoint, wanted)


def check_gate_of(
    workspace: Workspace, endpoint: Endpoint, copies: Sequence[DeploymentState]
) -> Mapping[str, Problem]:
    """The same of what is there already, by the version that each copy says it holds.

    Args:
        workspace: For comparisons that are stored.
        endpoint: Names the gate.
        copies: Those that are to get more requests.
    """
    return _ask(workspace, endpoint, {item.name: _of_copy(item) for item in copies})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What has to have passed.

    Attributes:
        version: For people.
        is_run: Whether a run ran the same.
    """

    version: str
    is_run: Callable[[_Run], bool]


_Key = TypeVar("_Key", int, str)


def _ask(workspace: Workspace, endpoint: Endpoint, wanted: Mapping[_Key, _Wanted]) -> Mapping[_Key, Problem]:
    if not endpoint.gate:
        return {}
    try:
        path = Path(endpoint.gate)
        said = _of_file(path) if is_file(path) else _of_store(workspace, endpoint.gate)
    except HeadraceError as error:
        missing = _problem(endpoint, f"The gate {endpoint.gate} cannot be asked: {error.problems[0].what}")
        return dict.fromkeys(wanted, missing)
    reasons = {key: _reason(item, said) for key, item in wanted.items()}
    return {
        key: _problem(endpoint, f"The gate {endpoint.gate} {reason}")
        for key, reason in reasons.items()
        if reason is not None
    }


def _reason(wanted: _Wanted, said: _Passed) -> str | None:
    """Why something has not passed, to end a sentence with; ``None`` where it has."""
    arms = {run.arm for run in said.runs if wanted.is_run(run)}
    asked = sorted(arm for arm in arms if arm in said.outcomes)
    if any(all(outcome == "passed" for outcome in said.outcomes[arm]) for arm in asked):
        return None
    if asked:
        outcome = "failed" if "failed" in said.outcomes[asked[0]] else "left undecided"
        return f"was {outcome} by {asked[0]}, which is {wanted.version}."
    if arms & said.against:
        return None
    return f"is about other versions than {wanted.version}."


def _of_wish(deployment: Deployment, flow: DeployedFlow) -> _Wanted:
    choice = deployment.flow
    variant = settled_variant(flow.flow, choice.variant)

    def is_run(run: _Run) -> bool:
        is_same_variant = settled_variant(flow.flow, run.variant) == variant
        return run.digest == choice.digest and is_same_variant and choice.model in ("", run.model)

    return _Wanted(version=choice.version, is_run=is_run)


def _of_copy(copy: DeploymentState) -> _Wanted:
    short = copy.version.partition(" (")[2].rstrip(")")
    return _Wanted(
        version=copy.version or f"what {copy.name} holds",
        is_run=lambda run: bool(short) and run.digest.startswith(short),
    )


def _problem(endpoint: Endpoint, what: str) -> Problem:
    fix = _AGAIN.format(gate=endpoint.gate)
    return Problem(code="X166", what=what, pointer=("gate",), span=endpoint.span("gate"), fix=fix)


def _of_file(path: Path) -> _Passed:
    """What ``headrace gate --output FILE.json`` has written.

    Raises:
        UsageError: X166 when it is something else.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        results, runs = document["gate"]["results"], document["context"]["runs"]
        return _passed(
            [(str(item["arm"]), str(item["against"]), str(item["outcome"])) for item in results],
            tuple(_run(item) for item in runs if item["evaluator"] is None),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"{path} is no result of headrace gate."
        raise UsageError(Problem(code="X166", what=what, fix=_AGAIN.format(gate=path))) from error


def _run(item: Mapping[str, Any]) -> _Run:
    return _Run(
        arm=str(item["arm"]),
        digest=str(item["flow_digest"]),
        variant=item["variant"] or "",
        model=item["model"] or "",
    )


def _of_store(workspace: Workspace, name: str) -> _Passed:
    """What the recorded questions of an experiment are answered with."""
    result = compare_experiment_again(workspace, name)
    metrics = [metric.spec for metric in result.comparison.metrics]
    gates = recorded_gates(result.runs[0].spec.judgement)
    report = gate_comparison(workspace, result, choose_questions(metrics, gates, {}))
    runs = result.context.runs
    return _passed(
        [(str(item.spec.arm), str(item.spec.against), item.outcome) for item in report.results],
        tuple(
            _Run(arm=run.arm, digest=run.flow_digest, variant=run.variant or "", model=run.model or "")
            for run in runs
            if run.evaluator is None
        ),
    )


def _passed(results: Sequence[tuple[str, str, str]], runs: tuple[_Run, ...]) -> _Passed:
    outcomes: dict[str, tuple[str, ...]] = {}
    for arm, _, outcome in results:
        outcomes[arm] = (*outcomes.get(arm, ()), outcome)
    against = frozenset(_against(results))
    return _Passed(outcomes=outcomes, against=against, runs=runs)


def _against(results: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    yield from (against for _, against, _ in results)
