"""The JSON Schema of experiment files, for editors: it completes keys and underlines what cannot be read.

What a schema cannot say is left to the reader: whether paths exist, names are unique, or arms can be told apart. A test
reads and checks many files by both.
"""

from __future__ import annotations

from typing import Any, Final, get_args

from headrace.domain.comparison import Family
from headrace.domain.gate import GateTest
from headrace.domain.race import RaceMode
from headrace.domain.scores import Direction, Goal, MetricKind

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_Schema = dict[str, Any]

_TEXT: _Schema = {"type": ["string", "number"]}
_NAME: _Schema = {"type": "string", "minLength": 1}
_VALUE: _Schema = {"type": ["string", "number", "boolean", "null"]}
_MAPPING: _Schema = {"type": "object"}
_ABOVE_ZERO: _Schema = {"type": "number", "exclusiveMinimum": 0}
_SHARE: _Schema = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
_COUNT: _Schema = {"type": "integer", "minimum": 1}
_NUMBER_FROM_ZERO: _Schema = {"type": "integer", "minimum": 0}


def experiment_schema() -> dict[str, Any]:
    """The schema as plain data, of JSON Schema's draft 2020-12."""
    return {
        "$schema": DIALECT,
        "title": "headrace experiment",
        "description": "Which arms run over which data, and how they are judged.",
        **_object(_properties(), required=("data",)),
        "$defs": {
            "model": _model(),
            "price": _object(
                {"input_usd": _least(0), "output_usd": _least(0)}, required=("input_usd", "output_usd")
            ),
            "evaluator": _evaluator(),
            "metric": _metric(),
            "factor": _factor(),
        },
    }


def _properties() -> _Schema:
    return {
        "$schema": {"type": "string"},
        "name": _said(_TEXT, "Title of the comparison; default: the name of the folder."),
        "description": _said({}, "A note for people."),
        "flow": _said(_TEXT, "Folder or file of the flow, relative to this file; default: this folder."),
        "data": _said(_data(), "Data file or folder, or which of its lines are read."),
        "column_mapping": _said(_MAPPING, "Input of the flow to ${data.column} or a fixed value."),
        "line_id": _said(_TEXT, "Column that names each line; default: the number of the line."),
        "variants": _said(_list(_variant()), "Variants of nodes; every one runs with every model."),
        "models": _said(_list(_ref("model")), "Models that every llm node is pointed at."),
        "factors": _said(
            {"type": "object", "additionalProperties": _ref("factor")}, "What is varied, level by level."
        ),
        "design": _said(_design(), "All combinations of levels, or a balanced fraction."),
        "include": _said(_list(_cell()), "Combinations that are added."),
        "exclude": _said(_list(_cell()), "Combinations that are left out."),
        "evaluators": _said(_list(_ref("evaluator")), "What judges the answers."),
        "metrics": _said(_list(_ref("metric")), "Scores that are compared; the first one decides."),
        "guardrails": _said(_list(_guardrail()), "What an arm must not be worse in to be shipped."),
        "gates": _said(_list(_gate()), "What an arm must show before it is let through."),
        "baseline": _said(_TEXT, "Arm that the others are compared with; default: the first."),
        "budget": _said(
            {**_object({"cost_usd": _ABOVE_ZERO, "tokens": _COUNT}), "minProperties": 1},
            "The most that the experiment may spend.",
        ),
        "race": _said(_race(), "Drop arms that can hardly win any more."),
        "cache": _said(_cache(), "Whether results of nodes are used again."),
        "repeats": _said(_COUNT, "How often every arm answers every line; default 1."),
        "seed": _said(_NUMBER_FROM_ZERO, "Seed of resampling and of designs; default 0."),
        "alpha": _said(_SHARE, "Error rate of the verdicts; default 0.05."),
        "cluster": _said(_TEXT, "Column of lines that belong together."),
        "slices": _said(
            _list({"type": ["string", "integer"], "minLength": 1}), "Columns to break the results down by."
        ),
        "family": _said({"enum": list(get_args(Family))}, "How p is adjusted over the arms."),
        "environment_variables": _said(_MAPPING, "Set while the flow runs."),
    }


def _said(schema: _Schema, description: str) -> _Schema:
    return {"description": description, **schema}


def _object(properties: _Schema, required: tuple[str, ...] = ()) -> _Schema:
    found: _Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def _list(items: _Schema) -> _Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> _Schema:
    return {"$ref": f"#/$defs/{name}"}


def _any(*schemas: _Schema) -> _Schema:
    return {"anyOf": list(schemas)}


def _least(number: float) -> _Schema:
    return {"type": "number", "minimum": number}


def _data() -> _Schema:
    split = _object({"column": _TEXT, "value": _VALUE}, required=("column", "value"))
    sample = _object({"n": _COUNT, "seed": _NUMBER_FROM_ZERO}, required=("n",))
    return _any(_NAME, _object({"path": _TEXT, "split": split, "sample": sample}, required=("path",)))


def _variant() -> _Schema:
    choices = {"type": "object", "additionalProperties": _TEXT}
    return _any(_NAME, _object({"name": _TEXT, "choices": choices}))


def _model() -> _Schema:
    properties = {
        "name": _TEXT,
        "connection": _TEXT,
        "model": _TEXT,
        "parameters": _MAPPING,
        "price": _ref("price"),
    }
    return _any(_NAME, _object(properties, required=("connection",)))


def _factor() -> _Schema:
    levels = _list(_any(_VALUE, _object({"name": _TEXT, "value": {}}, required=("name", "value"))))
    flow = _object({"name": _TEXT, "path": _TEXT}, required=("path",))
    remote = _object(
        {
            "name": _TEXT,
            "url": {"type": "string", "pattern": r"^https?://[^\s/]+"},
            "connection": _TEXT,
            "deployment": _TEXT,
            "timeout_s": {"type": "number", "exclusiveMinimum": 0},
            "headers": {"type": "object", "additionalProperties": _VALUE},
            "inputs": _list(_NAME),
            "outputs": {"type": "object", "additionalProperties": _TEXT},
            "cache": {"enum": ["on", "off", True, False]},
        },
        required=("url",),
    )
    settings = [
        _object({kind: _NAME, **more, "levels": levels}, required=(kind, "levels"))
        for kind, more in (("parameter", {"node": _NAME}), ("input", {}), ("connection", {}))
    ]
    listed = _list(_any(_TEXT, _ref("model"), flow, remote))
    return _any({**listed, "minItems": 2}, *settings)


def _design() -> _Schema:
    fraction = {"type": "string", "pattern": r"^\s*1\s*/\s*[0-9]+\s*$"}
    return _any({"const": "full"}, _object({"fraction": fraction}, required=("fraction",)))


def _cell() -> _Schema:
    return {"type": "object", "minProperties": 1, "additionalProperties": _VALUE}


def _evaluator() -> _Schema:
    kinds = {"flow": _TEXT, "builtin": _TEXT, "python": _TEXT}
    shared = {
        "name": _TEXT,
        "column_mapping": _MAPPING,
        "parameters": _MAPPING,
        "models": _list(_ref("model")),
        "repeats": _COUNT,
    }
    said = [
        _object({kind: kinds[kind], **{key: shared[key] for key in keys}}, required=(kind,))
        for kind, keys in (
            ("flow", ("name", "column_mapping", "parameters")),
            ("builtin", tuple(shared)),
            ("python", ("name", "column_mapping", "parameters")),
        )
    ]
    return _any(_NAME, *said)


def _metric() -> _Schema:
    properties = {
        "name": _TEXT,
        "direction": {"enum": list(get_args(Direction))},
        "kind": {"enum": list(get_args(MetricKind))},
        "margin": _ABOVE_ZERO,
        "goal": {"enum": list(get_args(Goal))},
        "labels": {"type": "object", "additionalProperties": _TEXT},
    }
    return _any(_NAME, _object(properties, required=("name",)))


def _guardrail() -> _Schema:
    properties = {"metric": _TEXT, "direction": {"enum": list(get_args(Direction))}, "margin": _ABOVE_ZERO}
    return _object(properties, required=("metric", "margin"))


def _gate() -> _Schema:
    shared = {"metric": _TEXT, "arm": _TEXT, "against": _TEXT}
    tests = [test for test in get_args(GateTest) if test != "budget"]
    asked = _object({**shared, "test": {"enum": tests}, "margin": _least(0)}, required=("metric",))
    budget = _object(
        {**shared, "test": {"const": "budget"}, "limit": _least(0)}, required=("metric", "test", "limit")
    )
    return _any(asked, budget)


def _race() -> _Schema:
    mode = {"enum": list(get_args(RaceMode))}
    properties = {
        "mode": mode,
        "alpha": _SHARE,
        "batch": _COUNT,
        "start": _COUNT,
        "score_range": _ABOVE_ZERO,
    }
    return _any(mode, _object(properties))


def _cache() -> _Schema:
    state = {"enum": ["on", "off", True, False]}
    return _any(state, {"type": "object", "additionalProperties": state})
