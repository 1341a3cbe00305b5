"""What judges reply: a grade, or no grade; never a number that was not said."""

from __future__ import annotations

import pytest

from headrace.evaluation.judges.cases import NothingToJudgeError, as_text, decide_grade, decide_pair
from headrace.evaluation.judges.graders import GRADERS, PAIRWISE, load_grader
from headrace.evaluation.judges.replies import (
    Reply,
    UnreadableReplyError,
    read_grade,
    read_steps,
    read_winner,
)

GARBAGE = [
    "", "4", "I would say 4.", "[4]", "null", "{}", '{"grade": null}', '{"grade": 0}', '{"grade": 6}',
    '{"grade": 3.5}', '{"grade": "four"}', '{"grade": true}', '{"grade": NaN}', '{"grade": Infinity}',
    '{"grade": 1e400}', '{"grade": [5]}', '{"grade": "5; but"}', '{"Grade": 4}', '{"grade": 4', "{" * 5000,
    '{"grade": "' + "9" * 5000 + '"}',
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ('{"reason": "It does.", "grade": 4}', 4),
        ('  {"grade": "5", "reason": "It does."}\n', 5),
        ('{"grade": 2.0, "reason": "It does.", "more": {"x": 1}}', 2),
        ('```json\n{"reason": "It does.", "grade": 1}\n```', 1),
        ('Here it is: {"reason": "It does.", "grade": 3} I hope it helps.', 3),
    ],
)
def test_a_grade_is_read_wherever_the_object_stands(text: str, grade: int) -> None:
    assert read_grade(text) == Reply(grade=grade, reason="It does.")


@pytest.mark.parametrize("text", GARBAGE)
def test_what_is_no_grade_is_refused_with_a_sentence_for_the_judge(text: str) -> None:
    with pytest.raises(UnreadableReplyError, match=r"must .*\.$"):
        read_grade(text)


def test_a_reason_is_one_line_of_bounded_length_and_may_be_missing() -> None:
    assert read_grade('{"grade": 1}').reason == ""
    assert read_grade('{"grade": 1, "reason": ["x"]}').reason == ""
    assert read_grade('{"grade": 1, "reason": " a\\n  b "}').reason == "a b"
    assert len(read_grade('{"grade": 1, "reason": "%s"}' % ("x" * 5000)).reason) == 1000


def test_a_winner_is_one_of_three_words() -> None:
    assert read_winner('{"winner": " First ", "reason": "r"}') == Reply(winner="first", reason="r")
    for text in ('{"winner": "both"}', '{"winner": 1}', "first"):
        with pytest.raises(UnreadableReplyError):
            read_winner(text)


def test_steps_are_the_texts_of_a_list() -> None:
    assert read_steps('{"steps": [" a ", "", 3, "b"]}') == ("a", "b")
    for text in ('{"steps": []}', '{"steps": "a"}', '{"steps": [""]}', '{"steps": [1]}'):
        with pytest.raises(UnreadableReplyError):
            read_steps(text)


@pytest.mark.parametrize("name", [name for name in GRADERS if name != PAIRWISE])
def test_an_empty_answer_has_the_worst_grade_and_missing_inputs_give_none(name: str) -> None:
    grader = load_grader(name)
    texts = dict.fromkeys(grader.flow.inputs, "x") | {"answer": ""}
    found = decide_grade(grader, texts)
    assert found is not None
    assert (found.grade, found.reason) == (1, "The answer is empty.")
    for needed in grader.needs:
        with pytest.raises(NothingToJudgeError, match=needed):
            decide_grade(grader, {**texts, needed: ""})
    assert decide_grade(grader, {**texts, "answer": "y"}) is None


@pytest.mark.parametrize("name", ["similarity", "correctness"])
def test_the_reference_itself_has_the_best_grade(name: str) -> None:
    found = decide_grade(load_grader(name), {"answer": "four", "reference": "four"})
    assert found is not None
    assert found.grade == 5


@pytest.mark.parametrize(
    ("answer", "baseline", "score"),
    [("a", "a", 0.5), ("", "", 0.5), ("a", "", 1.0), ("", "a", 0.0), ("a", "b", None)],
)
def test_two_answers_of_which_one_is_empty_need_no_judge(
    answer: str, baseline: str, score: float | None
) -> None:
    assert decide_pair(answer, baseline) == score


def test_values_are_shown_as_text() -> None:
    assert as_text(None) == ""
    assert as_text(" a ") == "a"
    assert as_text(["a", "", None, {"b": 1}]) == 'a\n\n{"b": 1}'
    assert as_text(3) == "3"
    assert as_text(False) == "false"
