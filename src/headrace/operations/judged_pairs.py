"""Evaluators that see what the baseline answered beside what the arm did."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from headrace.domain.evaluation import EvaluatorSpec, Experiment
from headrace.domain.run import COMPLETED, RunSpec
from headrace.domain.variant import Arm
from headrace.errors import Problem, UsageError
from headrace.formats.lines import read_dataset
from headrace.formats.mapping import BASELINE_OUTPUTS, as_arm_outputs, rename_outputs
from headrace.operations.workspace import Workspace

_FOLDER = "pairs"
_COLUMN = "baseline.outputs."


def sees_baseline(evaluator: EvaluatorSpec) -> bool:
    """Whether an evaluator is mapped to outputs of the baseline."""
    return any(str(value).startswith(BASELINE_OUTPUTS) for value in evaluator.column_mapping.values())


def arms_in_turn(experiment: Experiment) -> tuple[Arm, ...]:
    """The arms in the order in which they run: the baseline first, where evaluators see what it answered."""
    if not any(map(sees_baseline, experiment.evaluators)):
        return experiment.arms
    return tuple(sorted(experiment.arms, key=lambda arm: arm.name != experiment.baseline))


def evaluation_data(
    workspace: Workspace, experiment: Experiment, evaluator: EvaluatorSpec, run: RunSpec
) -> tuple[Path, Mapping[str, Any]]:
    """The data and the mapping with which a run is evaluated.

    Where the evaluator sees the baseline, the data are written again below ``.headrace``, with the baseline's outputs
    as columns; a line on which the baseline failed has none.

    Args:
        workspace: For the store and the place.
        experiment: What is run.
        evaluator: One of its evaluators.
        run: Of one of its arms.

    Raises:
        UsageError: G902 when the baseline has not run.
    """
    data = Path(experiment.data_path)
    if not sees_baseline(evaluator):
        return data, rename_outputs(evaluator.column_mapping, _outputs_of(experiment, run.arm))
    baseline = _baseline_run(workspace, experiment, run)
    folder = workspace.state_folder / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{baseline}.jsonl"
    lines = _rows(workspace, data, baseline, _outputs_of(experiment, experiment.baseline))
    file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    mapping = as_arm_outputs(evaluator.column_mapping, "${data." + _COLUMN)
    return file, rename_outputs(mapping, _outputs_of(experiment, run.arm))


def _outputs_of(experiment: Experiment, arm: str | None) -> Mapping[str, str]:
    """Names by which evaluators read the outputs of an arm to those of its flow."""
    return next((item.outputs for item in experiment.arms if item.name == arm), {})


def _baseline_run(workspace: Workspace, experiment: Experiment, run: RunSpec) -> str:
    for found in workspace.store.list_runs(experiment=run.experiment):
        spec = found.spec
        if spec.source_run is None and spec.arm == experiment.baseline and spec.repeat == run.repeat:
            return spec.name
    what = f"The baseline {experiment.baseline!r} has not run, so no arm can be compared with its answers."
    raise UsageError(Problem(code="G902", what=what, fix="Run the experiment as a whole."))


def _rows(workspace: Workspace, data: Path, baseline: str, renamed: Mapping[str, str]) -> Iterator[str]:
    outputs = {
        line.line_number: line.outputs
        for line in workspace.store.read_lines(baseline)
        if line.status == COMPLETED
    }
    names = {f"{_COLUMN}{name}": name for found in outputs.values() for name in found}
    names |= {f"{_COLUMN}{name}": own for name, own in renamed.items()}
    for line in read_dataset(data).lines:
        answers = outputs.get(line.number, {})
        shown = {column: answers.get(name) for column, name in names.items()}
        yield json.dumps({**line.columns, **shown}, ensure_ascii=False, default=str)
