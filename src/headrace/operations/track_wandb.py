"""A comparison in Weights & Biases: a run for each arm, and one with tables and the report. Needs the extra ``wandb``.

Where it goes is for its own variables to say, such as ``WANDB_MODE=offline``, ``WANDB_PROJECT`` and ``WANDB_ENTITY``.
Reached by name. May catch everything: what wandb raises has no family of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from headrace.domain.score_record import ScoreRecord
from headrace.errors import Problem, RemoteError
from headrace.operations.track_comparison import TrackedComparison, plain_name
from headrace.providers.loading import load_optional

_EXTRA = "wandb"


def write(comparison: TrackedComparison) -> str:
    """Write a comparison; says where it went.

    Raises:
        UsageError: C505 when wandb is not installed.
        RemoteError: P710 when it does not take it.
    """
    parts = {
        name: load_optional(f"wandb:{name}", extra=_EXTRA)
        for name in ("init", "Artifact", "Table", "Settings")
    }
    try:
        return _Writer(parts, comparison).write()
    except Exception as error:  # whatever it raises, the comparison itself is done
        raise RemoteError(_refused(error)) from error


class _Writer:
    def __init__(self, parts: Mapping[str, Any], comparison: TrackedComparison) -> None:
        self._parts = parts
        self._comparison = comparison

    def write(self) -> str:
        comparison = self._comparison
        for arm in comparison.arms:
            verdicts = {f"{name}/verdict": word for name, word in arm.words.items()}
            with self._run(arm.name, "arm", arm.params) as run:
                run.summary.update({**arm.metrics, **verdicts})
                columns = [field.name for field in fields(ScoreRecord)]
                run.log(
                    {"scores": self._table(columns, [list(asdict(record).values()) for record in arm.scores])}
                )
        with self._run("comparison", "comparison", comparison.params) as run:
            run.summary.update(comparison.words)
            columns = list(comparison.rows[0]) if comparison.rows else ["metric", "arm"]
            run.log({"arms": self._table(columns, [list(row.values()) for row in comparison.rows])})
            artifact = self._parts["Artifact"](_artifact_name(comparison.group), type="comparison")
            for name, text in comparison.files.items():
                with artifact.new_file(name, mode="w", encoding="utf-8") as file:
                    file.write(text)
            run.log_artifact(artifact)
            return f"Weights & Biases project {run.project!r}, group {comparison.group!r}"

    def _run(self, name: str, kind: str, config: Mapping[str, Any]) -> Any:
        return self._parts["init"](
            project=self._project(),
            group=self._comparison.group[:128],
            job_type=kind,
            name=name,
            config=dict(config),
            settings=self._parts["Settings"](silent=True, console="off"),
            reinit="finish_previous",
        )

    def _project(self) -> str | None:
        """The title, unless the library's own settings name a project."""
        named = self._parts["Settings"]().project
        return None if named else plain_name(self._comparison.title).replace("/", "-")[:128]

    def _table(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Any:
        return self._parts["Table"](columns=list(columns), data=[list(row) for row in rows])


def _artifact_name(group: str) -> str:
    return "comparison-" + "".join(char if char.isalnum() or char in "-_." else "_" for char in group)[:100]


def _refused(error: Exception) -> Problem:
    return Problem(
        code="P710",
        what=f"Weights & Biases did not take the comparison: {type(error).__name__}.",
        fix="Log in with: wandb login, or set WANDB_MODE=offline. The comparison itself is done: "
        "headrace compare --again ID --to wandb.",
        detail=tuple(str(error).splitlines()[:5]),
    )
