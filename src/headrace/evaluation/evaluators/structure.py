"""Answers that are data: JSON that fits a schema, and JSON whose fields are right."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headrace.domain.scores import Score
from headrace.errors import DefinitionError, Problem
from headrace.evaluation.evaluators.base import MAIN, Judge, Scores, only, score, unscorable
from headrace.evaluation.evaluators.matching import NORMALISATIONS
from headrace.evaluation.evaluators.packages import load_evaluator_package
from headrace.evaluation.evaluators.text import parse_json


def make_json_schema(*, schema: Any) -> Judge:
    """1 where the answer is JSON that fits the schema, else 0 with the first place that does not.

    Raises:
        DefinitionError: G923 for something that is no schema, G924 without the package jsonschema.
    """
    validator_for = load_evaluator_package("jsonschema.validators:validator_for", "json_schema")
    schema_error = load_evaluator_package("jsonschema.exceptions:SchemaError", "json_schema")
    best_match = load_evaluator_package("jsonschema.exceptions:best_match", "json_schema")
    cls = validator_for(schema)
    try:
        cls.check_schema(schema)
    except schema_error as error:
        what = f"The schema of the evaluator is none: {error.message}."
        raise DefinitionError(Problem(code="G923", what=what, fix="Write a JSON Schema.")) from error
    validator = cls(schema)

    def judge(prediction: Any = None) -> Scores:
        try:
            value = parse_json(prediction)
        except ValueError:
            return only(0.0, "The answer is no JSON.", "not json")
        try:
            error = best_match(validator.iter_errors(value))
        except RecursionError as failure:
            what = "json_schema cannot score the line: the answer is nested too deeply."
            raise unscorable(what, "Nest answers less.") from failure
        if error is None:
            return only(1.0, label="valid")
        return only(0.0, f"{error.json_path}: the answer does not fit {error.validator!r}.", "invalid")

    return judge


def make_fields(*, fields: Sequence[str], normalisation: str, absolute: float, relative: float) -> Judge:
    """Share of the fields of the right answer that the answer has with an equal value, and 1 or 0 for each field.

    Raises:
        DefinitionError: G923 for a field without a name.
    """
    if not all(isinstance(name, str) and name for name in fields):
        what = "The evaluator names a field that is no text."
        raise DefinitionError(Problem(code="G923", what=what, fix="Write the names of fields."))
    same = _Same(NORMALISATIONS[normalisation], absolute, relative)

    def judge(prediction: Any = None, reference: Any = None) -> Scores:
        wanted = _read_reference(reference)
        names = list(fields) or list(wanted)
        missing = [name for name in names if name not in wanted]
        if missing or not names:
            which = (
                f"the right answer has no field {missing[0]!r}"
                if missing
                else "the right answer has no fields"
            )
            msg = f"fields cannot score the line: {which}."
            raise unscorable(msg, "Give the reference the fields.")
        try:
            given = parse_json(prediction)
        except ValueError:
            given = None
        answer = given if isinstance(given, Mapping) else {}
        found = {name: float(name in answer and same(answer[name], wanted[name])) for name in names}
        wrong = [name for name, value in found.items() if not value]
        reason = None if given is not None else "The answer is no JSON object."
        if wrong and reason is None:
            reason = f"Different: {', '.join(wrong)}."
        scores: dict[str, Score] = {MAIN: score(sum(found.values()) / len(found), reason)}
        scores["all"] = score(float(not wrong))
        for name in fields:
            scores[f"field_{name}"] = score(found[name])
        return scores

    return judge


def _read_reference(reference: Any) -> Mapping[str, Any]:
    try:
        wanted = parse_json(reference)
    except ValueError:
        wanted = None
    if not isinstance(wanted, Mapping):
        what = "fields cannot score the line: the right answer is no JSON object."
        raise unscorable(what, "Give a mapping, or its JSON text, as the reference.")
    return {str(name): value for name, value in wanted.items()}


class _Same:
    """Whether two values are equal: texts after normalisation, numbers within a tolerance, the rest part by part."""

    def __init__(self, change: Callable[[str], str], absolute: float, relative: float) -> None:
        self._change = change
        self._absolute = absolute
        self._relative = relative

    def __call__(self, given: Any, wanted: Any) -> bool:
        if isinstance(wanted, bool) or isinstance(given, bool) or wanted is None or given is None:
            return given is wanted
        if isinstance(wanted, (int, float)) and isinstance(given, (int, float)):
            tolerance = max(self._absolute, self._relative * abs(wanted))
            return given == wanted or (math.isfinite(wanted) and abs(given - wanted) <= tolerance)
        if isinstance(wanted, str) and isinstance(given, str):
            return self._change(given) == self._change(wanted)
        if isinstance(wanted, Mapping) and isinstance(given, Mapping):
            return given.keys() == wanted.keys() and all(self(given[name], wanted[name]) for name in wanted)
        if isinstance(wanted, list) and isinstance(given, list):
            return len(given) == len(wanted) and all(map(self, given, wanted))
        return False
