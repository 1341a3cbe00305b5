"""The expressions of workflows that tests evaluate: what they come to, and that everything else is refused."""

import pytest
from tests.support.workflow_expressions import NotKnownError, evaluate, fill, holds

CONTEXTS = {
    "github": {"event_name": "push", "event": {"pull_request": {"head": {"repo": "o/r"}}}},
    "vars": {"NAME": "it's"},
    "steps": {"apply": {"outcome": "success"}},
}
GOOD = {"success": True, "failure": False, "cancelled": False, "always": True}
BAD = {"success": False, "failure": True, "cancelled": False, "always": True}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("github.event_name == 'push' && vars.NAME != ''", True),
        ("vars.NAME == 'it''s'", True),
        ("vars.MISSING", ""),
        ("!(github.event_name == 'push') || failure()", False),
        ("github.event.pull_request.head.repo", "o/r"),
    ],
)
def test_values(expression: str, value: object) -> None:
    assert evaluate(expression, CONTEXTS, GOOD) == value


@pytest.mark.parametrize(
    "expression",
    [
        "github.actor",
        "runner.os == 'Linux'",
        "github",
        "contains(github.event_name, 'push')",
        "toJSON()",
        "vars.NAME == ",
        "(vars.NAME",
        "vars.NAME vars.NAME",
        "1 + 1",
    ],
)
def test_what_is_not_known_is_refused(expression: str) -> None:
    with pytest.raises(NotKnownError):
        evaluate(expression, CONTEXTS, GOOD)


def test_conditions_want_success_unless_they_ask_for_something_else() -> None:
    assert holds("vars.NAME != ''", CONTEXTS, GOOD)
    assert not holds("vars.NAME != ''", CONTEXTS, BAD)
    assert holds("${{ !success() && steps.apply.outcome == 'success' }}", CONTEXTS, BAD)
    assert not holds("${{ !cancelled() && vars.MISSING }}", CONTEXTS, BAD)


def test_holes_are_filled() -> None:
    assert fill("${{ vars.NAME }}-${{ vars.MISSING == '' }}-$HOME", CONTEXTS, GOOD) == "it's-true-$HOME"
