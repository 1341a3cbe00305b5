from __future__ import annotations

import pytest

from headrace.errors import DefinitionError
from headrace.formats.example_prompt import read_example_prompt, write_form
from headrace.formats.template import load_template

CHAT = "# system:\nSort it.\n\n# user:\nMessage: {{text}}\nLabel:\n"


def _shown(template: str, *examples: tuple[str, str], form: str | None = None) -> str:
    return read_example_prompt(template, "p.jinja2", form).with_examples(examples)


def test_examples_are_turns_before_the_last_message_of_the_user() -> None:
    assert _shown(CHAT, ("Message: hi\nLabel:", "how_to")) == (
        "# system:\nSort it.\n\n# user:\nMessage: hi\nLabel:\n\n# assistant:\nhow_to\n\n# user:\nMessage: {{text}}\nLabel:\n"
    )
    bare = CHAT.replace("# ", "")
    assert "user:\nq\n\nassistant:\na\n\nuser:\nMessage" in _shown(bare, ("q", "a"))


def test_a_question_is_written_as_the_prompt_asks() -> None:
    prompt = read_example_prompt(CHAT, "p.jinja2")
    assert write_form(prompt.question, {"text": "hi"}) == "Message: hi\nLabel:"
    assert prompt.question.span_of("text").line == 5
    other = read_example_prompt(CHAT, "p.jinja2", "Q: {{text}}")
    assert write_form(other.question, {"text": "hi"}) == "Q: hi"


@pytest.mark.parametrize("place", ["{# examples #}\n", "  {#- Examples -#}\n", "{#examples#}\n"])
def test_the_prompt_can_say_where_examples_go(place: str) -> None:
    template = f"# system:\nSort it.\n{place}# user:\nMessage: {{{{text}}}}\nLabel:"
    shown = _shown(template, ("Message: hi\nLabel:", "bug"), ("A question", "an answer"))
    assert shown.startswith(
        "# system:\nSort it.\nMessage: hi\nLabel: bug\n\nA question\nan answer\n\n# user:\n"
    )


@pytest.mark.parametrize("text", ["{{ secret }}", "{% if x %}", "{# note #}", "{{{", "a {{ b }} c {%"])
def test_text_of_lines_is_never_run_as_a_template(text: str) -> None:
    shown = _shown(CHAT, (text, text))
    rendered = load_template(shown, "p.jinja2").render({"text": "T", "secret": "S"})
    assert rendered.count(text) == 2
    assert "Message: T" in rendered


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("Just text {{text}}", "message of the user"),
        ("# system:\nonly\n", "message of the user"),
        ("# user:\n{{text}}\n# assistant:\n", "message of the user"),
        ("# system:\nx\n{% for m in h %}\n# user:\n{{m}}\n{% endfor %}\n# user:\n{{text}}", "a block"),
        ("# system:\nx\n{% if h %}\n# user:\n{{text}}\n{% endif %}", "a block"),
        ("{# examples #}\nJust text {{text}}", "no message of the user"),
    ],
)
def test_a_prompt_without_a_place_is_refused_with_what_to_do(template: str, why: str) -> None:
    with pytest.raises(DefinitionError, match=why) as error:
        read_example_prompt(template, "p.jinja2")
    (problem,) = error.value.problems
    assert (problem.code, problem.span and problem.span.file) == ("G973", "p.jinja2")
    assert "--example" in str(problem.fix) or "{# examples #}" in str(problem.fix)


def test_a_place_and_a_form_make_any_prompt_take_examples() -> None:
    shown = _shown("{# examples #}\nNow: {{text}}", ("Q: hi", "a"), form="Q: {{text}}")
    assert shown == "Q: hi\na\n\nNow: {{text}}"
    after_history = (
        "# system:\nx\n{# examples #}\n{% for m in h %}\n# user:\n{{m}}\n{% endfor %}\n# user:\n{{text}}"
    )
    assert "x\nq\na\n\n{% for" in _shown(after_history, ("q", "a"))
