"""The built-in evaluators that need no model, by name: what each measures, takes, can be told and gives."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from headrace.domain.scores import Direction
from headrace.errors import DefinitionError, Problem, nearest
from headrace.evaluation.evaluators.base import (
    MAIN,
    Builtin,
    EvaluatorInput,
    EvaluatorOption,
    EvaluatorOutput,
    Judge,
    prediction_input,
    reference_input,
)
from headrace.providers.loading import load_by_name

_HERE = "headrace.evaluation.evaluators"
_EMPTY = "An empty answer counts as empty text. Without a reference the score is missing."
_NORMALISATION = EvaluatorOption(
    name="normalisation",
    types=(str,),
    default="blanks",
    words=("none", "blanks", "case", "squad", "unicode"),
    title="what does not count: nothing; superfluous blanks; also case; SQuAD's case, punctuation and English "
    "articles; or case, punctuation and compatibility forms of any language",
)
_ABSOLUTE = EvaluatorOption(
    name="absolute", types=(int, float), default=0.0, title="difference that does not count"
)
_RELATIVE = EvaluatorOption(
    name="relative", types=(int, float), default=0.0, title="the same as a share of the right number"
)
_LOWERCASE = EvaluatorOption(
    name="lowercase", types=(bool,), default=False, title="whether case does not count"
)


def _tokens(default: str) -> EvaluatorOption:
    return EvaluatorOption(
        name="tokens",
        types=(str,),
        default=default,
        words=("squad", "multilingual") if default == "squad" else ("standard", "multilingual"),
        title="how text is split; multilingual takes each sign alone where words have no blanks between them",
    )


def _main(title: str, **changes: Any) -> tuple[EvaluatorOutput, ...]:
    return (EvaluatorOutput(**{"name": MAIN, "title": title, **changes}),)


_BUILTINS = (
    Builtin(
        name="exact_match",
        title="Whether the answer is the right answer, or one of several.",
        make=f"{_HERE}.matching:make_exact_match",
        inputs=(prediction_input(), reference_input()),
        outputs=_main("1 where it is, else 0", kind="binary"),
        options=(_NORMALISATION,),
        note=f"{_EMPTY} Empty text as the reference means that nothing should be said.",
        example="{builtin: exact_match, parameters: {normalisation: squad}}",
    ),
    Builtin(
        name="contains",
        title="Whether the answer contains the right answer, or any or all of several.",
        make=f"{_HERE}.matching:make_contains",
        inputs=(prediction_input(), reference_input()),
        outputs=_main("1 where it does, else 0", kind="binary"),
        options=(
            _NORMALISATION,
            EvaluatorOption(
                name="mode", types=(str,), default="any", words=("any", "all"), title="of several right answers"
            ),
        ),
        note=f"{_EMPTY} Empty text is contained in an empty answer only.",
        example="{builtin: contains, parameters: {normalisation: case}}",
    ),
    Builtin(
        name="regex",
        title="Whether a pattern is found in the answer.",
        make=f"{_HERE}.matching:make_regex",
        inputs=(prediction_input(),),
        outputs=_main("1 where it is, else 0", kind="binary"),
        options=(
            EvaluatorOption(name="pattern", types=(str,), default=None, title="regular expression of Python"),
            EvaluatorOption(name="ignore_case", types=(bool,), default=False, title="whether case does not count"),
            EvaluatorOption(name="whole", types=(bool,), default=False, title="whether it must fit all of the answer"),
        ),
        note="An empty answer counts as empty text.",
        example=r"{builtin: regex, name: has_date, parameters: {pattern: '\d{4}-\d\d-\d\d'}}",
    ),
    Builtin(
        name="numeric",
        title="Whether the last number of the answer is near enough to the right one.",
        make=f"{_HERE}.matching:make_numeric",
        inputs=(prediction_input(), reference_input()),
        outputs=_main("1 where it is, else 0", kind="binary"),
        options=(
            _ABSOLUTE,
            _RELATIVE,
            EvaluatorOption(
                name="decimal", types=(str,), default=".", words=(".", ","), title="sign before decimals in a text"
            ),
        ),
        note="An answer without a number scores 0; without a right number the score is missing. 12% is 0.12.",
        example="{builtin: numeric, parameters: {relative: 0.01}}",
    ),
    Builtin(
        name="f1",
        title="Tokens that the answer has in common with the right answer: harmonic mean of precision and recall.",
        make=f"{_HERE}.overlap:make_f1",
        inputs=(prediction_input(), reference_input()),
        outputs=_main("0 to 1; the best of several right answers counts"),
        options=(_tokens("squad"),),
        note=f"{_EMPTY} Where both have no tokens the score is 1, where one has none 0, as in SQuAD 2.0.",
        example="f1",
    ),
    Builtin(
        name="bleu",
        title="BLEU of each answer: n-grams in common with the right answer, up to four words.",
        make=f"{_HERE}.overlap:make_bleu",
        inputs=(prediction_input(), reference_input()),
        outputs=_main("0 to 1"),
        options=(
            EvaluatorOption(
                name="tokenize", types=(str,), default="13a", words=("13a", "intl", "zh", "char", "none"),
                title="tokenizer of sacrebleu",
            ),
            _LOWERCASE,
        ),
        package="sacrebleu",
        note=f"{_EMPTY} Where both are empty the score is 1, where one is 0.",
        example="{builtin: bleu, parameters: {tokenize: intl}}",
    ),
    Builtin(
        name="chrf",
        title="chrF: n-grams of characters in common with the right answer; good for any language.",
        make=f"{_HERE}.overlap:make_chrf",
        inputs=(prediction_input(), reference_input()),
        outputs=_main("0 to 1"),
        options=(
            EvaluatorOption(name="word_order", types=(int,), default=0, title="2 for chrF++"),
            _LOWERCASE,
        ),
        package="sacrebleu",
        note=f"{_EMPTY} Where both are empty the score is 1, where one is 0.",
        example="chrf",
    ),
    Builtin(
        name="rouge",
        title="ROUGE: words, pairs of words and the longest common sequence shared with the right answer.",
        make=f"{_HERE}.overlap:make_rouge",
        inputs=(prediction_input(), reference_input()),
        outputs=(
            EvaluatorOutput(name="rouge1", title="words"),
            EvaluatorOutput(name="rouge2", title="pairs of words"),
            EvaluatorOutput(name="rougeL", title="longest common sequence"),
        ),
        options=(
            EvaluatorOption(name="stemmer", types=(bool,), default=False, title="whether English endings do not count"),
            _tokens("standard"),
        ),
        package="rouge-score",
        note=f"{_EMPTY} The standard tokens are Latin letters and digits only.",
        example="{builtin: rouge, parameters: {stemmer: true}}",
    ),
    Builtin(
        name="json_schema",
        title="Whether the answer is JSON that fits a schema.",
        make=f"{_HERE}.structure:make_json_schema",
        inputs=(prediction_input(),),
        outputs=_main("1 where it does, else 0", kind="binary"),
        options=(EvaluatorOption(name="schema", types=(dict, bool), default=None, title="JSON Schema"),),
        package="jsonschema",
        note="JSON in a fenced block of Markdown counts. Text that is no JSON scores 0.",
        example="{builtin: json_schema, parameters: {schema: {type: object, required: [name]}}}",
    ),
    Builtin(
        name="fields",
        title="Which fields of a JSON answer are equal to those of the right answer.",
        make=f"{_HERE}.structure:make_fields",
        inputs=(prediction_input(), reference_input()),
        outputs=(
            EvaluatorOutput(name=MAIN, title="share of equal fields"),
            EvaluatorOutput(name="all", title="1 where all are equal, else 0", kind="binary"),
        ),
        options=(
            EvaluatorOption(
                name="fields", types=(list,), default=[],
                title="names of the fields; default all of the right answer. Each named one is a score field_NAME",
            ),
            _NORMALISATION,
            _ABSOLUTE,
            _RELATIVE,
        ),
        note="An answer that is no JSON object scores 0; without a right object the score is missing.",
        example="{builtin: fields, parameters: {fields: [name, price], relative: 0.01}}",
    ),
    Builtin(
        name="classification",
        title="Whether the label is the right one; over all lines accuracy, macro F1 and the table of confusions.",
        make=f"{_HERE}.classification:make_classification",
        aggregate=f"{_HERE}.classification:aggregate_labels",
        inputs=(
            prediction_input(outputs=("label", "category", "class", "prediction", "answer", "output")),
            reference_input(columns=("label", "category", "class", "ground_truth", "groundtruth", "reference",
                                     "expected", "answer")),
        ),
        outputs=(EvaluatorOutput(name="correct", title="1 where it is, else 0", kind="binary"),),
        options=(
            EvaluatorOption(name="labels", types=(list,), default=[], title="all labels; another answer is wrong"),
            EvaluatorOption(
                name="normalisation", types=(str,), default="case", words=_NORMALISATION.words,
                title=_NORMALISATION.title,
            ),
        ),
        note="An answer that is no label is wrong. Without a right label the score is missing.",
        example="{builtin: classification, parameters: {labels: [bug, question, praise]}}",
    ),
    Builtin(
        name="retrieval",
        title="Where the relevant documents stand among the first k retrieved.",
        make=f"{_HERE}.retrieval:make_retrieval",
        inputs=(
            EvaluatorInput(
                name="retrieved", title="ids of the documents, the best first, or mappings with an id",
                outputs=("retrieved", "documents", "sources", "contexts", "context", "chunks", "ids"),
                columns=(),
            ),
            EvaluatorInput(
                name="relevant", title="ids of the relevant documents, or grades by id",
                columns=("relevant", "relevance", "relevant_documents", "qrels", "documents", "sources"),
            ),
        ),
        outputs=(
            EvaluatorOutput(name="hit", title="hit@k: 1 where any is relevant, else 0", kind="binary"),
            EvaluatorOutput(name="precision", title="precision@k: share of k that is relevant"),
            EvaluatorOutput(name="recall", title="recall@k: share of the relevant ones that is found"),
            EvaluatorOutput(name="mrr", title="one over the rank of the first relevant one, 0 without"),
            EvaluatorOutput(name="ndcg", title="nDCG@k with the gain 2^grade - 1"),
        ),
        options=(EvaluatorOption(name="k", types=(int,), default=5, title="how many documents count; at least 1"),),
        note="Nothing retrieved scores 0; without a relevant document the scores are missing.",
        example="{builtin: retrieval, parameters: {k: 3}}",
    ),
    Builtin(
        name="citations",
        title="Whether what the answer cites is among its sources; with labels, whether it cites the right ones.",
        make=f"{_HERE}.retrieval:make_citations",
        inputs=(
            prediction_input(),
            EvaluatorInput(
                name="sources", title="ids of the sources, mappings with an id, or texts known by their place",
                outputs=("sources", "documents", "contexts", "context", "retrieved", "chunks"),
                columns=("sources", "documents", "contexts", "context"),
            ),
            EvaluatorInput(
                name="relevant", title="ids that should be cited", is_required=False,
                columns=("relevant", "citations", "relevant_documents"),
            ),
        ),
        outputs=(
            EvaluatorOutput(name=MAIN, title="share of the citations that exist"),
            EvaluatorOutput(name="citation_precision", title="share of the citations that are relevant"),
            EvaluatorOutput(name="citation_recall", title="share of the relevant ids that are cited"),
        ),
        options=(
            EvaluatorOption(
                name="pattern", types=(str,), default=r"\[([^\[\]]+)\]",
                title="regular expression whose group is the id of a citation",
            ),
        ),
        note="An answer without citations scores 0; without sources the score is missing.",
        example="{builtin: citations, column_mapping: {sources: '${run.outputs.context}'}}",
    ),
    Builtin(
        name="latency",
        title="Wall time of the line in seconds, as if every node were called.",
        make=f"{_HERE}.usage:make_latency",
        inputs=(EvaluatorInput(name="duration_ms", title="wall time in milliseconds", fact="duration_ms"),),
        outputs=_main("seconds", direction="lower", kind="unbounded"),
        note="Missing where the time was not measured.",
        example="latency",
    ),
    Builtin(
        name="cost",
        title="Cost of the line in US dollars, as if every node were called.",
        make=f"{_HERE}.usage:make_cost",
        inputs=(EvaluatorInput(name="cost_usd", title="cost in US dollars", fact="cost_usd"),),
        outputs=_main("US dollars", direction="lower", kind="unbounded"),
        note="Missing where a price is not known.",
        example="cost",
    ),
    Builtin(
        name="length",
        title="Length of the answer.",
        make=f"{_HERE}.usage:make_length",
        inputs=(prediction_input(),),
        outputs=_main("words, characters or lines", direction="lower", kind="unbounded"),
        options=(
            EvaluatorOption(
                name="unit", types=(str,), default="words", words=("words", "characters", "lines"),
                title="what is counted",
            ),
        ),
        note="An empty answer has length 0.",
        example="{builtin: length, parameters: {unit: characters}}",
    ),
    Builtin(
        name="refusal",
        title="Whether the answer refuses, or says that it does not know; by phrases of eleven languages.",
        make=f"{_HERE}.refusal:make_refusal",
        inputs=(prediction_input(),),
        outputs=_main("1 where it does, else 0", direction="lower", kind="binary"),
        note="An empty answer counts as a refusal, with the label empty. Only the first 240 characters are read.",
        example="refusal",
    ),
)  # fmt: skip

BUILTINS: Mapping[str, Builtin] = {item.name: item for item in _BUILTINS}
"""The built-in evaluators by name."""


def make_judge(builtin: Builtin, parameters: Mapping[str, Any]) -> Judge:
    """The evaluator with its options.

    Raises:
        DefinitionError: G923 for options that do not fit, G924 for a library that is not installed.
    """
    known = {option.name: option for option in builtin.options}
    problems = [_unknown(builtin, name, known) for name in parameters if name not in known]
    values: dict[str, Any] = {}
    for name, option in known.items():
        value = parameters.get(name, option.default)
        refused = _refusal(option, value)
        if refused:
            what = f"The option {name!r} of the evaluator {builtin.name} {refused}."
            problems.append(
                Problem(code="G923", what=what, pointer=("parameters", name), fix=_wanted(option))
            )
        values[name] = value
    if problems:
        raise DefinitionError(*problems)
    judge: Judge = load_by_name(builtin.make)(**values)
    return judge


def score_names(builtin: Builtin, name: str, parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the scores of an evaluator that is called ``name``."""
    own = [output.name or name for output in builtin.outputs]
    if builtin.name == "fields":
        own += [f"field_{field}" for field in parameters.get("fields", ())]
    return tuple(own)


def directions(builtin: Builtin, name: str) -> dict[str, Direction]:
    """Which way is better, by the names of the scores of an evaluator that is called ``name``."""
    return {output.name or name: output.direction for output in builtin.outputs}


def has_limits(builtin: Builtin, evaluator: str, score: str) -> bool:
    """Whether a score of an evaluator that is called so lies from 0 to 1, or is none of its scores."""
    return not any(
        output.kind == "unbounded" and (output.name or evaluator) == score for output in builtin.outputs
    )


def _unknown(builtin: Builtin, name: str, known: Mapping[str, EvaluatorOption]) -> Problem:
    guess = nearest(name, list(known))
    fix = f'Did you mean "{guess}"?' if guess else f"Options: {', '.join(known) or 'none'}."
    what = f"The evaluator {builtin.name} has no option {name!r}."
    return Problem(code="G923", what=what, pointer=("parameters", name), fix=fix)


def _refusal(option: EvaluatorOption, value: Any) -> str:
    """Why a value does not fit an option; empty where it does."""
    if value is None:
        return "has no value"
    is_bool = isinstance(value, bool)
    number = float(value) if isinstance(value, (int, float)) and not is_bool else None
    if not isinstance(value, option.types) or (is_bool and bool not in option.types):
        return "has a value of the wrong kind"
    if option.words and value not in option.words:
        return "has a value that means nothing"
    if number is not None and not 0 <= number < math.inf:
        return "is no number from 0 up"
    if option.name == "k" and number is not None and number < 1:
        return "is less than 1"
    return ""


def _wanted(option: EvaluatorOption) -> str:
    if option.words:
        return f"Allowed: {', '.join(option.words)}."
    kinds = {str: "text", bool: "true or false", int: "a whole number", float: "a number", dict: "a mapping",
             list: "a list"}  # fmt: skip
    return f"Give {' or '.join(dict.fromkeys(kinds[kind] for kind in option.types))}: {option.title}."
