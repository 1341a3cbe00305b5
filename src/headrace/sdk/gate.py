"""Gates from Python: an experiment run and asked, for test suites."""

from __future__ import annotations

import hashlib
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from headrace.config import load_settings
from headrace.domain.evaluation import Experiment
from headrace.errors import HeadraceError
from headrace.formats.experiment import load_experiment
from headrace.operations.compare_runs import ComparisonResult, compare_experiment_again
from headrace.operations.gate_comparison import GateReport, choose_questions, gate_comparison
from headrace.operations.ready_gate import ready_gate
from headrace.operations.recorded_gates import recorded_gates
from headrace.operations.run_experiment import run_experiment
from headrace.operations.workspace import Workspace, open_workspace
from headrace.sdk.compared import ComparedArms
from headrace.sdk.runs import in_free_thread

_LONGEST_S = 24 * 3600.0
"""How long one process waits for another that runs the same experiment."""


def run_gated(
    file: Path,
    folder: Path,
    asked: Mapping[str, Any],
    session: str | None = None,
    others: Sequence[Mapping[str, Any]] = (),
) -> ComparedArms:
    """Run an experiment, once its questions are known to make sense.

    Args:
        file: The experiment file or its folder.
        folder: A folder of the workspace whose store keeps the runs.
        asked: The questions, as in :func:`ask`.
        session: Id that the processes of one test session share, of which only one then runs the experiment; ``None``
            where there is a single process.
        others: Further questions that the same comparison will be asked: versions that they name run as well.

    Raises:
        HeadraceError: What is wrong with the file or the questions.
    """

    def work() -> ComparedArms:
        experiment = load_experiment(file)
        with open_workspace(load_settings(), folder) as workspace:
            experiment, _ = ready_gate(workspace, experiment, _resolved(asked, folder))
            for other in others:
                with suppress(HeadraceError):  # what is wrong with it is said to the test that asks it
                    experiment, _ = ready_gate(workspace, experiment, _resolved(other, folder))
            if session is None:
                result = run_experiment(workspace, experiment)
            else:
                result = _run_once(workspace, experiment, f"{session} {file.resolve()}")
            return ComparedArms(result, workspace.warnings)

    return in_free_thread(work)


def _run_once(workspace: Workspace, experiment: Experiment, key: str) -> ComparisonResult:
    """Run an experiment unless another process of the session has: one waits for the other.

    The lock is that of a small database, which the system releases when its owner dies.
    """
    name = f"headrace-{hashlib.sha256(key.encode()).hexdigest()[:24]}.sqlite"
    connection = sqlite3.connect(Path(tempfile.gettempdir()) / name, timeout=_LONGEST_S, isolation_level=None)
    with closing(connection):
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("CREATE TABLE IF NOT EXISTS made (experiment TEXT NOT NULL)")
        found = connection.execute("SELECT experiment FROM made").fetchone()
        if found is not None:
            return compare_experiment_again(workspace, found[0])
        result = run_experiment(workspace, experiment)
        connection.execute("INSERT INTO made VALUES (?)", (result.experiment,))
        connection.execute("COMMIT")
        return result


def compared_again(experiment: str, folder: Path) -> ComparedArms:
    """The recorded runs of an experiment, compared once more.

    Raises:
        UsageError: S801 when there is no such experiment.
    """

    def work() -> ComparedArms:
        with open_workspace(load_settings(), folder) as workspace:
            return ComparedArms(compare_experiment_again(workspace, experiment), workspace.warnings)

    return in_free_thread(work)


def ask(compared: ComparedArms, folder: Path, asked: Mapping[str, Any]) -> GateReport:
    """Ask a comparison the questions of a gate.

    Args:
        compared: The comparison.
        folder: A folder of the workspace.
        asked: ``metric``, ``test``, ``margin``, ``limit``, ``arm`` and ``against`` of ``headrace gate``; ``None`` where
            one is left open.

    Raises:
        UsageError: The questions cannot be answered.
    """
    result = compared.result
    gates = recorded_gates(result.runs[0].spec.judgement) if result.runs else ()
    metrics = [metric.spec for metric in result.comparison.metrics]
    questions = choose_questions(metrics, gates, _resolved(asked, folder))
    with open_workspace(load_settings(), folder) as workspace:
        return gate_comparison(workspace, result, questions)


def _resolved(asked: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """The questions, with a file that they compare with by its path from ``folder``."""
    against = asked.get("against")
    name, mark, arm = str(against or "").partition("#")
    path = folder / name
    return {**asked, "against": f"{path}{mark}{arm}" if name and path.is_file() else against}
