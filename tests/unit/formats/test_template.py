"""Templates: prompt flow's options, the sandbox, and errors that name the line and no value."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import DefinitionError, NodeError, Problem
from headrace.formats.template import load_template


def render(text: str, **values: Any) -> str:
    return load_template(text, "p.jinja2").render(values)


def failure(text: str, **values: Any) -> Problem:
    with pytest.raises(NodeError) as caught:
        render(text, **values)
    (problem,) = caught.value.problems
    return problem


@pytest.mark.parametrize(
    ("text", "values", "result"),
    [
        ("hi {{name}}\n", {"name": "Bo"}, "hi Bo\n"),
        (
            "a\n{% if x %}\nb\n{% endif %}\nc",
            {"x": 1},
            "a\nb\nc",
        ),  # trim_blocks eats the newline after a block
        ("a\n  {% if x %}\n  b\n  {% endif %}\nc", {"x": 1}, "a\n    b\n  c"),  # lstrip_blocks is off
        ("{{missing}}|", {}, "|"),
        ("{{x}}", {"x": None}, "None"),
        ("{{x}}", {"x": "<b>&"}, "<b>&"),
        ("{{x}}", {"x": {"a": [1, "b"]}}, "{'a': [1, 'b']}"),
        ("{% for t in h %}{{t.q}};{% endfor %}", {"h": [{"q": 1}, {"q": 2}]}, "1;2;"),
        ("a\r\nb\r\n", {}, "a\nb\n"),
        ("", {}, ""),
    ],
)
def test_renders_like_prompt_flow(text: str, values: dict[str, Any], result: str) -> None:
    assert render(text, **values) == result


def test_variables_in_order_of_the_text() -> None:
    text = "{% for t in history %}{{ t.q }}{% endfor %}{% set own = 1 %}{{ own }}{% if z is defined %}{{ a }}{% endif %}{{ range(2) }}"
    assert load_template(text, "p.jinja2").variables == ("history", "z", "a")


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("a\n{{ x }", 2, 1, "unexpected '}'"),
        ("a\n  {% if x %}\nb", 3, 1, "end of template"),
        ("a\n  {{ x|nofilter }}", 2, 3, "nofilter"),
    ],
)
def test_syntax_errors_have_a_place(text: str, line: int, column: int, what: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        load_template(text, "p.jinja2")
    (problem,) = caught.value.problems
    assert problem.code == "F009"
    assert str(problem.span) == f"p.jinja2:{line}:{column}"
    assert what in problem.what


@pytest.mark.parametrize(
    "text",
    [
        f"{{{{ {'(' * 5000}1{')' * 5000} }}}}",
        f"{{{{ {'9' * 5000} }}}}",
        "{% for a in b %}" * 30 + "{% endfor %}" * 30,
    ],
)
def test_templates_that_are_too_much(text: str) -> None:
    with pytest.raises(DefinitionError, match="F009"):
        load_template(text, "p.jinja2")


def test_lines_count_from_the_place_in_the_file() -> None:
    with pytest.raises(DefinitionError) as syntax:
        load_template("a\n{{ x }", "f.prompty", first_line=10)
    assert str(syntax.value.problems[0].span) == "f.prompty:11:1"
    with pytest.raises(NodeError) as runtime:
        load_template("a\n{{ x.y.z }}", "f.prompty", first_line=10).render({})
    assert str(runtime.value.problems[0].span) == "f.prompty:11:1"


@pytest.mark.parametrize(
    ("text", "values", "place", "what", "fix"),
    [
        ("a\n{{ x.y }}", {}, "p.jinja2:2:1", "UndefinedError: 'x' is undefined", "input of this name"),
        ("{{ x.y.z }}", {"x": {}}, "p.jinja2:1:1", "'dict object' has no attribute 'y'", "spelling"),
        ("a\n\n  {{ x + 1 }}", {"x": "SECRET"}, "p.jinja2:3:3", "TypeError", "types"),
        ("{% for i in x %}{% endfor %}", {"x": 5}, "p.jinja2:1:1", "not iterable", "types"),
        ("{{ ''.__class__.__mro__ }}", {}, "p.jinja2:1:1", "SecurityError", "sandbox"),
        ("{% include 'a' %}", {}, "p.jinja2:1:1", "no loader", "cannot include"),
        ("{{ 1 / 0 }}", {}, "p.jinja2:1:1", "ZeroDivisionError.", "types"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", {}, "p.jinja2:1:1", "RecursionError.", "types"),
        (
            "{% macro m(x) %}\n{{ x.a.b }}\n{% endmacro %}\n{{ m({}) }}",
            {},
            "p.jinja2:2:1",
            "no attribute 'a'",
            "spelling",
        ),
    ],
)
def test_render_errors_name_the_line(
    text: str, values: dict[str, Any], place: str, what: str, fix: str
) -> None:
    problem = failure(text, **values)
    assert problem.code == "E602"
    assert str(problem.span) == place
    assert what in problem.what
    assert fix in (problem.fix or "")


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("{{ x[key].y }}", {"x": {}, "key": "SECRET"}),
        ("{{ f(x) }}", {"f": int, "x": "SECRET"}),
        ("{{ x['a' ~ key].y }}", {"x": {}, "key": "SECRET"}),
    ],
)
def test_values_never_reach_the_message(text: str, values: dict[str, Any]) -> None:
    problem = failure(text, **values)
    assert "SECRET" not in problem.headline() + str(problem.fix)


def test_what_a_value_raises_by_itself_passes() -> None:
    class CustomError(Exception):
        pass

    def raises() -> None:
        raise CustomError

    with pytest.raises(CustomError):
        render("{{ f() }}", f=raises)


@given(st.text(alphabet="{}%#ab \n'.|", max_size=12))
def test_any_text_is_a_template_or_a_problem(text: str) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        template = load_template(text, "p.jinja2")
        assert isinstance(template.variables, tuple)
        template.render({"a": 1, "b": [1]})
    except (DefinitionError, NodeError) as error:
        problems = error.problems
    assert all(problem.span is not None for problem in problems)
