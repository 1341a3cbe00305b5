from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.runs import a_spec, a_time

from headrace.domain.run import LineResult, Run
from headrace.errors import UsageError
from headrace.operations.chosen_lines import (
    SELECTION_FILE,
    chosen_note,
    line_digest,
    prompt_digest,
    refuse_chosen_lines,
    selection_text,
)
from headrace.operations.collect_scores import Collected, CollectedLine, JudgedRun


def _collected(texts: list[str], judgement: dict[str, object], flow: str = "/nowhere") -> Collected:
    spec = replace(a_spec("new", judgement=judgement), flow_path=flow)
    run = Run(spec=spec, status="Completed", created_at=a_time(), n_lines=len(texts))
    lines = tuple(
        CollectedLine(
            line_id=str(number),
            result=LineResult(line_number=number, status="Completed", inputs={"text": text}),
            scores={},
        )
        for number, text in enumerate(texts)
    )
    return Collected(judged=JudgedRun(arm="new", run=run, evaluations={}), lines=lines)


@pytest.mark.parametrize(
    ("inputs", "is_same"),
    [
        ({"message": "a b", "n": 1}, True),  # other names of inputs
        ({"n": 1, "text": "  a\n b "}, True),
        ({"text": "a b", "n": 2}, False),
        ({"text": "A b", "n": 1}, False),
        ({"text": "a b"}, False),
    ],
)
def test_a_line_is_known_by_its_content(inputs: dict[str, object], *, is_same: bool) -> None:
    assert (line_digest(inputs) == line_digest({"text": "a b", "n": 1})) is is_same


def test_forms_of_unicode_do_not_count_and_nested_values_do() -> None:
    assert line_digest({"t": "caf\u00e9"}) == line_digest({"t": "cafe\u0301"})
    assert (
        line_digest({"t": [{"a": "x  y"}]})
        == line_digest({"t": [{"a": "x y"}]})
        != line_digest({"t": [{"a": "z"}]})
    )


def test_a_prompt_is_known_by_its_text() -> None:
    assert prompt_digest("a\r\nb\n") == prompt_digest("a\nb") != prompt_digest("a b")


def test_lines_that_were_used_to_choose_are_refused_with_their_number() -> None:
    chosen = [line_digest({"text": text}) for text in ("one", "two", "three")]
    judgement: dict[str, object] = {"selection": {"lines": chosen}}
    with pytest.raises(UsageError, match=r"2 of the 3 lines") as error:
        refuse_chosen_lines([_collected(["two", "new", " one"], judgement)], None)
    assert error.value.problems[0].code == "G964"
    refuse_chosen_lines([_collected(["four", "five"], judgement)], None)
    refuse_chosen_lines([_collected(["one"], {})], None)


def test_one_arm_that_was_chosen_is_enough() -> None:
    judgement: dict[str, object] = {"selection": {"lines": [line_digest({"text": "one"})]}}
    both = [_collected(["one", "two"], {}), _collected(["one", "two"], judgement)]
    with pytest.raises(UsageError, match=r"1 of the 2 lines"):
        refuse_chosen_lines(both, None)
    assert "1 of 2 lines were used to choose" in chosen_note(both)[0]
    assert chosen_note([_collected(["one"], {})]) == ()


def test_what_stands_beside_the_flow_counts_without_any_record(tmp_path: Path) -> None:
    file = tmp_path / SELECTION_FILE
    file.write_text(selection_text([line_digest({"text": "one"})], ["p"]), encoding="utf-8")
    (tmp_path / "flow.dag.yaml").write_text("nodes: []\n", encoding="utf-8")
    for flow in (tmp_path, tmp_path / "flow.dag.yaml"):
        with pytest.raises(UsageError, match="G964"):
            refuse_chosen_lines([_collected(["one"], {}, str(flow))], None)
    for other in ("{", "[]", json.dumps({"lines": 3})):
        file.write_text(other, encoding="utf-8")
        refuse_chosen_lines([_collected(["one"], {}, str(tmp_path))], None)
