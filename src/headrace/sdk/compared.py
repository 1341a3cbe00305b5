"""What ``headrace.compare`` returns: the comparison, what to ship, and questions that tests ask of it."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from headrace.domain.comparison import (
    ArmSummary,
    Comparison,
    MetricComparison,
    Provenance,
    Recommendation,
    Verdict,
)
from headrace.domain.score_record import ScoreRecord
from headrace.errors import Problem
from headrace.evaluation.report.as_json import render_json
from headrace.evaluation.report.html import render_html
from headrace.evaluation.report.markdown import render_markdown
from headrace.operations.compare_runs import ComparisonResult
from headrace.operations.find_effects import find_effect, find_metric
from headrace.operations.new_files import write_files
from headrace.operations.score_records import comparison_rows, score_records, write_scores
from headrace.operations.track_comparison import track_comparison
from headrace.providers.loading import load_optional
from headrace.sdk.assertions import assert_shown


class ComparedArms:
    """A comparison with what to ship, to be read, written, and asked by tests.

    The fields of :class:`~headrace.domain.comparison.Comparison` are here as well.

    Attributes:
        comparison: All numbers.
        recommendation: Which arm to ship and why; its arm is ``None`` when the data cannot tell.
        result: Everything beside it: context of the report, runs, how many lines failed, id of the experiment.
        problems: What did not stop it, such as a collector that took no spans.
    """

    def __init__(self, result: ComparisonResult, problems: tuple[Problem, ...] = ()) -> None:
        self.comparison: Comparison = result.comparison
        self.recommendation: Recommendation = result.recommendation
        self.result = result
        self.problems = problems

    @property
    def baseline(self) -> str:
        """Arm that the others are compared with."""
        return self.comparison.baseline

    @property
    def arms(self) -> tuple[ArmSummary, ...]:
        """What each arm did and used."""
        return self.comparison.arms

    @property
    def metrics(self) -> tuple[MetricComparison, ...]:
        """Every arm on every metric; the first one decides."""
        return self.comparison.metrics

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader has to know, in sentences."""
        return self.comparison.warnings

    @property
    def provenance(self) -> Provenance:
        """How the numbers were made."""
        return self.comparison.provenance

    @property
    def scores(self) -> tuple[ScoreRecord, ...]:
        """Every score: one record for each arm, line, repeat and metric."""
        return score_records(self.result)

    def metric(self, name: str | None = None) -> MetricComparison:
        """Every arm on one metric, by default the first.

        Raises:
            UsageError: G901 when it was not compared.
        """
        return find_metric(self.comparison, name)

    def verdict(self, arm: str, metric: str | None = None) -> Verdict:
        """The verdict on an arm against the baseline.

        Raises:
            UsageError: V305 for an unknown arm or the baseline itself, G901 for a metric that was not compared.
        """
        return find_effect(self.result, metric=metric, arm=arm).verdict

    def to_markdown(self) -> str:
        """The report as Markdown, short enough for a comment on a pull request."""
        return render_markdown(self.comparison, self.result.context)

    def to_json(self) -> str:
        """Everything as JSON."""
        return render_json(self.comparison, self.result.context)

    def to_html(self, path: str | PathLike[str]) -> Path:
        """Write the report as one self-contained page, over a file that is there; returns where it is.

        Raises:
            StateError: S808 when it cannot be written.
        """
        page = render_html(self.comparison, self.result.context)
        (written,) = write_files({Path(path): page}, is_replacing=True)
        return written

    def to_records(self) -> list[dict[str, Any]]:
        """One row for each metric and arm, as plain values."""
        return comparison_rows(self.comparison)

    def to_frame(self) -> Any:
        """The rows of :meth:`to_records` as a pandas frame.

        Raises:
            UsageError: C505 when pandas is not installed.
        """
        return load_optional("pandas:DataFrame", extra="pandas")(self.to_records())

    def write_scores(self, path: str | PathLike[str]) -> Path:
        """Write :attr:`scores` as a table, over a file that is there; returns where it is.

        Args:
            path: A ``.csv`` or ``.parquet`` file.

        Raises:
            UsageError: C505 when the form needs a package that is not installed, C507 for another form.
            StateError: S808 when it cannot be written.
        """
        return write_scores(self.scores, Path(path))

    def log_to(self, tracker: str) -> str:
        """Write runs, params, metrics and the report to an experiment tracker; returns where they went.

        Args:
            tracker: ``mlflow`` or ``wandb``; where it keeps its data is for its own settings to say.

        Raises:
            UsageError: C505 when its package is not installed, C507 for another tracker.
            RemoteError: P710 when it does not take them.
        """
        return track_comparison(self.result, tracker)

    def assert_better(
        self,
        metric: str | None = None,
        margin: float = 0.0,
        *,
        arm: str | None = None,
        against: str | None = None,
    ) -> None:
        """Fail unless an arm is better than another, by more than a margin.

        Args:
            metric: Name; default the first one.
            margin: In the unit of the metric, zero or more.
            arm: The arm that is asked about; may be left away where there is one beside the baseline.
            against: The arm it is compared with; default the baseline.

        Raises:
            AssertionError: The data do not show it; the message is the evidence.
            UsageError: V305 for an unknown arm, G901 for an unknown metric, G903 for a margin below zero.
        """
        assert_shown(self.result, "superior", metric=metric, margin=margin, arm=arm, against=against)

    def assert_not_worse(
        self,
        metric: str | None = None,
        margin: float | None = None,
        *,
        arm: str | None = None,
        against: str | None = None,
    ) -> None:
        """Fail unless an arm is worse than another by less than a margin, if at all.

        Args:
            metric: Name; default the first one.
            margin: In the unit of the metric, above zero; default that of the comparison.
            arm: As in :meth:`assert_better`.
            against: As in :meth:`assert_better`.

        Raises:
            AssertionError: The data do not show it; the message is the evidence.
            UsageError: As in :meth:`assert_better`; G903 as well where there is no margin.
        """
        assert_shown(self.result, "non-inferior", metric=metric, margin=margin, arm=arm, against=against)

    def assert_equivalent(
        self,
        metric: str | None = None,
        margin: float | None = None,
        *,
        arm: str | None = None,
        against: str | None = None,
    ) -> None:
        """Fail unless an arm is neither better nor worse than another by as much as a margin.

        Arguments and what is raised are those of :meth:`assert_not_worse`.
        """
        assert_shown(self.result, "equivalent", metric=metric, margin=margin, arm=arm, against=against)

    def __str__(self) -> str:
        return self.to_markdown()

    def __repr__(self) -> str:
        arms = ", ".join(summary.arm for summary in self.arms)
        return f"<ComparedArms {arms}: {self.recommendation.reason}>"

    def _repr_markdown_(self) -> str:
        """What a notebook shows."""
        return self.to_markdown()
