"""What people say about answers, as it is kept with a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Label:
    """What one person said about one answer at one time. Labels are only added, so that what was said before stays.

    Attributes:
        line_number: Of the run, from 0.
        metric: Name of the metric that the label is about.
        value: In the unit of the metric, from 0 to 1; ``None`` where the person took back what they had said, or left
            the answer out.
        labeller: Who said it; may be empty.
        is_random: The answer was drawn at random.
        at: When, in UTC.
        note: What the person wrote beside it.
    """

    line_number: int
    metric: str
    value: float | None
    labeller: str
    is_random: bool
    at: datetime
    note: str = ""


def labels_in_force(labels: Iterable[Label]) -> Mapping[tuple[int, str, str], Label]:
    """The last label of each line, metric and person, in the order in which lines were first labelled.

    Args:
        labels: Of one run, oldest first.

    Returns:
        By line number, metric and labeller; without those that were taken back.
    """
    last: dict[tuple[int, str, str], Label] = {}
    for label in labels:
        last[label.line_number, label.metric, label.labeller] = label
    return {key: label for key, label in last.items() if label.value is not None}
