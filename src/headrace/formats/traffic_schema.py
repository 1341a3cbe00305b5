"""The JSON Schema of traffic files, for editors: it completes keys and underlines what cannot be read.

What a schema cannot say is left to the reader: whether paths exist, names are unique, weights add up, or a ramp
rises. A test reads and checks many files by both.
"""

from __future__ import annotations

from typing import Any, get_args

from headrace.domain.traffic import Allocation, Direction, Horizon, MetricKind
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
    Schema,
    a_list,
    an_object,
    any_of,
    described,
    evaluator_schema,
    model_schema,
    price_schema,
    reference,
)
from headrace.formats.traffic_metrics import MAX_RATIO
from headrace.formats.traffic_parts import DURATION, PLACES
from headrace.formats.traffic_rules import MAX_LOOKS

_SHARE: Schema = {"type": "number", "minimum": 0, "maximum": 1}
_FLAG: Schema = {"type": "boolean"}
_DURATION: Schema = {"type": "string", "pattern": DURATION}
_TOKEN: Schema = {"type": "string", "pattern": r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"}
_PLAIN: Schema = {"type": ["string", "number", "boolean"]}


def traffic_schema() -> dict[str, Any]:
    """The schema as plain data, of JSON Schema's draft 2020-12."""
    return {
        "$schema": DIALECT,
        "title": "headrace traffic",
        "description": "How the requests of a served flow are split among arms, and how that is decided.",
        **an_object(_properties()),
        "$defs": {
            "model": model_schema(),
            "price": price_schema(),
            "evaluator": evaluator_schema({"share": _SHARE, "max_usd": ABOVE_ZERO}),
            "unit": _place({}),
            "condition": _condition(),
            "arm": _arm(),
            "metric": _metric(),
        },
        "anyOf": [{"required": ["arms"]}, {"required": ["experiment"]}],
    }


def _properties() -> Schema:
    unit = reference("unit")
    return {
        "$schema": {"type": "string"},
        "name": described(
            {"type": "string", "pattern": r"^\w[\w.-]{0,99}$"},
            "Name of the test; default: the name of the folder.",
        ),
        "description": described({}, "A note for people."),
        "flow": described(TEXT, "The served flow: a path relative to this file, or the name of a version."),
        "experiment": described(
            TEXT, "Experiment file that the arms come from, or the name of an experiment."
        ),
        "unit": described(
            any_of(unit, a_list(unit)), "Where the unit that keeps its arm stands in a request."
        ),
        "seed": described(TEXT, "Seed of the hash; another one assigns anew. Default: the name."),
        "baseline": described(
            TEXT, "Arm that the others are compared with; default: the first that answers."
        ),
        "coverage": described(_SHARE, "Share of units that are in the test; default 1."),
        "holdout": described(_SHARE, "Share of units that get the baseline and never take part; default 0."),
        "namespace": described(_namespace(), "Keeps tests apart that must not share units."),
        "target": described(a_list(reference("condition")), "What a request must meet to be in the test."),
        "force_header": described(_TOKEN, "Header by which a tester names an arm."),
        "fall_back": described(_FLAG, "Whether the baseline answers where another arm fails; default false."),
        "arms": described(
            {**a_list(any_of(NAME, reference("arm"))), "minItems": 1},
            "What takes requests; default: the arms of the experiment file.",
        ),
        "ramp": described(a_list(_step()), "From when on how much of the traffic is in the test."),
        "metrics": described(
            a_list(any_of(NAME, reference("metric"))), "What is measured of a unit; the first one decides."
        ),
        "guardrails": described(
            a_list(_guardrail()), "What may not become worse, else the arm is rolled back."
        ),
        "decision": described(_decision(), "How the test is decided."),
        "allocation": described(_allocation(), "Who chooses the weights."),
        "log": described(_log(), "Which requests are kept with what went in and came out."),
        "evaluators": described(a_list(reference("evaluator")), "What scores logged requests."),
        "webhook": described(
            {"type": "string", "pattern": r"^(https?://[^\s/]+|\$\{env:[A-Za-z_]\w*\}$)"},
            "Address that hears of what moved traffic, or ${env:NAME}.",
        ),
    }


def _place(more: Schema, required: tuple[str, ...] = ()) -> Schema:
    names = {place: _TOKEN if place in ("header", "cookie") else TEXT for place in PLACES}
    return any_of(
        *(an_object({place: names[place], **more}, required=(place, *required)) for place in PLACES)
    )


def _condition() -> Schema:
    listed = {**a_list(_PLAIN), "minItems": 1}
    values: dict[str, Schema] = {
        "is": _PLAIN,
        "in": listed,
        "not_in": listed,
        "at_least": {"type": "number"},
        "at_most": {"type": "number"},
        "matches": {"type": "string", "format": "regex"},
        "exists": _FLAG,
    }
    forms = [_place({name: value}, required=(name,)) for name, value in values.items()]
    return any_of(*(form for found in forms for form in found["anyOf"]))


def _namespace() -> Schema:
    ends = {**a_list(_SHARE), "minItems": 2, "maxItems": 2}
    return an_object({"name": TEXT, "range": ends}, required=("name", "range"))


def _arm() -> Schema:
    properties = {
        "name": TEXT,
        "flow": any_of(TEXT, *remote_forms()),
        "variant": TEXT,
        "choices": {"type": "object", "additionalProperties": TEXT},
        "model": reference("model"),
        "overrides": {**MAPPING, "propertyNames": {"pattern": r"^[^.\s]+\.\S+$"}},
    }
    return any_of(
        an_object({**properties, "weight": _SHARE}, required=("name",)),
        an_object({**properties, "shadow": _SHARE}, required=("name", "shadow")),
    )


def _step() -> Schema:
    return an_object({"after": _DURATION, "coverage": _SHARE}, required=("after", "coverage"))


def _metric() -> Schema:
    properties = {
        "name": TEXT,
        "from": TEXT,
        "kind": {"enum": list(get_args(MetricKind))},
        "direction": {"enum": list(get_args(Direction))},
        "range": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        "window": _DURATION,
        "missing": {"type": "number"},
        "margin": ABOVE_ZERO,
        "offline": TEXT,
    }
    return an_object(properties, required=("name",))


def _guardrail() -> Schema:
    shared = {"metric": TEXT, "alpha": SHARE_INSIDE}
    return any_of(
        an_object(
            {**shared, "max_ratio": {"type": "number", "minimum": 1, "maximum": MAX_RATIO}},
            required=("metric", "max_ratio"),
        ),
        an_object({**shared, "margin": ABOVE_ZERO}, required=("metric", "margin")),
    )


def _decision() -> Schema:
    shared = {"alpha": SHARE_INSIDE, "min_units": COUNT, "min_events": NUMBER_FROM_ZERO, "every": _DURATION}
    looks = {"type": "integer", "minimum": 1, "maximum": MAX_LOOKS}
    n_units = {"type": "integer", "minimum": 2}
    anytime, fixed = get_args(Horizon)
    return any_of(
        an_object({**shared, "horizon": {"const": anytime}}),
        an_object(
            {**shared, "horizon": {"const": fixed}, "n_units": n_units, "looks": looks},
            required=("horizon", "n_units"),
        ),
    )


def _allocation() -> Schema:
    method = {"enum": list(get_args(Allocation))}
    return any_of(method, an_object({"method": method, "floor": _SHARE, "every": _DURATION}))


def _log() -> Schema:
    return an_object({"share": _SHARE, "consent": reference("condition"), "redact": a_list(NAME)})
