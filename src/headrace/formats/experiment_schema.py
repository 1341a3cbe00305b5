"""The JSON Schema of experiment files, for editors: it completes keys and underlines what cannot be read.

What a schema cannot say is left to the reader: whether paths exist, names are unique, or arms can be told apart. A test
reads and checks many files by both.
"""

from __future__ import annotations

from typing import Any, get_args

from headrace.domain.comparison import Family
from headrace.domain.gate import GateTest
from headrace.domain.race import RaceMode
from headrace.domain.scores import Direction, Goal, MetricKind
from headrace.formats.experiment_parts import MOST_REPEATS
from headrace.formats.remote_schema import remote_forms
from headrace.formats.schema_parts import (
    ABOVE_ZERO,
    COUNT,
    DIALECT,
    MAPPING,
    NAME,
    NUMBER_FROM_ZERO,
    SHARE_INSIDE,
    TEXT,
    VALUE,
    Schema,
    a_list,
    an_object,
    any_of,
    at_least,
    described,
    evaluator_schema,
    model_schema,
    price_schema,
    reference,
)


def experiment_schema() -> dict[str, Any]:
    """The schema as plain data, of JSON Schema's draft 2020-12."""
    return {
        "$schema": DIALECT,
        "title": "headrace experiment",
        "description": "Which arms run over which data, and how they are judged.",
        **an_object(_properties(), required=("data",)),
        "$defs": {
            "model": model_schema(),
            "price": price_schema(),
            "evaluator": evaluator_schema(),
            "metric": _metric(),
            "factor": _factor(),
        },
    }


def _properties() -> Schema:
    return {
        "$schema": {"type": "string"},
        "name": described(TEXT, "Title of the comparison; default: the name of the folder."),
        "description": described({}, "A note for people."),
        "flow": described(TEXT, "Folder or file of the flow, relative to this file; default: this folder."),
        "data": described(_data(), "Data file or folder, or which of its lines are read."),
        "column_mapping": described(MAPPING, "Input of the flow to ${data.column} or a fixed value."),
        "line_id": described(TEXT, "Column that names each line; default: the number of the line."),
        "variants": described(a_list(_variant()), "Variants of nodes; every one runs with every model."),
        "models": described(a_list(reference("model")), "Models that every llm node is pointed at."),
        "factors": described(
            {"type": "object", "additionalProperties": reference("factor")}, "What is varied, level by level."
        ),
        "design": described(_design(), "All combinations of levels, or a balanced fraction."),
        "include": described(a_list(_cell()), "Combinations that are added."),
        "exclude": described(a_list(_cell()), "Combinations that are left out."),
        "evaluators": described(a_list(reference("evaluator")), "What judges the answers."),
        "metrics": described(a_list(reference("metric")), "Scores that are compared; the first one decides."),
        "guardrails": described(a_list(_guardrail()), "What an arm must not be worse in to be shipped."),
        "gates": described(a_list(_gate()), "What an arm must show before it is let through."),
        "baseline": described(TEXT, "Arm that the others are compared with; default: the first."),
        "budget": described(
            {**an_object({"cost_usd": ABOVE_ZERO, "tokens": COUNT}), "minProperties": 1},
            "The most that the experiment may spend.",
        ),
        "race": described(_race(), "Drop arms that can hardly win any more."),
        "cache": described(_cache(), "Whether results of nodes are used again."),
        "repeats": described(
            {**COUNT, "maximum": MOST_REPEATS}, "How often every arm answers every line; default 1."
        ),
        "seed": described(NUMBER_FROM_ZERO, "Seed of resampling and of designs; default 0."),
        "alpha": described(SHARE_INSIDE, "Error rate of the verdicts; default 0.05."),
        "cluster": described(TEXT, "Column of lines that belong together."),
        "slices": described(
            a_list({"type": ["string", "integer"], "minLength": 1}), "Columns to break the results down by."
        ),
        "family": described({"enum": list(get_args(Family))}, "How p is adjusted over the arms."),
        "environment_variables": described(MAPPING, "Set while the flow runs."),
    }


def _data() -> Schema:
    split = an_object({"column": TEXT, "value": VALUE}, required=("column", "value"))
    sample = an_object({"n": COUNT, "seed": NUMBER_FROM_ZERO}, required=("n",))
    return any_of(NAME, an_object({"path": TEXT, "split": split, "sample": sample}, required=("path",)))


def _variant() -> Schema:
    choices = {"type": "object", "additionalProperties": TEXT}
    return any_of(NAME, an_object({"name": TEXT, "choices": choices}))


def _factor() -> Schema:
    levels = a_list(any_of(VALUE, an_object({"name": TEXT, "value": {}}, required=("name", "value"))))
    outputs: Schema = {"type": "object", "additionalProperties": TEXT}
    fitting = {"column_mapping": MAPPING, "outputs": outputs}
    flow = an_object({"name": TEXT, "path": TEXT, **fitting}, required=("path",))
    settings = [
        an_object({kind: NAME, **more, "levels": levels}, required=(kind, "levels"))
        for kind, more in (("parameter", {"node": NAME}), ("input", {}), ("connection", {}))
    ]
    listed = a_list(any_of(TEXT, reference("model"), flow, *remote_forms({"column_mapping": MAPPING})))
    return any_of({**listed, "minItems": 2}, *settings)


def _design() -> Schema:
    fraction = {"type": "string", "pattern": r"^\s*1\s*/\s*[0-9]+\s*$"}
    return any_of({"const": "full"}, an_object({"fraction": fraction}, required=("fraction",)))


def _cell() -> Schema:
    return {"type": "object", "minProperties": 1, "additionalProperties": VALUE}


def _metric() -> Schema:
    properties = {
        "name": TEXT,
        "direction": {"enum": list(get_args(Direction))},
        "kind": {"enum": list(get_args(MetricKind))},
        "margin": ABOVE_ZERO,
        "goal": {"enum": list(get_args(Goal))},
        "labels": {"type": "object", "additionalProperties": TEXT},
    }
    return any_of(NAME, an_object(properties, required=("name",)))


def _guardrail() -> Schema:
    properties = {"metric": TEXT, "direction": {"enum": list(get_args(Direction))}, "margin": ABOVE_ZERO}
    return an_object(properties, required=("metric", "margin"))


def _gate() -> Schema:
    shared = {"metric": TEXT, "arm": TEXT, "against": TEXT}
    tests = [test for test in get_args(GateTest) if test != "budget"]
    asked = an_object({**shared, "test": {"enum": tests}, "margin": at_least(0)}, required=("metric",))
    budget = an_object(
        {**shared, "test": {"const": "budget"}, "limit": at_least(0)}, required=("metric", "test", "limit")
    )
    return any_of(asked, budget)


def _race() -> Schema:
    mode = {"enum": list(get_args(RaceMode))}
    properties = {
        "mode": mode,
        "alpha": SHARE_INSIDE,
        "batch": COUNT,
        "start": COUNT,
        "score_range": ABOVE_ZERO,
    }
    return any_of(mode, an_object(properties))


def _cache() -> Schema:
    state = {"enum": ["on", "off", True, False]}
    return any_of(state, {"type": "object", "additionalProperties": state})
