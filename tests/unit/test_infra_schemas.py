"""The check of Bicep files against Azure's schemas, and the table that comes of it, on a small schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.infra_schemas.__main__ import main

COMMON = "https://schema.management.azure.com/schemas/common/definitions.json#/definitions/expression"
GOOD = """
param size int
param isOpen bool
param owners array

resource shop 'Contoso.Shops/shops@2026-01-01' = {
  name: 'shop'
  location: 'here'
  tags: { team: 'a' }
  properties: {
    mode: isOpen ? 'Open' : 'Closed'
    size: size
    owners: [for owner in owners: {
      name: owner
    }]
  }
}

resource other 'Contoso.Things/things@2026-01-01' = {
  name: 'thing'
}
"""


def either(schema: dict[str, Any]) -> dict[str, Any]:
    return {"oneOf": [schema, {"$ref": COMMON}]}


def described(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


DOCUMENT = {
    "resourceDefinitions": {
        "shops": described(
            {
                "apiVersion": {"type": "string", "enum": ["2026-01-01"]},
                "type": {"type": "string", "enum": ["Contoso.Shops/shops"]},
                "name": either({"type": "string", "pattern": "^[a-z]+$"}),
                "location": {"type": "string"},
                "tags": either(
                    {"type": "object", "additionalProperties": {"type": "string"}, "properties": {}}
                ),
                "properties": either({"$ref": "#/definitions/Shop"}),
            },
            "name",
            "properties",
        )
    },
    "definitions": {
        "Shop": described(
            {
                "mode": either({"type": "string", "enum": ["Open", "Closed"]}),
                "size": either({"type": "integer"}),
                "owners": either({"type": "array", "items": {"$ref": "#/definitions/Owner"}}),
            },
            "mode",
        ),
        "Owner": described({"name": {"type": "string"}}, "name"),
    },
}
EXPRESSION = {"definitions": {"expression": {"type": "string", "pattern": r"^\[.*\]$"}}}


def judge(folder: Path, bicep: str, *words: str) -> int:
    specs, infra, table = folder / "specs", folder / "infra", folder / "table.json"
    specs.mkdir(exist_ok=True)
    infra.mkdir(exist_ok=True)
    (specs / "Microsoft.Shops.2026-01-01.json").write_text(json.dumps(DOCUMENT), "utf-8")
    (specs / "common.definitions.json").write_text(json.dumps(EXPRESSION), "utf-8")
    (infra / "main.bicep").write_text(bicep, "utf-8")
    if not table.exists():
        table.write_text('{"from_schemas": {}, "by_hand": {}}', "utf-8")
    return main(["--specs", str(specs), "--table", str(table), *words, str(infra)])


def test_what_is_valid_passes_and_what_has_no_schema_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(tmp_path, GOOD, "--write") == 0
    assert judge(tmp_path, GOOD) == 0
    printed = capsys.readouterr().out
    assert "valid: main.bicep: shop: Contoso.Shops/shops@2026-01-01" in printed
    assert "not judged: main.bicep: other: no schema of Contoso.Things/things@2026-01-01 at hand" in printed


@pytest.mark.parametrize(
    ("find", "write", "says"),
    [
        ("mode:", "mod:", "'mod'"),
        ("'Closed'", "'Shut'", "'Shut' is none of"),
        ("size: size", "size: 'large'", "'large' is not of type 'number'"),
        ("name: owner", "nam: owner", "'nam'"),
        ("location: 'here'", "loction: 'here'", "loction: no such field"),
        ("team: 'a'", "team: 1", "1 is not of type 'string'"),
        ("mode: isOpen ? 'Open' : 'Closed'\n", "", "'mode' is a required property"),
    ],
)
def test_a_mistake_is_an_error(
    find: str, write: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(tmp_path, GOOD.replace(find, write), "--write") == 1
    assert says in capsys.readouterr().out


def test_the_table_knows_keys_words_and_types(tmp_path: Path) -> None:
    judge(tmp_path, GOOD, "--write")
    table = json.loads((tmp_path / "table.json").read_text("utf-8"))["from_schemas"]
    assert table == {
        "Contoso.Shops/shops@2026-01-01": {
            "objects": {
                "": ["location", "name", "properties", "tags"],
                "tags": "any",
                "properties": ["mode", "owners", "size"],
                "properties.owners[]": ["name"],
            },
            "values": {"location": "string", "tags.*": "string", "properties.mode": ["Closed", "Open"]},
        }
    }


def test_a_table_of_yesterday_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judge(tmp_path, GOOD) == 1
    assert "is not what the schema says; write it anew" in capsys.readouterr().out


def test_a_folder_for_each_version_will_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "specs" / "2026-01-01"
    folder.mkdir(parents=True)
    things = json.loads(json.dumps(DOCUMENT).replace("Shops/shops", "Things/things"))
    moved = {"subscription_resourceDefinitions": things.pop("resourceDefinitions"), **things}
    (folder / "Contoso.Things.json").write_text(json.dumps(moved), "utf-8")
    assert judge(tmp_path, GOOD, "--write") == 0
    assert "valid: main.bicep: other: Contoso.Things/things@2026-01-01" in capsys.readouterr().out
    bad = GOOD.replace("name: 'thing'", "name: 'thing'\n  colour: 'red'")
    assert judge(tmp_path, bad, "--write") == 1
    assert "colour: no such field" in capsys.readouterr().out


def test_without_schemas_it_says_where_they_are_looked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--specs", str(tmp_path / "none")]) == 1
    assert "make infra-schemas AZURE_SPECS=FOLDER" in capsys.readouterr().out
