"""The check of requests against Azure's schemas, on a small schema with all of their quirks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.azure_schemas.check import Schemas, Verdict
from tests.azure_schemas.requests import read_requests

EXPRESSION = {
    "$ref": "https://schema.management.azure.com/schemas/common/definitions.json#/definitions/expression"
}
KIND, VERSION = "Contoso.Shops/shops", "2026-01-01"


def either(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [schema, EXPRESSION]}


def variant(name: str) -> dict[str, Any]:
    tells = {"properties": {"mode": {"const": name}}, "required": ["mode"], "type": "object"}
    return {"allOf": [{"$ref": f"#/definitions/{name}Shop"}, tells]}


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    made = {"type": "object", "additionalProperties": False, "properties": properties}
    return {**made, "required": list(required)} if required else made


DOCUMENT = {
    "resourceDefinitions": {
        "shops": {
            "type": "object",
            "properties": {
                "apiVersion": {"type": "string", "enum": [VERSION]},
                "type": {"type": "string", "enum": [KIND]},
                "name": {"type": "string"},
                "location": {"type": "string"},
                "properties": either({"$ref": "#/definitions/Shop"}),
            },
            "required": ["name", "type", "apiVersion", "properties"],
        }
    },
    "definitions": {
        "Shop": {
            "allOf": [
                closed(
                    {
                        "mode": {"type": "string", "enum": ["Open", "Closed"]},
                        "size": either({"type": "integer"}),
                        "owner": either({"$ref": "#/definitions/Owner"}),
                    },
                    "mode",
                ),
                {"oneOf": [variant("Open"), variant("Closed")]},
            ]
        },
        "OpenShop": closed({"hours": {"type": "string"}}, "hours"),
        "ClosedShop": closed({"since": {"type": "string"}}),
        "Address": {"type": "object", "properties": {"city": {"type": "string"}}},
        "Owner": closed(
            {
                "name": {"type": "string"},
                "address": {"$ref": "#/definitions/Address"},
                "state": {"type": "string", "enum": ["Here", "Away"]},
            },
            "name",
        ),
    },
}
COMMON = {"definitions": {"expression": {"type": "string", "pattern": r"^\[([^\[].*)?\]$"}}}


@pytest.fixture
def schemas(tmp_path: Path) -> Schemas:
    (tmp_path / "Microsoft.Shops.2026-01-01.json").write_text(json.dumps(DOCUMENT), "utf-8")
    (tmp_path / "common.definitions.json").write_text(json.dumps(COMMON), "utf-8")
    return Schemas(tmp_path)


def check(schemas: Schemas, method: str = "PUT", version: str = VERSION, **properties: Any) -> Verdict:
    return schemas.check(method, KIND.upper(), version, "s", {"location": "x", "properties": properties})


def test_what_a_variant_adds_is_no_mistake(schemas: Schemas) -> None:
    verdict = check(schemas, mode="Open", hours="8-20", size=0.5, owner={"name": "o", "state": None})
    assert (verdict.errors, verdict.warnings) == ([], [])


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"mode": "Open"}, "properties: 'hours' is a required property"),
        ({"mode": "Open", "hours": "8", "since": "x"}, "'since'"),
        ({"mode": "Closed", "hous": "8"}, "'hous'"),
        ({"mode": "Shut"}, "properties.mode: 'Shut' is none of ['Open', 'Closed']"),
        ({"mode": "Closed", "size": "big"}, "properties.size: 'big' is not of type 'number'"),
        ({"mode": "Closed", "owner": {"name": "o", "age": 1}}, "properties.owner: Additional properties"),
        (
            {"mode": "Closed", "owner": {"name": "o", "address": {"town": "x"}}},
            "properties.owner.address: Additional",
        ),
        ({"mode": "Closed", "owner": {"state": "Here"}}, "properties.owner: 'name' is a required property"),
    ],
)
def test_mistakes_are_found_with_their_place(
    schemas: Schemas, properties: dict[str, Any], error: str
) -> None:
    assert any(error in text for text in check(schemas, **properties).errors)


def test_what_the_service_takes_all_the_same_is_a_warning(schemas: Schemas) -> None:
    verdict = check(
        schemas, mode="closed", owner={"name": "o", "state": "AWAY"}, provisioningState="Succeeded"
    )
    assert verdict.errors == []
    assert sorted(verdict.warnings) == [
        "'AWAY' is spelled 'Away' in the schema",
        "'closed' is spelled 'Closed' in the schema",
        "properties: Unevaluated properties are not allowed ('provisioningState' was unexpected)",
    ]
    assert check(schemas, mode="closed", provisioningState="x", other=1).errors != []


def test_a_change_may_leave_out_what_it_does_not_change(schemas: Schemas) -> None:
    assert check(schemas, "PATCH", size=2).errors == []
    assert check(schemas, "PATCH", size="2").errors != []


def test_another_version_is_judged_by_the_nearest_one_and_other_types_not_at_all(schemas: Schemas) -> None:
    verdict = check(schemas, version="2026-02-01", mode="Closed")
    assert (verdict.errors, verdict.warnings) == ([], ["judged by 2026-01-01, the nearest version at hand"])
    assert check(schemas, version="2026-02-01", mode="Closed", size="x").errors != []
    assert schemas.check("PUT", "Contoso.X/y", VERSION, "s", {}).warnings == ["no schema at hand"]


def test_fields_beside_the_properties_are_known(schemas: Schemas) -> None:
    assert schemas.check("PUT", KIND, VERSION, "s", {"id": "x", "loction": "y"}).errors == [
        "loction: no such field"
    ]


def test_each_body_that_was_taken_counts_once(tmp_path: Path) -> None:
    sent = {
        "method": "PUT",
        "host": "management.azure.com",
        "path": "/subscriptions/s/resourceGroups/g/providers/Microsoft.App/containerApps/a",
        "query": {"api-version": "2026-01-01"},
        "headers": {},
        "body": {"properties": {}},
        "status": 201,
    }
    others = [{"status": 409}, {"method": "GET"}, {"host": "x"}, {"body": None}]
    lines = [json.dumps({**sent, **other}) for other in ({}, {}, *others)]
    (tmp_path / "1.jsonl").write_text("\n".join(lines), "utf-8")
    (only,) = read_requests(tmp_path)
    assert (only.kind, only.version, only.name) == ("Microsoft.App/containerApps", "2026-01-01", "a")
