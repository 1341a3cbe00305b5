from __future__ import annotations

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.cli.options import (
    ManyValues,
    ManyValuesOrNone,
    complete_option,
    expand_arguments,
    parse_pairs,
    strip_quotes,
)
from headrace.errors import UsageError

PARAMS: list[click.Parameter] = [
    ManyValues(["--inputs"], multiple=True),
    ManyValuesOrNone(["--environment-variables"], multiple=True),
    click.Option(["--flow"]),
    click.Option(["-n", "--name"]),
    click.Option(["--stream"], is_flag=True),
]
WITH_ARGUMENT: list[click.Parameter] = [*PARAMS, click.Argument(["runs"], nargs=-1)]


@pytest.mark.parametrize(
    ("given_", "expanded"),
    [
        ("--inputs a=1 b=2 --flow f", "--inputs a=1 --inputs b=2 --flow f"),
        ("--flow f --inputs data.jsonl", "--flow f --inputs data.jsonl"),
        ("--inputs a=1 --inputs b=2", "--inputs a=1 --inputs b=2"),
        ("--inputs=a=1 --stream", "--inputs=a=1 --stream"),
        ("--inputs a=- b=-1 -n x", "--inputs a=- --inputs b=-1 -n x"),
        ("--inputs - --flow f", "--inputs - --flow f"),
        ("--environment-variable a=1 b=2", "--environment-variables a=1 --environment-variables b=2"),
        ("--fl f", "--flow f"),
        ("--fl=f", "--flow=f"),
        ("--unknown x", "--unknown x"),
        ("--inputs", "--inputs"),
        ("--inputs --flow f", "--inputs --flow f"),
        ("-- --inputs a b", "-- --inputs a b"),
    ],
)
def test_several_values_and_short_names_are_spelled_out(given_: str, expanded: str) -> None:
    assert expand_arguments(PARAMS, given_.split()) == expanded.split()


def test_a_bare_flag_that_may_be_bare_stands_for_an_empty_value() -> None:
    assert expand_arguments(PARAMS, ["--environment-variables", "--stream"]) == [
        "--environment-variables", "", "--stream",
    ]  # fmt: skip


def test_bare_arguments_end_a_list_of_pairs() -> None:
    arguments = ["--inputs", "a=1", "b=2", "first", "second"]
    assert expand_arguments(WITH_ARGUMENT, arguments) == [
        "--inputs", "a=1", "--inputs", "b=2", "first", "second",
    ]  # fmt: skip


@given(st.lists(st.sampled_from(["--inputs", "--flow", "-n", "a=1", "x", "--stream", "--", "-", "--in"])))
def test_expansion_loses_no_word_and_settles(arguments: list[str]) -> None:
    expanded = expand_arguments(PARAMS, arguments)
    assert set(arguments) - {"--in"} <= set(expanded)
    if "--" not in arguments:
        assert expand_arguments(PARAMS, expanded) == expanded


def test_a_beginning_of_two_options_is_not_completed() -> None:
    options = {"--name": click.Option(["--name"]), "--node": click.Option(["--node"])}
    assert complete_option("--n", options) == "--n"
    assert complete_option("--na", options) == "--name"


@pytest.mark.parametrize(
    ("text", "stripped"),
    [("'${a.b}'", "${a.b}"), ('"x"', "x"), ("'x\"", "'x\""), ("'", "'"), ("it's", "it's"), ("", "")],
)
def test_one_pair_of_quotes_is_stripped(text: str, stripped: str) -> None:
    assert strip_quotes(text) == stripped


def test_pairs_split_at_the_first_equals_sign() -> None:
    assert parse_pairs("--set", ["a=b=c", "d='e f'", "'g=h'", "i="]) == {
        "a": "b=c",
        "d": "e f",
        "g": "h",
        "i": "",
    }


@pytest.mark.parametrize("text", ["word", "=hidden", ""])
def test_what_is_no_pair_is_refused_without_showing_it(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_pairs("--inputs", [text])
    problem = caught.value.problems[0]
    assert problem.code == "C507"
    assert "--inputs" in problem.what
    if text:
        assert text not in problem.what
