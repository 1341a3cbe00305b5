"""Answers that a person is asked about: drawn at random, without saying whose they are, and kept at once.

Lines are drawn, not answers: for a drawn line the answers of all runs are asked for, because what is compared is the
difference between arms on one line. Answers with the same text are asked for once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from headrace.domain.label import Label, labels_in_force
from headrace.domain.run import COMPLETED
from headrace.errors import Problem, UsageError
from headrace.operations.check_experiment import unknown_metric
from headrace.operations.collect_scores import (
    Collected,
    as_score,
    collect_run,
    find_reference,
    judged_run,
    score_names,
)
from headrace.operations.workspace import Workspace

PASS_FAIL = "pass-fail"  # noqa: S105 - a scale
GRADES = "1-5"
SCALES: Mapping[str, Mapping[str, float]] = {
    PASS_FAIL: {"p": 1.0, "f": 0.0},
    GRADES: {str(grade): (grade - 1) / 4 for grade in range(1, 6)},
}
"""What a person may say on each scale, and which score that is."""

_ITEM_LENGTH = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One text that is asked about.

    Attributes:
        item: Names it without saying whose it is: 12 hexadecimal digits.
        places: Run and line number of everyone who gave it.
        inputs: What the flow was asked.
        outputs: What it answered.
        reference: What its evaluators were told, where they were told anything.
    """

    item: str
    line_number: int
    places: tuple[tuple[str, int], ...]
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    reference: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelRequest:
    """What is to be labelled.

    Attributes:
        runs: Names of runs over the same data.
        n_lines: How many lines are drawn; ``None`` for all.
        lines: Numbers of lines that were chosen instead; their labels do not count as random.
        labeller: Who labels; may be empty.
    """

    runs: tuple[str, ...]
    metric: str
    n_lines: int | None = None
    lines: tuple[int, ...] = ()
    seed: int = 0
    labeller: str = ""


class LabelSession:
    """A person's way through the answers. What they say is in the store when the method returns.

    Attributes:
        answers: All of them, in the order in which they are asked for.
        scale: Name of the scale, one of :data:`SCALES`, that suits the scores of the metric.
    """

    def __init__(self, workspace: Workspace, request: LabelRequest) -> None:
        """Draw the answers and find out which of them this person has labelled.

        Raises:
            UsageError: S801 for an unknown run, G901 for an unknown metric, G947 for a line without an answer, G949
                where there is nothing to label.
        """
        self._workspace = workspace
        self._request = request
        collected = collect_named(workspace, request.runs)
        check_metric(collected, request.metric)
        self.scale = _suitable_scale(collected, request.metric)
        self.answers = draw_answers(workspace, collected, request)
        done = {
            (item.judged.run.spec.name, number)
            for item in collected
            for number, metric, labeller in labels_in_force(
                workspace.store.read_labels(item.judged.run.spec.name)
            )
            if (metric, labeller) == (request.metric, request.labeller)
        }
        self._labelled = [
            position for position, answer in enumerate(self.answers) if done.issuperset(answer.places)
        ]
        self._skipped: list[int] = []
        self._was_skipped: list[bool] = [False] * len(self._labelled)

    @property
    def n_done(self) -> int:
        """Answers with a label of this person."""
        return len(self._labelled)

    @property
    def n_skipped(self) -> int:
        """Answers that were left out since the session began."""
        return len(self._skipped)

    @property
    def current(self) -> Answer | None:
        """The answer that is asked for; ``None`` when all are labelled or left out."""
        position = self._position()
        return None if position is None else self.answers[position]

    def give(self, value: float) -> None:
        """Label the current answer with a score from 0 to 1.

        Raises:
            ValueError: Nothing is asked for.
        """
        position = self._asked()
        self._keep(position, value)
        self._labelled.append(position)
        self._was_skipped.append(False)

    def skip(self) -> None:
        """Leave the current answer out; it is asked for again by the next session.

        Raises:
            ValueError: Nothing is asked for.
        """
        self._skipped.append(self._asked())
        self._was_skipped.append(True)

    def undo(self) -> bool:
        """Take back the last label, or the last skip; false when there is neither.

        What an earlier session has labelled can be taken back as well, the answer that is asked for last first.
        """
        if not self._was_skipped:
            return False
        if self._was_skipped.pop():
            self._skipped.pop()
        else:
            self._keep(self._labelled.pop(), None)
        return True

    def _position(self) -> int | None:
        left = set(range(len(self.answers))).difference(self._labelled, self._skipped)
        return min(left, default=None)

    def _asked(self) -> int:
        position = self._position()
        if position is None:
            message = "no answer is asked for"
            raise ValueError(message)
        return position

    def _keep(self, position: int, value: float | None) -> None:
        for run, line_number in self.answers[position].places:
            label = Label(
                line_number=line_number,
                metric=self._request.metric,
                value=value,
                labeller=self._request.labeller,
                is_random=not self._request.lines,
                at=self._workspace.now(),
            )
            self._workspace.store.append_labels(run, [label])


def draw_answers(
    workspace: Workspace, collected: Sequence[Collected], request: LabelRequest
) -> tuple[Answer, ...]:
    """The answers to the drawn lines, in an order that does not tell whose they are.

    The same seed gives the same lines in the same order, so that a session goes on where it was, and a larger number
    of lines adds to the ones before.

    Raises:
        UsageError: G947 for a chosen line without an answer, G949 when there is no answer at all.
    """
    answers = _answers(collected)
    numbers = list(dict.fromkeys(answer.line_number for answer in answers))
    if not numbers:
        what = f"No line of {', '.join(request.runs)} has an answer."
        raise UsageError(Problem(code="G949", what=what, fix="Name runs of flows with completed lines."))
    drawn = sorted(numbers, key=lambda number: _draw(request.seed, number))[: request.n_lines]
    if request.lines:
        unknown = [number for number in request.lines if number not in numbers]
        if unknown:
            raise UsageError(no_answer(unknown[0], request.runs))
        drawn = list(dict.fromkeys(request.lines))
    places = {number: place for place, number in enumerate(drawn)}
    wanted = [answer for answer in answers if answer.line_number in places]
    wanted.sort(key=lambda answer: (places[answer.line_number], _draw(request.seed, answer.item)))
    judged = {item.judged.run.spec.name: item.judged for item in collected}
    return tuple(
        replace(answer, reference=find_reference(workspace, judged[answer.places[0][0]], answer.line_number))
        for answer in wanted
    )


def no_answer(line_number: int, runs: Sequence[str]) -> Problem:
    """G947 for a line that does not exist or has failed."""
    return Problem(
        code="G947",
        what=f"Line {line_number} of {', '.join(runs)} does not exist or has no answer to say anything about.",
        fix="Lines count from 0; headrace run show-details shows them.",
    )


def _draw(seed: int, thing: int | str) -> str:
    """A number that is as good as random, the same on every machine."""
    return sha256(f"{seed}/{thing}".encode()).hexdigest()


def _answers(collected: Sequence[Collected]) -> list[Answer]:
    """The different answers of all runs to each line, in order of the lines."""
    found: dict[int, dict[str, Answer]] = {}
    for item in collected:
        run = item.judged.run.spec.name
        for line in item.lines:
            number = line.result.line_number
            if line.result.status != COMPLETED:
                continue
            text = repr(sorted((name, repr(value)) for name, value in line.result.outputs.items()))
            of_line = found.setdefault(number, {})
            places = (*(of_line[text].places if text in of_line else ()), (run, number))
            name = "\0".join(f"{one}/{line_number}" for one, line_number in sorted(places))
            of_line[text] = Answer(
                item=sha256(name.encode()).hexdigest()[:_ITEM_LENGTH],
                line_number=number,
                places=places,
                inputs=line.result.inputs,
                outputs=line.result.outputs,
            )
    return [answer for number in sorted(found) for answer in found[number].values()]


def collect_named(workspace: Workspace, runs: Sequence[str]) -> list[Collected]:
    """The lines of runs with what judged them, each run once.

    Raises:
        UsageError: S801 for an unknown run.
    """
    return [
        collect_run(workspace, judged_run(workspace, workspace.store.read_run(name)), None)
        for name in dict.fromkeys(runs)
    ]


def check_metric(collected: Sequence[Collected], metric: str) -> None:
    """Refuse a metric that none of the evaluations gives; without evaluations any name may be labelled.

    Raises:
        UsageError: G901.
    """
    known = {name for item in collected for line in item.lines for name in line.scores}
    if known and metric not in known:
        raise UsageError(unknown_metric(metric, score_names(collected)))


def _suitable_scale(collected: Sequence[Collected], metric: str) -> str:
    """Pass and fail where all scores are 0 or 1, else the grades from 1 to 5."""
    scores = {as_score(line.scores.get(metric)) for item in collected for line in item.lines} - {None}
    return PASS_FAIL if scores and scores <= {0.0, 1.0} else GRADES
