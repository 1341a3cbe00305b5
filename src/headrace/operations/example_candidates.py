"""From train lines to prompts: which lines are shown as examples, and how each is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.domain.evaluation import EvaluatorSpec
from headrace.domain.flow import Node
from headrace.domain.reference import Reference
from headrace.errors import DefinitionError, Problem, UsageError, nearest
from headrace.evaluation.example_selection import cover, draw, half
from headrace.formats.example_prompt import ExamplePrompt, write_form
from headrace.formats.mapping import as_arm_outputs, parse_mapping
from headrace.formats.template import Template, load_template
from headrace.operations.train_lines import TrainLine
from headrace.providers.reader.vectors import similarities
from headrace.tools.escape import escape_values

SIMILAR, ERRORS, RANDOM, CONTROL = "similar", "errors", "random", "control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A train line as an example: its question and its answer, written out."""

    line: TrainLine
    question: str
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A selection of examples.

    Attributes:
        name: Of its variant.
        kind: How it was selected: :data:`SIMILAR`, :data:`ERRORS`, :data:`RANDOM`, or :data:`CONTROL`.
        examples: In the order in which they are shown.
    """

    name: str
    kind: str
    examples: tuple[Example, ...]


def answer_form(
    given: str | None, evaluators: Sequence[EvaluatorSpec], inputs: Mapping[str, str]
) -> Template:
    """How the answer of an example is written: as ``given`` says, else the one column that only evaluators read.

    Args:
        given: A column of the data, or a template of columns; ``None`` to find it.
        evaluators: What judges the answers.
        inputs: The column mapping of the flow.

    Raises:
        UsageError: C507 when it is not clear.
        DefinitionError: F009 for a template that cannot be parsed.
    """
    if given is not None:
        return load_template(given if "{{" in given else f"{{{{ {given} }}}}", "--answer")
    asked = {item.column for item in parse_mapping(inputs).values() if item.source == "data"}
    read = dict.fromkeys(
        item.column
        for evaluator in evaluators
        for item in parse_mapping(as_arm_outputs(evaluator.column_mapping)).values()
        if item.source == "data" and item.column not in asked
    )
    found = [column for column in read if column is not None]
    if len(found) == 1:
        return load_template(f"{{{{ {found[0]} }}}}", "--answer")
    what = "It is not clear which column holds the answer that an example shows."
    listed = f" Evaluators read {', '.join(found)}." if found else ""
    fix = f"Name it, --answer COLUMN, or write it: --answer '{{{{answer}}}} [{{{{source}}}}]'.{listed}"
    raise UsageError(Problem(code="C507", what=what, fix=fix))


def make_examples(
    lines: Sequence[TrainLine], prompt: ExamplePrompt, answer: Template, node: Node
) -> tuple[tuple[Example, ...], int]:
    """Every line as an example, but for those that the prompt shows already or that would open a message.

    Returns:
        The examples, and how many lines were left out.

    Raises:
        DefinitionError: D403 for a column that is not there, G973 for a question that other nodes make.
    """
    known = tuple(dict.fromkeys(column for line in lines for column in line.columns))
    _check_columns(answer, known, "the answer")
    _check_question(prompt.question, node, known)
    examples = []
    for line in lines:
        values = {**line.columns, **_node_values(node, line)}
        question = write_form(prompt.question, values)
        found = Example(line=line, question=question, answer=write_form(answer, line.columns))
        texts = {"question": f"{question}\n", "answer": f"{found.answer}\n"}
        is_shown = question in prompt.before or question in prompt.after
        if question and found.answer and not is_shown and not escape_values(texts, tuple(texts)).marks:
            examples.append(found)
    return tuple(examples), len(lines) - len(examples)


def make_candidates(
    examples: Sequence[Example], wrong: frozenset[str], shots: int, n: int, seed: int
) -> tuple[Candidate, ...]:
    """Selections of each kind that differ from each other, and last the control, which is never chosen.

    The first selection of a kind is made among all examples, each further one among a random half of them.

    Args:
        examples: At least one.
        wrong: Digests of lines on which the baseline was wrong.
        shots: Examples of a selection.
        n: Selections of each kind.
        seed: Of the halves and draws.
    """
    everything = tuple(range(len(examples)))
    failed = tuple(place for place in everything if examples[place].line.digest in wrong)
    likeness = [similarities(item.question, [other.question for other in examples]) for item in examples]
    answers = [item.answer for item in examples]
    found: list[tuple[str, str, tuple[int, ...]]] = []
    for number in range(n):
        name, word = str(number + 1), f"{seed}:{number}"
        part = everything if number == 0 else half(everything, f"half:{word}", shots)
        found.append((f"{SIMILAR}_{name}", SIMILAR, cover(likeness, answers, shots, among=part)))
        if failed:
            part = failed if number == 0 else half(failed, f"wrong:{word}", shots)
            found.append((f"{ERRORS}_{name}", ERRORS, cover(likeness, answers, shots, among=part)))
        found.append((f"{RANDOM}_{name}", RANDOM, draw(everything, f"random:{word}", shots)))
    order = (SIMILAR, ERRORS, RANDOM)
    found.sort(key=lambda item: order.index(item[1]))
    single = {places: (name, kind) for name, kind, places in reversed(found)}
    kept = [item for item in found if single[item[2]][0] == item[0]]
    kept.append((CONTROL, CONTROL, draw(everything, f"control:{seed}", shots)))
    return tuple(
        Candidate(name=name, kind=kind, examples=tuple(examples[place] for place in places))
        for name, kind, places in kept
    )


def _node_values(node: Node, line: TrainLine) -> dict[str, Any]:
    """What the node's inputs are for a line, as far as that is known before anything runs."""
    found = {}
    for name, value in node.inputs.items():
        if not isinstance(value, Reference):
            found[name] = value
        elif value.kind == "input" and value.name in line.inputs:
            found[name] = line.inputs[value.name]
    return found


def _check_columns(form: Template, known: Sequence[str], what: str) -> None:
    for name in form.variables:
        if name not in known:
            near = nearest(name, known)
            fix = f'Did you mean "{near}"?' if near else f"Its columns are: {', '.join(known)}."
            raise DefinitionError(
                Problem(
                    code="D403", what=f"The train lines have no column {name!r}, which {what} shows.", fix=fix
                )
            )


def _check_question(form: Template, node: Node, known: Sequence[str]) -> None:
    made = [
        name
        for name in form.variables
        if isinstance(value := node.inputs.get(name), Reference)
        and value.kind == "node"
        and name not in known
    ]
    if made:
        what = f"A question of the prompt shows {made[0]!r}, which {node.inputs[made[0]].text} makes for each line."
        fix = "Say how the question of an example is written: --example 'Question: {{question}}'."
        raise DefinitionError(Problem(code="G973", what=what, span=form.span_of(made[0]), fix=fix))
    _check_columns(form, (*known, *node.inputs), "a question")
