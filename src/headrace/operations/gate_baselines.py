"""What a version of a flow, or a branch of a repository, has scored on the lines that a gate asks about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import Any

from headrace.domain.gate import GateBaseline
from headrace.domain.run import COMPLETED, Run, RunSpec
from headrace.domain.variant import Arm, ModelSpec
from headrace.domain.version import FlowVersion, NamedVersion, parse_version_name
from headrace.errors import Problem, UsageError, nearest
from headrace.formats.paths import is_file
from headrace.operations.collect_scores import (
    BASELINE_COLUMN,
    JudgedRun,
    collect_run,
    judged_run,
    make_arm_lines,
)
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.find_effects import known_arm
from headrace.operations.judge_versions import check_judge_versions
from headrace.operations.keep_version import data_name
from headrace.operations.named_versions import recorded_versions
from headrace.operations.recorded_choices import variant_text
from headrace.operations.run_batch import GIT_BRANCH, GIT_COMMIT
from headrace.operations.stored_comparison import StoredArms
from headrace.operations.versions import find_version
from headrace.operations.workspace import Workspace

_SHORT_DIGEST = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedBaseline:
    """A version or a branch that a gate compares with.

    Attributes:
        text: How it is named.
        version: The version that it stands for; ``None`` for a branch.
    """

    text: str
    version: FlowVersion | None = None

    @property
    def name(self) -> str:
        """``triage@7``, or the name of the branch."""
        return self.version.name if self.version is not None else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What recorded runs have to be like for an arm to be compared with them.

    Attributes:
        arm: Name of the arm that they answer as.
        choice: Its variant, model and overrides; ``None`` where only its name is known.
        flow: Name of its flow, which runs of a branch have.
        data: The run whose data they must have read, or the path of that data.
        data_digest: Of that data.
        evaluators: Name to :func:`evaluator_id` of each evaluator whose scores are read.
        excluded: Names of runs that are asked about themselves.
    """

    arm: str
    choice: Any = None
    flow: str = ""
    data: str = ""
    data_digest: str | None = None
    evaluators: Mapping[str, str] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()


def named_baseline(
    workspace: Workspace, text: str, recorded: Mapping[str, NamedVersion]
) -> NamedBaseline | None:
    """The version or branch that a text names; ``None`` where it names neither, or a file, or an experiment.

    Args:
        workspace: For its store.
        text: What the arm is to be compared with.
        recorded: What names stood for when the arm was run.

    Raises:
        UsageError: S831 or S834 for a version that is not there or not clear; S832 for a tag that has moved since.
    """
    if is_file(Path(text)) or text.endswith(".json") or workspace.store.list_runs(experiment=text, limit=1):
        return None
    if parse_version_name(text) is not None:
        version = find_version(workspace, text)
        before = recorded.get(text)
        if before is not None and before.digest != version.digest:
            what = f"{text} was on {before.name} when this was run, and is on {version.name} now."
            fix = f"Say which one is meant: --against {before.name}, or --against {version.name}."
            raise UsageError(Problem(code="S832", what=what, fix=fix))
        return NamedBaseline(text=text, version=version)
    is_branch = any(run.spec.properties.get(GIT_BRANCH) == text for run in workspace.store.list_runs())
    return NamedBaseline(text=text) if is_branch else None


def asked_arm(names: Sequence[str], baseline: str, arm: str | None) -> str:
    """The arm that is compared with a version or a branch: the one named, else the only one, else the baseline.

    Raises:
        UsageError: V305 for an arm that is not there.
    """
    return known_arm(arm, names) if arm is not None else names[0] if len(names) == 1 else baseline


def choice_of_arm(arm: Arm) -> Any:
    """What tells an arm of a flow from others of the same flow; see :func:`choice_of_run`."""
    return _choice(variant_text(arm.variant.choices if arm.variant else {}), arm.model, arm.overrides)


def choice_of_run(spec: RunSpec) -> Any:
    """The variant, the model without its name and price, and the overrides of a run."""
    return _choice(spec.variant, spec.chosen_model, spec.connections)


def _choice(variant: str | None, model: ModelSpec | None, overrides: Mapping[str, str]) -> Any:
    asked = None if model is None else (model.connection, model.model, dict(model.parameters))
    return variant, asked, dict(overrides)


def sought_by_result(result: ComparisonResult, arm: str, wanted: str | None) -> Sought:
    """What runs have to be like for ``arm`` of a comparison to be compared with them.

    Args:
        result: The comparison.
        arm: Name of its arm.
        wanted: The arm of the other side, where one is named.
    """
    own = [item.judged for item in result.collected if item.judged.arm == arm]
    named = [item.judged for item in result.collected if item.judged.arm == (wanted or arm)]
    spec = own[0].run.spec
    return Sought(
        arm=wanted or arm,
        choice=choice_of_run(named[0].run.spec) if named else None,
        flow=spec.flow_name,
        data=spec.data_path or "",
        data_digest=spec.data_digest,
        evaluators={name: _evaluation_id(run.spec) for name, run in own[0].evaluations.items()},
        excluded=frozenset(item.run.spec.name for item in own),
    )


def evaluator_id(digest: str, seen: str | None) -> str:
    """What two evaluations have in common whose scores can be compared.

    Args:
        digest: Of the evaluator's flow.
        seen: Digest of the data with the baseline's answers, where the evaluator sees these; else ``None``.
    """
    return digest if seen is None else f"{digest} {seen}"


def _evaluation_id(spec: RunSpec) -> str:
    sees = any(str(value).startswith(BASELINE_COLUMN) for value in spec.column_mapping.values())
    return evaluator_id(spec.flow_digest, (spec.data_digest or "") if sees else None)


def find_runs(workspace: Workspace, baseline: NamedBaseline, sought: Sought) -> tuple[JudgedRun, ...]:
    """The newest recorded runs, all repeats of one arm, that an arm can be compared with.

    Raises:
        UsageError: G966 when there are none, with what is there, and how to make them.
    """
    runs = [run for run in workspace.store.list_runs() if _is_of(run, baseline, sought)]
    if not runs:
        raise _missing(baseline, sought, f"{baseline.name} has not answered any lines")
    same_data = [run for run in runs if run.spec.data_digest == sought.data_digest]
    if not same_data:
        theirs = ", ".join(dict.fromkeys(_data_of(workspace, run.spec) for run in runs))
        what = f"{baseline.name} has answered other data than {_own_data(workspace, sought)}: {theirs}"
        raise _missing(baseline, sought, what)
    alike = [run for run in same_data if _is_arm(run.spec, sought)]
    if not alike:
        names = list(dict.fromkeys(run.spec.arm or run.spec.name for run in same_data))
        what = f"{baseline.name} has not answered these lines as {sought.arm}, only as {', '.join(names)}"
        raise _missing(baseline, sought, what, arm=nearest(sought.arm, names) or names[0])
    groups: dict[str, list[JudgedRun]] = {}
    for run in alike:
        groups.setdefault(run.spec.experiment or run.spec.name, []).append(judged_run(workspace, run))
    for group in groups.values():
        if all(_is_judged(item, sought) for item in group):
            return tuple(reversed(group))
    judged = {name for group in groups.values() for item in group for name in item.evaluations}
    lacking = [name for name in sought.evaluators if name not in judged]
    how = f"not been scored by {', '.join(lacking)}" if lacking else "only been scored by other versions of "
    how += "" if lacking else ", ".join(sought.evaluators)
    raise _missing(baseline, sought, f"The answers of {baseline.name} have {how}")


def baseline_arms(
    workspace: Workspace, baseline: NamedBaseline, sought: Sought, result: ComparisonResult
) -> StoredArms:
    """What a version or a branch has scored, to compare an arm with.

    Raises:
        UsageError: G966 as :func:`find_runs`; G945 when other judges graded it.
    """
    found = find_runs(workspace, baseline, sought)
    own = [item.judged for item in result.collected if item.judged.run.spec.name in sought.excluded]
    check_judge_versions([*own, *found])
    line_id = next((run.spec.judgement.get("line_id") for run in result.runs), None)
    metrics = [metric.spec.name for metric in result.comparison.metrics]
    collected = [collect_run(workspace, replace(item, arm=sought.arm), line_id) for item in found]
    every = {name for item in collected for line in item.lines for name in line.scores}
    return StoredArms(
        source=baseline.name,
        baseline=sought.arm,
        arms=make_arm_lines(collected, metrics),
        metrics=tuple(name for name in metrics if name in every),
        data_digests=frozenset(filter(None, (item.run.spec.data_digest for item in found))),
        made=_made(workspace, baseline, found, result),
    )


def _made(
    workspace: Workspace, baseline: NamedBaseline, found: Sequence[JudgedRun], result: ComparisonResult
) -> GateBaseline:
    spec = found[-1].run.spec
    recorded = recorded_versions(result.runs[0].spec.judgement) if result.runs else {}
    version = baseline.version
    names = [text for text, item in recorded.items() if version and item.digest == version.digest]
    tags = [text for text in dict.fromkeys((baseline.text, *names)) if text != baseline.name]
    return GateBaseline(
        tag=tags[0] if tags and version is not None else None,
        branch=None if version is not None else baseline.text,
        commit=None if version is not None else spec.properties.get(GIT_COMMIT),
        version=spec.version_name,
        digest=spec.flow_digest,
        data=_data_of(workspace, spec),
        runs=tuple(item.run.spec.name for item in found),
    )


def _is_of(run: Run, baseline: NamedBaseline, sought: Sought) -> bool:
    spec, version = run.spec, baseline.version
    if (
        spec.source_run is not None
        or spec.is_served
        or run.status != COMPLETED
        or spec.name in sought.excluded
    ):
        return False
    if version is not None:
        return (spec.flow_name, spec.flow_digest) == (version.flow, version.digest)
    return spec.properties.get(GIT_BRANCH) == baseline.text and spec.flow_name == sought.flow


def _is_arm(spec: RunSpec, sought: Sought) -> bool:
    if sought.choice is None:
        return sought.arm in (spec.arm, spec.name)
    return bool(choice_of_run(spec) == sought.choice)


def _is_judged(item: JudgedRun, sought: Sought) -> bool:
    scored = {name: _evaluation_id(run.spec) for name, run in item.evaluations.items()}
    return all(scored.get(name) == digest for name, digest in sought.evaluators.items())


def _data_of(workspace: Workspace, spec: RunSpec) -> str:
    """``data/test.jsonl@2``."""
    if spec.data_path is None:
        return f"the run {spec.source_run}"
    name = data_name(workspace, Path(spec.data_path))
    return name if spec.data_version is None else f"{name}@{spec.data_version}"


def _own_data(workspace: Workspace, sought: Sought) -> str:
    name = data_name(workspace, Path(sought.data).absolute())
    kept = workspace.store.find_data_version(name, sought.data_digest or "")
    return name if kept is None else f"{name}@{kept.number}"


def _missing(baseline: NamedBaseline, sought: Sought, what: str, arm: str | None = None) -> UsageError:
    if arm is not None:
        fix = f"Name an arm that has: --against {quote(f'{baseline.name}#{arm}')}."
    elif baseline.version is None:
        fix = "Run the experiment on that branch, with this store, over the same data and with the same evaluators."
    else:
        words = ["headrace run create --flow", quote(baseline.name), "--data", quote(sought.data or "DATA")]
        variant = sought.choice[0] if sought.choice else None
        words += ["--variant", quote(variant)] if variant else []
        model = sought.choice[1] if sought.choice else None
        words += ["--model", quote(f"{model[0]}/{model[1]}")] if model else []
        evaluators = " ".join(f"--evaluator {quote(name)}" for name in sought.evaluators)
        fix = (
            f"Make them with: {' '.join(words)} --name NAME, then: headrace run evaluate NAME {evaluators}; or name "
            "an experiment file in place of runs, which runs the version as well."
        )
    return UsageError(Problem(code="G966", what=f"{what}.", fix=fix))


def baseline_sentence(made: GateBaseline) -> str:
    """Which version an arm was compared with, as one more sentence of the evidence."""
    runs = f"{'run' if len(made.runs) == 1 else 'runs'} {', '.join(made.runs)}"
    version = f"{made.version or 'a flow'} ({made.digest[:_SHORT_DIGEST]})"
    if made.branch is not None:
        commit = f" at {made.commit[:_SHORT_DIGEST]}" if made.commit else ""
        return f"Branch {made.branch}{commit} is {version}, over {made.data}, {runs}."
    named = f"{made.tag} is {version}" if made.tag is not None else f"It is {version}"
    return f"{named}, over {made.data}, {runs}."
