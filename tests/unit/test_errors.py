from __future__ import annotations

import json
import re

import pytest

from headrace.codes import CATALOGUE
from headrace.errors import (
    DefinitionError,
    ExitCode,
    NodeError,
    Problem,
    Raised,
    RateLimitedError,
    at_place,
    failure_exit_code,
    nearest,
    problem_from_json,
    raise_if_errors,
)
from headrace.source import Span

PLACE = Span(file="flow.dag.yaml", line=11, column=14, end_line=11, end_column=20)


def test_codes_have_a_family_a_number_and_a_unique_kebab_name() -> None:
    assert all(re.fullmatch(r"[FRTVDCEPSGMX]\d{3}", code) for code in CATALOGUE)
    names = [entry.name for entry in CATALOGUE.values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


def test_a_problem_survives_json() -> None:
    problem = Problem(
        code="R102",
        what="No such node.",
        span=PLACE,
        fix='Did you mean "retrieve"?',
        related=(("first defined here", PLACE),),
        severity="warning",
        detail=("line one", "ünd zwei"),
        raised=Raised(
            node="n", module="m", type="ValueError", message="boom", traceback="…", file="a.py", line=3
        ),
    )
    assert problem_from_json(json.loads(json.dumps(problem.to_json()))) == problem
    assert problem.headline() == "flow.dag.yaml:11:14: warning[R102 unknown-node] No such node."


def test_a_place_is_given_only_to_problems_without_one() -> None:
    elsewhere = Span(file="a.py", line=1, column=1, end_line=1, end_column=1)
    error = NodeError(Problem(code="E601", what="x"), Problem(code="E601", what="y", span=elsewhere))
    assert [problem.span for problem in at_place(error, PLACE).problems] == [PLACE, elsewhere]


def test_warnings_alone_stop_nothing() -> None:
    warning = Problem(code="F012", what="ignored", severity="warning")
    raise_if_errors((warning,))
    with pytest.raises(DefinitionError) as caught:
        raise_if_errors((warning, Problem(code="F006", what="missing")))
    assert len(caught.value.problems) == 2
    assert caught.value.exit_code == ExitCode.DEFINITION


def test_exit_codes_tell_the_service_from_the_flow() -> None:
    assert failure_exit_code(Problem(code="P702", what="x")) == ExitCode.REMOTE == 4
    assert failure_exit_code(Problem(code="E601", what="x")) == ExitCode.FAILED == 1
    assert RateLimitedError(Problem(code="P702", what="x"), retry_after_s=2).retryable


def test_only_a_likely_misspelling_is_suggested() -> None:
    assert nearest("retreive", ["retrieve", "answer"]) == "retrieve"
    assert nearest("zzz", ["retrieve", "answer"]) is None
