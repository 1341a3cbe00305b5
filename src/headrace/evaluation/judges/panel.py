"""From the judgements of one answer, by one or several judges, once or repeatedly, to one score.

A grade from 1 to 5 becomes a score from 0 to 1: (grade - 1) / 4. The score of a judge is the mean over its
repeats, that of a panel the mean over its judges. A panel of which one judge gives nothing gives nothing: a mean over
the others would move with who is missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, TypeVar

from headrace.evaluation.judges.asking import Judge, ask
from headrace.evaluation.judges.cases import (
    NothingToJudgeError,
    as_text,
    decide_grade,
    decide_pair,
    is_pairwise,
)
from headrace.evaluation.judges.graders import GEVAL, HIGHEST, LOWEST, STEPS, Grader, load_grader
from headrace.evaluation.judges.replies import (
    Reply,
    UnreadableReplyError,
    read_grade,
    read_steps,
    read_winner,
)
from headrace.tools.base import NodeContext

ReplyT = TypeVar("ReplyT")

_POSITIONS = ("first", "second")


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """What one judge said once.

    Attributes:
        judge: Name of the judge; empty where no model was asked.
        repeat: Counts from 0.
        position: Where the answer stood when two were compared; ``None`` otherwise.
        grade: From 1 to 5; ``None`` where two answers were compared, and where the judge gave none.
        score: From 0 to 1; ``None`` where the judge gave none.
        error: Why there is no score; ``None`` where there is one.
    """

    judge: str
    repeat: int = 0
    position: str | None = None
    grade: int | None = None
    score: float | None = None
    label: str | None = None
    reason: str = ""
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain data, without what is not there."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in fields.items() if value not in (None, "")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Panel:
    """Who judges, by what, and how often.

    Attributes:
        name: Of the score.
        judges: At least one.
        repeats: How often each judge judges each answer.
        criteria: What counts, for the graders that take criteria; a line may bring its own.
        steps: How geval goes about it, one step a line; made of the criteria where empty.
    """

    name: str
    grader: Grader
    judges: tuple[Judge, ...]
    repeats: int = 1
    criteria: str = ""
    steps: str = ""


async def judge_answer(
    panel: Panel,
    given: Mapping[str, Any],
    context: NodeContext,
    known_steps: dict[tuple[str, str], str],
) -> dict[str, Any]:
    """Judge one answer.

    Args:
        panel: Who judges.
        given: The inputs of the line.
        context: Of the node that is running.
        known_steps: Steps that were made before, by model and criteria; those that are made now are added.

    Returns:
        ``NAME`` (the score, ``None`` where there is none), ``NAME_grade`` (1 to 5, where one answer is graded),
        ``NAME_label``, ``NAME_reason``, ``NAME.JUDGE`` of each of several judges, and ``NAME_judgements``.

    Raises:
        RemoteError: A model service does not answer.
    """
    texts = {name: as_text(value) for name, value in given.items()}
    texts["criteria"] = texts.get("criteria") or panel.criteria
    try:
        judgements = await _judge(panel, given, texts, context, known_steps)
    except NothingToJudgeError as error:
        return _outputs(panel, [Judgement(judge="", error=str(error))])
    return _outputs(panel, judgements)


async def _judge(
    panel: Panel,
    given: Mapping[str, Any],
    texts: Mapping[str, str],
    context: NodeContext,
    known_steps: dict[tuple[str, str], str],
) -> list[Judgement]:
    if is_pairwise(panel.grader):
        if given.get("baseline") is None:
            what = "The baseline has no answer to compare with."
            raise NothingToJudgeError(what)
        score = decide_pair(texts["answer"], texts["baseline"])
        if score is not None:
            reason = "Both answers are the same." if score == 0.5 else "One of the answers is empty."
            return [Judgement(judge="", score=score, label=_pair_label(panel, score), reason=reason)]
        return [
            await _compare(panel, judge, repeat, position, texts, context)
            for judge in panel.judges
            for repeat in range(panel.repeats)
            for position in _POSITIONS
        ]
    clear = decide_grade(panel.grader, texts)
    if clear is not None:
        return [_graded(panel, Judgement(judge="", reason=clear.reason), clear)]
    found = []
    for judge in panel.judges:
        shown = texts
        if panel.grader.name == GEVAL:
            steps = await _steps(panel, judge, texts["criteria"], context, known_steps)
            if steps is None:
                found.append(Judgement(judge=judge.name, error="The judge made no steps of the criteria."))
                continue
            shown = {**texts, "steps": steps}
        found += [await _grade(panel, judge, repeat, shown, context) for repeat in range(panel.repeats)]
    return found


async def _grade(
    panel: Panel, judge: Judge, repeat: int, texts: Mapping[str, str], context: NodeContext
) -> Judgement:
    said = Judgement(judge=judge.name, repeat=repeat)
    reply = await _asked(panel.grader, judge, texts, read_grade, context)
    return replace(said, error=reply) if isinstance(reply, str) else _graded(panel, said, reply)


def _graded(panel: Panel, said: Judgement, reply: Reply) -> Judgement:
    grade = reply.grade if reply.grade is not None else LOWEST
    score = (grade - LOWEST) / (HIGHEST - LOWEST)
    return replace(
        said, grade=grade, score=score, label=panel.grader.label(grade), reason=said.reason or reply.reason
    )


async def _compare(
    panel: Panel, judge: Judge, repeat: int, position: str, texts: Mapping[str, str], context: NodeContext
) -> Judgement:
    other = _POSITIONS[1 - _POSITIONS.index(position)]
    shown = {**texts, position: texts["answer"], other: texts["baseline"]}
    said = Judgement(judge=judge.name, repeat=repeat, position=position)
    reply = await _asked(panel.grader, judge, shown, read_winner, context)
    if isinstance(reply, str):
        return replace(said, error=reply)
    score = {position: 1.0, other: 0.0}.get(reply.winner or "", 0.5)
    return replace(said, score=score, label=_pair_label(panel, score), reason=reply.reason)


async def _steps(
    panel: Panel, judge: Judge, criteria: str, context: NodeContext, known: dict[tuple[str, str], str]
) -> str | None:
    """The steps of geval: given, made before, or made now; ``None`` where the judge makes none."""
    if panel.steps:
        return panel.steps
    key = (f"{judge.connection}/{judge.model}", criteria)
    if key not in known:
        reply = await _asked(load_grader(STEPS), judge, {"criteria": criteria}, read_steps, context)
        if not isinstance(reply, tuple):
            return None
        # Lines run at the same time: the first to be done counts, so that all are graded by the same steps.
        known.setdefault(key, "\n".join(f"{number}. {step}" for number, step in enumerate(reply, 1)))
    return known[key]


async def _asked(
    grader: Grader,
    judge: Judge,
    texts: Mapping[str, str],
    read: Callable[[str], ReplyT],
    context: NodeContext,
) -> ReplyT | str:
    """What the judge says, or why there is nothing that counts."""
    try:
        return await ask(grader, judge, texts, read, context)
    except UnreadableReplyError as error:
        return f"The judge {judge.name} gave no judgement, asked twice: {error}"


def _outputs(panel: Panel, judgements: Sequence[Judgement]) -> dict[str, Any]:
    name = panel.name
    by_judge: dict[str, list[Judgement]] = {}
    for item in judgements:
        by_judge.setdefault(item.judge, []).append(item)
    scores = {judge: _mean(_turns(items)) for judge, items in by_judge.items()}
    is_whole = all(score is not None for score in scores.values())
    score = _mean(list(scores.values())) if is_whole else None
    outputs: dict[str, Any] = {name: score}
    if not is_pairwise(panel.grader):
        outputs[f"{name}_grade"] = None if score is None else LOWEST + score * (HIGHEST - LOWEST)
    outputs[f"{name}_label"] = None if score is None else _label(panel, judgements, score)
    outputs[f"{name}_reason"] = _reason(judgements, is_whole=is_whole)
    if len(panel.judges) > 1:
        decided = scores.get("")  # where no model was asked
        outputs |= {f"{name}.{judge.name}": scores.get(judge.name, decided) for judge in panel.judges}
    outputs[f"{name}_judgements"] = [item.to_json() for item in judgements]
    return outputs


def _turns(judgements: Sequence[Judgement]) -> list[float | None]:
    """The score of each repeat; of two answers compared, only where the judge has seen them in both orders."""
    turns: dict[int, list[float | None]] = {}
    for item in judgements:
        turns.setdefault(item.repeat, []).append(item.score)
    return [None if None in turn else _mean(turn) for turn in turns.values()]


def _mean(scores: Sequence[float | None]) -> float | None:
    known = [score for score in scores if score is not None]
    return fmean(known) if known else None


def _label(panel: Panel, judgements: Sequence[Judgement], score: float) -> str:
    """The label that most judgements give; where two have as many, the one of the score."""
    if is_pairwise(panel.grader):
        return _pair_label(panel, score)
    counts = Counter(item.label for item in judgements if item.label is not None).most_common(2)
    if len(counts) == 1 or (counts and counts[0][1] > counts[1][1]):
        return str(counts[0][0])
    return panel.grader.label(LOWEST + score * (HIGHEST - LOWEST))


def _pair_label(panel: Panel, score: float) -> str:
    worse, tie, better = panel.grader.labels
    return tie if score == 0.5 else better if score > 0.5 else worse


def _reason(judgements: Sequence[Judgement], *, is_whole: bool) -> str:
    """Where there is no score, why; else the reasons of all judges, each with its name where there are several."""
    if not is_whole:
        return " ".join(dict.fromkeys(item.error for item in judgements if item.error))
    reasons: dict[str, None] = {}
    names = {item.judge for item in judgements}
    for item in judgements:
        if item.reason:
            reasons[f"{item.judge}: {item.reason}" if len(names) > 1 else item.reason] = None
    return " ".join(reasons)
