"""Which deployment commands are about that are told to people."""

from pathlib import Path

import pytest

from headrace.errors import Problem, StateError
from headrace.operations.open_deployment import DeploymentChoice

PROD = DeploymentChoice(file=Path("my flows/az.yaml"), environment="prod")
PLACE = "'my flows/az.yaml' --environment prod"


def test_a_command_that_goes_on_names_the_file_and_the_overlay() -> None:
    assert (
        PROD.command("rollback", "--deployment", "new")
        == f"headrace deploy rollback {PLACE} --deployment new"
    )
    assert PROD.command("traffic", "green=50") == f"headrace deploy traffic --file {PLACE} green=50"
    assert DeploymentChoice().command("apply") == "headrace deploy apply"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("With: headrace deploy traffic blue=0", f"With: headrace deploy traffic --file {PLACE} blue=0"),
        (
            "See headrace deploy logs --deployment a; headrace deploy status.",
            f"See headrace deploy logs {PLACE} --deployment a; headrace deploy status {PLACE}.",
        ),
        (f"Again: headrace deploy apply {PLACE}", f"Again: headrace deploy apply {PLACE}"),
        ("Try headrace deploy model NAME --dry-run", "Try headrace deploy model NAME --dry-run"),
    ],
)
def test_commands_in_texts_are_about_the_same_deployment(text: str, told: str) -> None:
    assert PROD.name_in(text) == told
    assert PROD.name_in(told) == told
    assert DeploymentChoice().name_in(text) == text


def test_what_is_raised_says_so_as_well_and_stays_what_it_is() -> None:
    first = Problem(code="X154", what="It answers.", fix="With: headrace deploy traffic blue=0")
    with pytest.raises(StateError) as caught, PROD.naming():
        raise StateError(first, Problem(code="X142", what="There are too many."))
    assert [problem.fix for problem in caught.value.problems] == [
        f"With: headrace deploy traffic --file {PLACE} blue=0",
        None,
    ]
