"""Words that choose arms, and the names of the arms."""

from __future__ import annotations

import pytest

from headrace.domain.variant import ModelSpec, Variant
from headrace.errors import UsageError
from headrace.formats.arms import make_arms, parse_model, parse_variant


def variants(*names: str) -> list[Variant]:
    return [Variant(name=name, choices={"n": name}) for name in names]


def models(*texts: str) -> list[ModelSpec]:
    return [parse_model(text) for text in texts]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("${summarize.long}", ("summarize", "long")),
        ("summarize.long", ("summarize", "long")),
        ("'${summarize.long}'", ("summarize", "long")),
        ('  "${a.b}" ', ("a", "b")),
        ("${a.v1.2 beta}", ("a", "v1.2 beta")),
        ("a.variant_0", ("a", "variant_0")),
    ],
)
def test_parse_variant(text: str, result: tuple[str, str]) -> None:
    assert parse_variant(text) == result


@pytest.mark.parametrize("text", ["", "a", "${a}", "${.b}", "${a.}", "a.", ".b", "${a.b", "$a.b", "${a.b}}"])
def test_no_variant(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_variant(text)
    assert caught.value.problems[0].code == "V302"


@pytest.mark.parametrize(
    ("text", "connection", "model"),
    [
        ("my_aoai/gpt-4o", "my_aoai", "gpt-4o"),
        ("hf/meta/llama:8b", "hf", "meta/llama:8b"),
        ("baseline", "baseline", "baseline"),
    ],
)
def test_parse_model(text: str, connection: str, model: str) -> None:
    assert parse_model(text) == ModelSpec(name=model, connection=connection, model=model)


@pytest.mark.parametrize("text", ["", "gpt-4o", "a/", "/b", "/"])
def test_no_model(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_model(text)
    assert caught.value.problems[0].code == "C507"


@pytest.mark.parametrize(
    ("variant_names", "model_texts", "names"),
    [
        ((), (), ["default"]),
        (("a", "b"), (), ["a", "b"]),
        ((), ("baseline", "c/gpt"), ["baseline", "gpt"]),
        (("a", "b"), ("c/gpt",), ["a", "b"]),
        (("a",), ("baseline", "c/gpt"), ["baseline", "gpt"]),
        (("a",), ("c/gpt",), ["a"]),
        (("a", "b"), ("baseline", "c/gpt"), ["a/baseline", "a/gpt", "b/baseline", "b/gpt"]),
        ((), ("c/gpt", "d/gpt", "d/x"), ["c/gpt", "d/gpt", "x"]),
    ],
)
def test_names_of_arms(
    variant_names: tuple[str, ...], model_texts: tuple[str, ...], names: list[str]
) -> None:
    arms = make_arms(variants(*variant_names), models(*model_texts))
    assert [arm.name for arm in arms] == names
    assert len(
        {
            (arm.variant and arm.variant.name, arm.model and (arm.model.connection, arm.model.model))
            for arm in arms
        }
    ) == len(arms)


def test_names_must_be_unique() -> None:
    with pytest.raises(UsageError) as caught:
        make_arms(variants("a", "a", "b", "b", "c"), ())
    assert [problem.code for problem in caught.value.problems] == ["V303", "V303"]
    with pytest.raises(UsageError, match="V303"):
        make_arms((), models("c/gpt", "c/gpt"))
