"""The rules for files together: modules and what calls them, roles that are handed on, sizes, parameters, azure.yaml."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.support.bicep.agreed import agreed
from tests.support.bicep.order import check_circles, check_order
from tests.support.bicep.references import (
    asked_of_elements,
    check_elements,
    check_members,
    kind_of,
    known_keys,
)
from tests.support.bicep.rules import FILE_RULES, check_syntax, names_of
from tests.support.bicep.syntax import (
    UNKNOWN,
    BicepFile,
    Declared,
    Finding,
    Made,
    alternatives,
    elements,
    entries,
    literal,
    member_path,
    read,
    text_of,
    value_of,
    walk,
)
from tree_sitter import Node

_PLACEHOLDER = re.compile(r"\$\{(\w+)")
_OF_AZD = frozenset(("AZURE_ENV_NAME", "AZURE_LOCATION", "AZURE_RESOURCE_GROUP"))
_OF_MODULES = frozenset(("name", "scope", "params", "dependsOn"))
_KINDS = {bool: "bool", int: "int", str: "string", list: "array", dict: "object"}
_AZURE_YAML = {
    "name",
    "metadata",
    "infra",
    "pipeline",
    "hooks",
    "services",
    "requiredVersions",
    "resourceGroup",
}


@dataclass(frozen=True, kw_only=True)
class Folder:
    """All Bicep files below a folder."""

    root: Path
    files: Mapping[Path, BicepFile]

    @property
    def main(self) -> BicepFile | None:
        """What azd deploys."""
        return self.files.get((self.root / "main.bicep").resolve())

    def callee(self, file: BicepFile, module: Made) -> BicepFile | None:
        """The file of a module."""
        return self.files.get((file.path.parent / module.target).resolve())


def lint(root: Path) -> list[Finding]:
    """Everything that is wrong with the Bicep files below a folder, and with what stands beside ``main.bicep``."""
    folder = Folder(root=root, files={path.resolve(): read(path) for path in sorted(root.rglob("*.bicep"))})
    if not folder.files:
        return [Finding(rule="syntax", file=root, line=1, text="there are no Bicep files")]
    broken = [finding for file in folder.files.values() for finding in check_syntax(file)]
    if broken:
        return broken  # what cannot be parsed makes every other rule talk nonsense
    rules = (*FILE_RULES, check_order, check_circles, check_members, check_elements)
    found = [finding for file in folder.files.values() for rule in rules for finding in rule(file)]
    for file in folder.files.values():
        for module in file.modules.values():
            found += _check_module(folder, file, module)
        found += _check_module_outputs(folder, file)
        found += _check_sizes(file)
    if folder.main is not None:
        found += _check_main(folder, folder.main)
    return sorted(found, key=lambda item: (str(item.file), item.line, item.text))


def _check_module(folder: Folder, file: BicepFile, module: Made) -> Iterator[Finding]:
    callee = folder.callee(file, module)
    if callee is None:
        yield file.finding("module", module.node, f"there is no file {module.target}")
        return
    for key, (node, _) in entries(module.body).items():
        if key not in _OF_MODULES:
            yield file.finding("module", node, f"{key} is nothing that a module takes")
    if value_of(module.body, "name") is None:
        yield file.finding("module", module.node, f"{module.name} has no name")
    if callee.scope != file.scope and value_of(module.body, "scope") is None:
        yield file.finding(
            "module", module.node, f"{module.name} needs a scope: {module.target} is for a {callee.scope}"
        )
    given = value_of(module.body, "params")
    arguments = entries(given) if given is not None else {}
    yield from _check_arguments(file, module, callee, arguments)
    yield from _check_group_roles(file, arguments, _given_in_group(callee))
    if "isPrivate" in arguments and text_of(arguments["isPrivate"][1]) != "usePrivateNetwork":
        yield file.finding("module", arguments["isPrivate"][0], "isPrivate has to be usePrivateNetwork")


def _check_arguments(
    file: BicepFile, module: Made, callee: BicepFile, arguments: Mapping[str, tuple[Node, Node]]
) -> Iterator[Finding]:
    """What is given is asked for and the other way round, and is of the right form."""
    asked = asked_of_elements(callee)
    for name, parameter in callee.parameters.items():
        if name not in arguments and not parameter.is_optional:
            yield file.finding(
                "module", module.node, f"{module.name} does not give {name} to {module.target}"
            )
    for name, (key, value) in arguments.items():
        if name not in callee.parameters:
            yield file.finding("module", key, f"{module.target} has no parameter {name}")
        else:
            yield from _check_argument(file, callee.parameters[name], value)
            yield from _check_elements(file, module, name, value, asked.get(name, set()))


def _check_elements(
    file: BicepFile, module: Made, name: str, node: Node, asked: set[str]
) -> Iterator[Finding]:
    """The objects of an array that is given have the keys that the module asks them for, and no others."""
    for item in elements(node):
        for key in sorted(entries(item).keys() ^ asked) if item.type == "object" else ():
            what = "has no use for" if key in entries(item) else "asks for"
            yield file.finding("module", item, f"{module.target} {what} {key} of each of {name}")


def _check_argument(file: BicepFile, parameter: Declared, node: Node) -> Iterator[Finding]:
    """A literal, or a parameter handed on, has the type that is asked for."""
    wanted = parameter.type.rstrip("?")
    allowed = parameter.decorators.get("allowed")
    words = [literal(item) for item in elements(allowed[0])] if allowed else None
    for found in alternatives(node):
        kinds = {kind_of(file, found), *(_KINDS[type(size)] for size in _sizes_at(file, found))}
        for kind in sorted(kinds - {"", wanted} - ({"null"} if parameter.is_optional else set())):
            yield file.finding("module", found, f"{parameter.name} is {wanted}, not {kind}")
        for value in (literal(found), *_sizes_at(file, found)):
            if words is not None and value is not UNKNOWN and value not in words:
                yield file.finding("module", found, f"{parameter.name}: {value!r} is none of {words}")


def _sizes_at(file: BicepFile, node: Node) -> list[Any]:
    """What a member of the sizes is, one value for each environment; empty for anything else."""
    path = member_path(node)
    if len(path) != 2 or path[0] not in file.variables:
        return []
    picked = file.variables[path[0]].value
    name = text_of(picked).partition("[")[0] if picked is not None else ""
    loaded = _loaded(file, name)
    return [sizes[path[1]] for sizes in loaded.values() if path[1] in sizes] if loaded is not None else []


def _loaded(file: BicepFile, name: str) -> dict[str, dict[str, Any]] | None:
    """The content of the JSON file that a variable loads; ``None`` for any other variable."""
    value = file.variables[name].value if name in file.variables else None
    found = re.fullmatch(r"loadJsonContent\('([^']+)'\)", text_of(value)) if value is not None else None
    if found is None or not (file.path.parent / found[1]).is_file():
        return None
    content: dict[str, dict[str, Any]] = json.loads((file.path.parent / found[1]).read_text("utf-8"))
    return content


def _given_in_group(file: BicepFile) -> set[str]:
    """Parameters from which a file takes the roles that it assigns in the whole resource group."""
    return {
        text_of(node)
        for made in file.resources.values()
        if made.kind == "Microsoft.Authorization/roleAssignments" and value_of(made.body, "scope") is None
        for node in walk(made.node)
        if node.type == "identifier" and text_of(node) in file.parameters
    }


def _check_group_roles(
    file: BicepFile, arguments: Mapping[str, tuple[Node, Node]], wide: set[str]
) -> Iterator[Finding]:
    """Roles that are handed to a module which assigns them in the whole group may be given there."""
    for name, (_, value) in arguments.items():
        if name not in wide:
            continue
        for node in walk(value):
            if node.type == "member_expression" and member_path(node)[:1] == ("roles",):
                role = agreed().roles.get(str(_resolve(file, member_path(node))).lower(), text_of(node))
                if role not in agreed().group_roles:
                    yield file.finding("role", node, f"{role} in the whole resource group is too wide")


def _resolve(file: BicepFile, path: tuple[str, ...]) -> Any:
    """The literal that a member of a variable is."""
    variable = file.variables.get(path[0])
    found = (
        value_of(variable.value, *path[1:]) if variable is not None and variable.value is not None else None
    )
    return literal(found) if found is not None else UNKNOWN


def _check_module_outputs(folder: Folder, file: BicepFile) -> Iterator[Finding]:
    """Outputs of modules exist."""
    for path in names_of(file.root):
        if len(path) > 2 and path[0] in file.modules and path[1] == "outputs":
            callee = folder.callee(file, file.modules[path[0]])
            if callee is not None and path[2] not in callee.outputs:
                yield file.finding(
                    "module", file.modules[path[0]].node, f"{callee.path.name} has no output {path[2]}"
                )


def _check_sizes(file: BicepFile) -> Iterator[Finding]:
    """A JSON file of sizes, one object for each environment: each has what is used, of one type, and no more."""
    for name, variable in file.variables.items():
        loaded = (
            re.fullmatch(r"loadJsonContent\('([^']+)'\)", text_of(variable.value)) if variable.value else None
        )
        if loaded is None:
            continue
        path = file.path.parent / loaded[1]
        if not path.is_file():
            yield file.finding("sizes", variable.node, f"there is no file {loaded[1]}")
            continue
        environments: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"))
        picked = [
            other
            for other, item in file.variables.items()
            if item.value and text_of(item.value).startswith(f"{name}[")
        ]
        used = {one[1] for one in names_of(file.root) if one[0] in picked and len(one) > 1}
        for environment, sizes in environments.items():
            for key in sorted(used ^ sizes.keys()):
                what = "is used nowhere" if key in sizes else f"is missing for {environment}"
                yield file.finding("sizes", variable.node, f"{loaded[1]}: {key} {what}")
        for key in sorted(set.intersection(*(set(sizes) for sizes in environments.values()))):
            if len({type(sizes[key]) for sizes in environments.values()}) > 1:
                yield file.finding("sizes", variable.node, f"{loaded[1]}: {key} has several types")


def _check_main(folder: Folder, main: BicepFile) -> Iterator[Finding]:
    if main.scope != "subscription":
        yield main.finding(
            "scope", main.root, "main.bicep makes the resource group: targetScope = 'subscription'"
        )
    for name in sorted(agreed().outputs ^ main.outputs.keys()):
        what = "is not among the agreed outputs" if name in main.outputs else "is missing among the outputs"
        yield main.finding("output", main.root, f"{name} {what}")
    groups = [made for made in main.resources.values() if made.kind == "Microsoft.Resources/resourceGroups"]
    tags = [tag for made in groups if (tag := value_of(made.body, "tags")) is not None]
    if not any("azd-env-name" in (known_keys(main, tag) or ()) for tag in tags):
        yield main.finding("azd", main.root, "the resource group needs the tag azd-env-name")
    asked = yield from _check_values(folder, main)
    yield from _check_azure_yaml(folder.root.parent / "azure.yaml", asked)


def _check_values(folder: Folder, main: BicepFile) -> Iterator[Finding]:
    """``main.parameters.json`` gives what is declared and needed; returns the variables that it asks for."""
    path = folder.root / "main.parameters.json"
    if not path.is_file():
        yield main.finding("values", main.root, "there is no main.parameters.json")
        return set()
    values: dict[str, Any] = json.loads(path.read_text("utf-8"))["parameters"]
    asked = set()
    for name, given in values.items():
        if name not in main.parameters:
            yield Finding(rule="values", file=path, line=1, text=f"main.bicep has no parameter {name}")
        elif "secure" in main.parameters[name].decorators and not _PLACEHOLDER.match(str(given.get("value"))):
            yield Finding(rule="values", file=path, line=1, text=f"{name} is secret and stands here as text")
        asked |= set(_PLACEHOLDER.findall(json.dumps(given)))
    for name, parameter in main.parameters.items():
        if name not in values and not parameter.is_optional:
            yield Finding(rule="values", file=path, line=1, text=f"{name} is missing")
        default = literal(parameter.value) if parameter.value is not None else None
        given = values.get(name, {}).get("value")
        if (
            isinstance(default, str)
            and default
            and isinstance(given, str)
            and not given.endswith(f"={default}}}")
        ):
            text = f"{name}: write ${{NAME={default}}}, or an empty variable takes the place of the default"
            yield Finding(rule="values", file=path, line=1, text=text)
    return asked - _OF_AZD


def _check_azure_yaml(path: Path, asked: set[str]) -> Iterator[Finding]:
    """Names the project and this folder, and hands on every variable that the parameters ask for."""

    def finding(text: str) -> Finding:
        return Finding(rule="azd", file=path, line=1, text=text)

    if not path.is_file():
        yield finding("there is no azure.yaml")
        return
    said = yaml.safe_load(path.read_text("utf-8"))
    for key in sorted(said.keys() - _AZURE_YAML):
        yield finding(f"{key} is no key of azure.yaml")
    if not re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", str(said.get("name", ""))):
        yield finding("name is missing, or has other than small letters, digits and dashes")
    infra = said.get("infra", {})
    if (infra.get("provider"), infra.get("path"), infra.get("module")) != ("bicep", "infra", "main"):
        yield finding("infra has to be {provider: bicep, path: infra, module: main}")
    pipeline = said.get("pipeline", {})
    secret = set(pipeline.get("secrets", ()))
    for name in sorted((set(pipeline.get("variables", ())) | secret) ^ asked):
        yield finding(f"{name} is asked for in only one of main.parameters.json and pipeline")
    for name in sorted(name for name in asked if "PASSWORD" in name and name not in secret):
        yield finding(f"{name} belongs among the secrets of the pipeline")
