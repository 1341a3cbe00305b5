"""``make infra-schemas``: is every resource of the Bicep files valid where Azure says what is, and is the lint's table true?

``python -m tests.infra_schemas --specs FOLDER [--write] [INFRA]``; ``--write`` writes the table anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from jsonschema.validators import validator_for

from tests.azure_schemas.check import UNKNOWN, Schemas
from tests.infra_schemas.known import known_of
from tests.support.bicep.agreed import PROPERTIES
from tests.support.bicep.rules import FREE_KEYS
from tests.support.bicep.syntax import UNKNOWN as NO_LITERAL
from tests.support.bicep.syntax import Made, Node, alternatives, elements, entries, literal, read

INFRA = Path("src/headrace/operations/starters/project/infra")


def main(words: list[str]) -> int:
    """Judge and compare; 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.infra_schemas")
    parser.add_argument(
        "--specs",
        type=Path,
        required=True,
        help="folder of Microsoft.X.VERSION.json, or of VERSION/Microsoft.X.json",
    )
    parser.add_argument("--write", action="store_true", help="write the table of the lint")
    parser.add_argument("--table", type=Path, default=PROPERTIES, help="the table")
    parser.add_argument("infra", type=Path, nargs="?", default=INFRA)
    arguments = parser.parse_args(words)
    if not arguments.specs.is_dir():
        print(f"There are no schemas in {arguments.specs}: make infra-schemas AZURE_SPECS=FOLDER")
        return 1
    resources = [
        (file, made)
        for path in sorted(arguments.infra.rglob("*.bicep"))
        for file in (read(path),)
        for made in file.resources.values()
        if not made.is_existing
    ]
    schemas = Schemas(arguments.specs, {made.target for _, made in resources})
    errors = 0
    for file, made in resources:
        errors += _judge(schemas, f"{file.path.relative_to(arguments.infra)}: {made.name}", made)
    errors += _judge_azure_yaml(arguments.specs, arguments.infra.parent / "azure.yaml")
    errors += _compare_table(
        _table(schemas, [made for _, made in resources]), arguments.table, is_writing=arguments.write
    )
    print(f"{len(resources)} resources, {errors} errors")
    return 1 if errors else 0


def _judge(schemas: Schemas, where: str, made: Made) -> int:
    kind, _, version = made.target.partition("@")
    if schemas.find(kind, version) is None:
        print(f"not judged: {where}: no schema of {made.target} at hand")
        return 0
    errors: dict[str, None] = {}
    for choose in (lambda nodes: nodes[0], lambda nodes: nodes[-1]):
        body = {key: item for key, item in _json(made.body, choose).items() if key not in FREE_KEYS}
        verdict = schemas.check("PUT", kind, version, UNKNOWN, body)
        errors |= dict.fromkeys(f"ERROR: {text}" for text in verdict.errors)
        errors |= dict.fromkeys(f"ERROR: {text}" for text in verdict.warnings)
    print(f"{'wrong' if errors else 'valid'}: {where}: {made.target}")
    for text in errors:
        print(f"  {text}")
    return len(errors)


def _json(node: Node, choose: Callable[[list[Node]], Node]) -> Any:
    """What a node is worth, one of the two where a condition decides."""
    node = choose(alternatives(node))
    if node.type == "object":
        return {key: _json(value, choose) for key, (_, value) in entries(node).items()}
    if node.type in ("array", "for_statement"):
        return [_json(item, choose) for item in elements(node)]
    value = literal(node)
    return UNKNOWN if value is NO_LITERAL else value


def _judge_azure_yaml(specs: Path, path: Path) -> int:
    schema = specs / "azd.azure.yaml.schema.json"
    if not schema.is_file() or not path.is_file():
        print(f"not judged: {path.name}: no schema, or no file")
        return 0
    rules = json.loads(schema.read_text("utf-8"))
    errors = list(validator_for(rules)(rules).iter_errors(yaml.safe_load(path.read_text("utf-8"))))
    print(f"{'wrong' if errors else 'valid'}: {path.name}")
    for error in errors:
        print(f"  ERROR: {'.'.join(map(str, error.absolute_path))}: {error.message}")
    return len(errors)


def _table(schemas: Schemas, resources: list[Made]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for made in resources:
        kind, _, version = made.target.partition("@")
        schema = schemas.find(kind, version)
        if schema is not None:
            known = known_of(schema, made)
            entry = table.setdefault(made.target, {"objects": {}, "values": {}})
            entry["objects"] |= known["objects"]
            entry["values"] |= known["values"]
    return table


def _compare_table(table: dict[str, Any], path: Path, *, is_writing: bool) -> int:
    kept = json.loads(path.read_text("utf-8"))
    for target in kept["by_hand"]:
        print(f"not compared: {path.name}: {target} is written by hand")
    if is_writing:
        text = json.dumps({"from_schemas": table, "by_hand": kept["by_hand"]}, indent=1, sort_keys=True)
        path.write_text(f"{text}\n", "utf-8")
        return 0
    from_schemas = kept["from_schemas"]
    stale = [
        target for target in sorted(table | from_schemas) if table.get(target) != from_schemas.get(target)
    ]
    for target in stale:
        print(f"  ERROR: {path.name}: {target} is not what the schema says; write it anew with --write")
    return len(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
