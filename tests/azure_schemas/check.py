"""Request bodies against the schemas that Azure publishes for templates, which say the same in another place.

The schemas have quirks, which are taken out of them first: numbers with a fraction are called integers, the base of a
type with variants is closed to what its variants add while all else is open, everything may be a template expression. What
the service takes although the schema does not say so becomes a warning: another spelling of a word, a field that is
only read, an API version that no schema is at hand for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

UNKNOWN = object()
"""A value that only the service knows, as what an expression of a template becomes: it fits everywhere."""

_EXPRESSION = "definitions.json#/definitions/expression"
_COMMON = "https://schema.management.azure.com/schemas/common/definitions.json#/definitions/"
_ENVELOPE = frozenset(("id", "name", "type", "apiVersion", "systemData", "etag"))
_READ_ONLY = frozenset(("provisioningState", "scoringUri", "swaggerUri", "createdBy", "createdAt"))


@dataclass(kw_only=True)
class Verdict:
    """What is wrong with one request.

    Attributes:
        kind: Type of the resource with the API version that was asked for.
        errors: What the service would not take.
        warnings: What it takes, or what could not be looked at.
    """

    kind: str
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A schema of one type in one version."""

    version: str
    schema: Mapping[str, Any]


class Schemas:
    """All schemas of a folder.

    Args:
        folder: With files such as ``Microsoft.App.2026-01-01.json``, or with a folder for each version, as
            Azure/azure-resource-manager-schemas has them in ``schemas``.
        wanted: Types with their versions; of a folder for each version, only these are read.
    """

    def __init__(self, folder: Path, wanted: Collection[str] = ()) -> None:
        shared = (folder / "common.definitions.json", folder / "common" / "definitions.json")
        common = next((file for file in shared if file.is_file()), None)
        self._common = json.loads(common.read_text("utf-8"))["definitions"] if common is not None else {}
        self._by_type: dict[str, list[_Known]] = {}
        files = set(folder.glob("Microsoft.*.json"))
        for kind, _, version in (item.partition("@") for item in wanted):
            files |= set((folder / version).glob(f"{kind.partition('/')[0]}*.json"))
        for file in sorted(files):
            self._add(json.loads(file.read_text("utf-8")))

    def _add(self, document: Mapping[str, Any]) -> None:
        definitions = {**self._common, **document.get("definitions", {})}
        prepared = {name: _prepare(item, definitions) for name, item in definitions.items()}
        scopes = [value for key, value in document.items() if key.lower().endswith("resourcedefinitions")]
        for item in (item for scope in scopes for item in scope.values()):
            (kind,), (version,) = item["properties"]["type"]["enum"], item["properties"]["apiVersion"]["enum"]
            schema = {**_opened(item, definitions), "definitions": prepared}
            schema["required"] = [name for name in schema.get("required", ()) if name != "properties"]
            self._by_type.setdefault(kind.lower(), []).append(_Known(version=version, schema=schema))

    def find(self, kind: str, version: str) -> Mapping[str, Any] | None:
        """The schema of a type in exactly this version, its definitions among it."""
        known = self._by_type.get(kind.lower(), ())
        return next((item.schema for item in known if item.version == version), None)

    def check(self, method: str, kind: str, version: str, name: Any, body: Mapping[str, Any]) -> Verdict:
        """Look at the body of a request.

        Args:
            method: ``PUT``, or ``PATCH``, which may leave out everything.
            kind: Type of the resource.
            version: API version that was asked for.
            name: Last part of its id.
            body: What was sent, with :data:`UNKNOWN` for values that are not known yet.
        """
        verdict = Verdict(kind=f"{kind}@{version}")
        known = self._by_type.get(kind.lower())
        if not known:
            verdict.warnings.append("no schema at hand")
            return verdict
        found = next((item for item in known if item.version == version), None)
        if found is None:
            found = min(known, key=lambda item: _distance(item.version, version))
            verdict.warnings.append(f"judged by {found.version}, the nearest version at hand")
        (name_of_type,) = found.schema["properties"]["type"]["enum"]
        whole = {**_without_nulls(body), "name": name, "type": name_of_type, "apiVersion": found.version}
        self._check_envelope(found.schema, whole, verdict)
        schema = _without_required(found.schema) if method == "PATCH" else found.schema
        for error in _validator(verdict.warnings)(schema).iter_errors(whole):
            _sort_out(error, verdict, is_nearest=found.version != version)
        verdict.warnings = list(dict.fromkeys(verdict.warnings))
        return verdict

    def _check_envelope(self, schema: Mapping[str, Any], body: Mapping[str, Any], verdict: Verdict) -> None:
        for key in body.keys() - schema["properties"].keys() - _ENVELOPE:
            verdict.errors.append(f"{key}: no such field")


def _distance(one: str, other: str) -> tuple[int, str]:
    """How far apart two versions are, in days or so."""

    def days(version: str) -> int:
        year, month, day = (int(part) for part in version.split("-")[:3])
        return year * 372 + month * 31 + day

    return abs(days(one) - days(other)), one


def _prepare(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema without its quirks."""
    if isinstance(schema, list):
        return [_prepare(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    options = schema.get("oneOf")
    if isinstance(options, list):
        real = [item for item in options if not str(item.get("$ref", "")).endswith(_EXPRESSION)]
        if len(real) == 1:
            rest = {key: value for key, value in schema.items() if key != "oneOf"}
            return _prepare({**rest, **real[0]}, definitions)
    variants = _variants(schema)
    if variants is not None:
        return _with_variants(schema["allOf"][0], variants, definitions)
    made = {key: _prepare(value, definitions) for key, value in schema.items()}
    if isinstance(made.get("$ref"), str):
        made["$ref"] = made["$ref"].replace(_COMMON, "#/definitions/")
    if made.get("type") == "integer":
        made["type"] = "number"
    if made.get("properties") and "additionalProperties" not in made and "allOf" not in made:
        made["additionalProperties"] = False
    return made


def _variants(schema: Mapping[str, Any]) -> list[Any] | None:
    """The variants of a type that has a base and a field that tells them apart."""
    parts = schema.get("allOf")
    if not isinstance(parts, list) or len(parts) != 2 or "properties" not in parts[0]:
        return None
    options = parts[1].get("oneOf")
    return options if isinstance(options, list) else None


def _with_variants(base: Any, variants: list[Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Each variant holds where its field says so, and what neither base nor variant knows is refused."""
    rules = []
    for variant in variants:
        reference, tells = variant["allOf"]
        name = reference["$ref"].rpartition("/")[2]
        own = _opened(definitions[name], definitions)
        rules.append({"if": _opened(tells, definitions), "then": own})
    return {
        "allOf": [_opened(base, definitions), *rules],
        "unevaluatedProperties": False,
    }


def _opened(schema: Any, definitions: Mapping[str, Any]) -> dict[str, Any]:
    """Prepared, and without a word on fields that it does not know."""
    made = _prepare(schema, definitions)
    return {key: value for key, value in made.items() if key != "additionalProperties"}


def _without_nulls(value: Any) -> Any:
    """What is null is left out, which means the same to Azure."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _without_required(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_without_required(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_required(value)
        for key, value in schema.items()
        if key != "required" or not isinstance(value, list)
    }


def _validator(spellings: list[str]) -> Any:
    """A validator that takes words in any case, as the service does, and notes those that the schema spells otherwise."""

    def look_up(_: Any, allowed: list[Any], value: Any, __: Any) -> Iterator[ValidationError]:
        near = [item for item in allowed if str(item).lower() == str(value).lower()]
        if not near:
            yield ValidationError(f"{value!r} is none of {allowed}")
        elif value not in allowed:
            spellings.append(f"{value!r} is spelled {near[0]!r} in the schema")

    def compare(_: Any, wanted: Any, value: Any, __: Any) -> Iterator[ValidationError]:
        if str(value).lower() != str(wanted).lower():
            yield ValidationError(f"{value!r} is not {wanted!r}")

    own = {**Draft202012Validator.VALIDATORS, "enum": look_up, "const": compare}
    return extend(Draft202012Validator, {word: _unless_unknown(rule) for word, rule in own.items()})


def _unless_unknown(rule: Callable[..., Iterator[ValidationError] | None]) -> Callable[..., Any]:
    """A keyword that has nothing to say of what is not known."""

    def check(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
        if value is not UNKNOWN:
            yield from rule(validator, wanted, value, schema) or ()

    return check


def _sort_out(error: ValidationError, verdict: Verdict, *, is_nearest: bool) -> None:
    """Put what one finding says, or what is inside it, among errors or warnings."""
    if error.context:
        for inner in error.context:
            _sort_out(inner, verdict, is_nearest=is_nearest)
        return
    place = ".".join(str(part) for part in error.absolute_path) or "body"
    text = f"{place}: {error.message}"
    if error.validator in ("additionalProperties", "unevaluatedProperties"):
        unknown = set(re.findall(r"'([^']+)'", error.message)) - _READ_ONLY
        (verdict.warnings if is_nearest or not unknown else verdict.errors).append(text)
    else:
        verdict.errors.append(text)
