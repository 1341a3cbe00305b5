"""The rules for one file, without what it calls: syntax, names, symbols, secrets, versions, properties."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tests.support.bicep.agreed import agreed, properties
from tests.support.bicep.references import arguments_of, called, kind_of
from tests.support.bicep.syntax import (
    UNKNOWN,
    BicepFile,
    Finding,
    alternatives,
    elements,
    entries,
    literal,
    member_path,
    text_of,
    value_of,
    walk,
)
from tree_sitter import Node

_CAMEL = re.compile(r"[a-z][A-Za-z0-9]*")
_UPPER = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
_SECRET = re.compile(r"(password|secret|connectionString|token|apiKey|accountKey|sharedKey)$", re.IGNORECASE)
_LEAKS = re.compile(
    r"^(list\w+|getSecret|ConnectionString|InstrumentationKey|primary\w*Key|secondary\w*Key|administratorLoginPassword)$"
)
_TYPES = ("array", "bool", "int", "object", "string")
FREE_KEYS = frozenset(("name", "parent", "scope", "dependsOn"))
"""Keys that Bicep itself gives to every resource."""


def check_syntax(file: BicepFile) -> Iterator[Finding]:
    """Everything was understood."""
    for node in walk(file.root):
        if node.type == "ERROR" or node.is_missing:
            yield file.finding("syntax", node, f"not Bicep: {text_of(node)[:40]!r}")
            return


def check_symbols(file: BicepFile) -> Iterator[Finding]:
    """What is used is declared, what is declared is used, and functions exist where they are called."""
    used = set()
    for node, is_call, known in _uses(file.root, frozenset()):
        name = text_of(node)
        if is_call:
            yield from _check_call(file, node)
        elif name in file.declared:
            used.add(name)
        elif name not in known:
            yield file.finding("undeclared", node, f"{name} is declared nowhere")
    for name, declared in {**file.parameters, **file.variables}.items():
        if name not in used:
            yield file.finding("unused", declared.node, f"{name} is used nowhere")


def _check_call(file: BicepFile, node: Node) -> Iterator[Finding]:
    name = text_of(node)
    if name not in agreed().functions:
        yield file.finding("undeclared", node, f"there is no function {name}")
        return
    has_arguments = node.parent is not None and bool(node.parent.named_children[-1].named_children)
    if name == "resourceGroup" and file.scope != "resourceGroup" and not has_arguments:
        yield file.finding("scope", node, f"resourceGroup() means nothing at the scope {file.scope}")


def _uses(node: Node, known: frozenset[str]) -> Iterator[tuple[Node, bool, frozenset[str]]]:
    """Identifiers that refer to something, whether they are called, and the local names there."""
    if node.type in ("decorators", "type", "primitive_type", "comment", "target_scope_assignment"):
        return
    known = known | _locals(node)
    skipped = _names_of_own(node)
    for child in node.children:
        if child.type in ("identifier", "compatible_identifier"):
            if child.id not in skipped:
                is_called = node.type == "call_expression" and child == node.named_children[0]
                yield child, is_called, known
        else:
            yield from _uses(child, known)


def _locals(node: Node) -> frozenset[str]:
    """Names that a loop, or lambdas among arguments, bring in."""
    if node.type == "for_statement":
        head = node.children[2]
        return frozenset(
            text_of(item) for item in ([head] if not head.named_children else head.named_children)
        )
    if node.type == "arguments":
        lambdas = (item for child in node.named_children for item in _lambdas(child))
        return frozenset(text_of(name) for item in lambdas for name in _lambda_names(item))
    return frozenset()


def _lambdas(node: Node) -> Iterator[Node]:
    while node.type in ("member_expression", "subscript_expression"):
        node = node.named_children[0]  # the grammar binds `x => x.y` as a member of a lambda
    if node.type == "lambda_expression":
        yield node


def _lambda_names(node: Node) -> list[Node]:
    head = node.named_children[0]
    return [head] if head.type == "identifier" else head.named_children


def _names_of_own(node: Node) -> frozenset[int]:
    """Identifiers below a node that name, and do not refer."""
    children = [child for child in node.children if child.type != "comment"]
    if node.type.endswith("_declaration"):
        return frozenset(child.id for child in children[1:2])
    if node.type == "object_property":
        return frozenset(child.id for child in children[:1])
    if node.type == "for_statement":
        return frozenset(child.id for child in children[2:3])
    return frozenset()


def check_names(file: BicepFile) -> Iterator[Finding]:
    """Small beginnings; outputs of main.bicep as variables of an environment; yes or no begins with is or use."""
    is_main = file.path.name == "main.bicep"
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\.bicep", file.path.name):
        yield file.finding("name", file.root, f"{file.path.name}: small letters and dashes")
    for name, item in file.declared.items():
        if not _CAMEL.fullmatch(name):
            yield file.finding("name", item.node, f"{name}: small first letter, then no underscores")
    for name, item in file.outputs.items():
        if not (_UPPER if is_main else _CAMEL).fullmatch(name):
            yield file.finding(
                "name", item.node, f"output {name}: {'CAPITALS' if is_main else 'small first letter'}"
            )
    for name, parameter in file.parameters.items():
        if parameter.type.startswith("bool") and not re.match(r"(is|use)[A-Z]", name):
            yield file.finding("name", parameter.node, f"{name} is yes or no: begin it with is or use")


def check_types(file: BicepFile) -> Iterator[Finding]:
    """Types and decorators are among those that there are, and what stands behind = is of the type."""
    for name, item in {**file.parameters, **file.outputs}.items():
        wanted = item.type.rstrip("?")
        if wanted not in _TYPES:
            yield file.finding("type", item.node, f"{name}: {wanted} is none of {', '.join(_TYPES)}")
        for found in alternatives(item.value) if item.value is not None else ():
            kind = kind_of(file, found)
            if kind not in ("", wanted):
                yield file.finding("type", found, f"{name} is {wanted}, not {kind}")
    for item in (*file.parameters.values(), *file.variables.values(), *file.outputs.values()):
        for decorator in sorted(item.decorators.keys() - agreed().decorators):
            yield file.finding("type", item.node, f"there is no decorator {decorator}")


def check_parameters(file: BicepFile) -> Iterator[Finding]:
    """Parameters say what they mean, and secret ones are marked and have no default."""
    for name, parameter in file.parameters.items():
        said = parameter.decorators.get("description", ())
        if not said or not str(literal(said[0])).strip():
            yield file.finding("description", parameter.node, f"{name} has no @description")
        is_secure = "secure" in parameter.decorators
        if is_secure and parameter.value is not None:
            yield file.finding("secure-default", parameter.node, f"{name} is secret and has a default")
        if _SECRET.search(name) and not is_secure and parameter.type.startswith("string"):
            yield file.finding("secure", parameter.node, f"{name} seems to be secret: mark it with @secure()")


def check_secrets(file: BicepFile) -> Iterator[Finding]:
    """No output tells a secret, and no secret stands in a file."""
    tainted = {name for name, item in file.parameters.items() if "secure" in item.decorators}
    for _ in file.variables:  # variables of variables
        tainted |= {
            name
            for name, item in file.variables.items()
            if item.value is not None and _leak(item.value, tainted)
        }
    for name, output in file.outputs.items():
        leak = _leak(output.value, tainted) if output.value is not None else ""
        if leak or _SECRET.search(name) or "CONNECTION_STRING" in name:
            yield file.finding("secret-output", output.node, f"output {name} tells a secret: {leak or name}")
    for made in file.resources.values():
        for node in walk(made.body):
            if node.type == "object_property":
                yield from _check_literal_secret(file, made.kind, node)


def _leak(node: Node, tainted: set[str]) -> str:
    """The part of an expression that is secret; empty where there is none."""
    for item in walk(node):
        text = text_of(item)
        if item.type in ("identifier", "property_identifier") and (_LEAKS.match(text) or text in tainted):
            return text
    return ""


def _check_literal_secret(file: BicepFile, kind: str, node: Node) -> Iterator[Finding]:
    key = text_of(node.named_children[0])
    is_secret = key == "administratorLoginPassword" or (key == "value" and kind.endswith("/secrets"))
    if is_secret and isinstance(literal(node.named_children[-1]), str):
        yield file.finding("secret-text", node, f"{key} stands here as text")


def check_versions(file: BicepFile) -> Iterator[Finding]:
    """The API version of every resource is the one that was agreed."""
    for made in file.resources.values():
        kind, _, version = made.target.partition("@")
        wanted = agreed().versions.get(kind)
        if wanted is None:
            yield file.finding("api-version", made.node, f"{kind} is not in agreed.yaml")
        elif version != wanted:
            yield file.finding("api-version", made.node, f"{kind}: {version}, agreed is {wanted}")


def check_needs(file: BicepFile) -> Iterator[Finding]:
    """No resource leaves out what it cannot be without: its parent, its place, its tags, and what its type needs."""
    for made in file.resources.values():
        if made.is_existing:
            continue
        keys = properties().get(made.target, {}).get("objects", {}).get("", ())
        general = ("location", "parent") if made.kind.count("/") > 1 else ("location", "tags")
        wanted = [key for key in general if key in keys or key == "parent"] + agreed().needs.get(
            made.kind, []
        )
        for path in wanted:
            if value_of(made.body, *path.split(".")) is None:
                yield file.finding("must", made.node, f"{made.kind} needs {path}")


def check_must(file: BicepFile) -> Iterator[Finding]:
    """What every resource of a type has to say, it says."""
    for made in file.resources.values():
        if value_of(made.body, "name") is None:
            yield file.finding("must", made.node, f"{made.name} needs a name")
        if made.is_existing:
            continue
        for path, wanted in agreed().must.get(made.kind, {}).items():
            found = value_of(made.body, *path.split("."))
            if found is None or wanted not in (literal(found), text_of(found)):
                said = str(wanted).lower() if isinstance(wanted, bool) else wanted
                yield file.finding("must", found or made.node, f"{made.kind} needs {path}: {said}")


def check_properties(file: BicepFile) -> Iterator[Finding]:
    """Keys and literal values are among those that Azure knows for the type and version."""
    for made in file.resources.values():
        known = properties().get(made.target)
        if made.is_existing:
            for key, (node, _) in entries(made.body).items():
                if key not in FREE_KEYS:
                    yield file.finding("property", node, f"{key} says nothing about what is there already")
            continue
        if made.kind not in agreed().versions:
            continue
        if known is None:
            yield file.finding(
                "property", made.node, f"no keys of {made.target} are known: make infra-schemas"
            )
        else:
            yield from _check_object(file, made.body, "", known)


def _check_object(file: BicepFile, node: Node, path: str, known: dict[str, Any]) -> Iterator[Finding]:
    keys = known["objects"].get(path)
    if keys is None:
        yield file.finding("property", node, f"no keys of {path} are known: make infra-schemas")
        return
    for key, (key_node, value) in entries(node).items():
        if keys != "any" and key not in keys and (path or key not in FREE_KEYS):
            yield file.finding("property", key_node, f"{path + '.' if path else ''}{key} does not exist")
        elif path or key not in FREE_KEYS:
            below = "*" if keys == "any" else key
            yield from _check_value(file, value, f"{path}.{below}" if path else below, known)


def _check_value(file: BicepFile, node: Node, path: str, known: dict[str, Any]) -> Iterator[Finding]:
    for found in alternatives(node):
        made = _made_objects(file, found)
        if found.type == "object":
            yield from _check_object(file, found, path, known)
        elif made is not None:
            yield from _check_value(file, made, f"{path}.*", known)
        elif found.type in ("array", "for_statement"):
            for item in elements(found):
                yield from _check_value(file, item, f"{path}[]", known)
        elif (value := literal(found)) is not UNKNOWN and value is not None:
            yield from _check_literal(file, found, value, path, known["values"].get(path))


def _made_objects(file: BicepFile, node: Node) -> Node | None:
    """What each value of an object is that ``toObject`` makes, perhaps in a variable; ``None`` for anything else."""
    if node.type == "identifier" and text_of(node) in file.variables:
        value = file.variables[text_of(node)].value
        return _made_objects(file, value) if value is not None else None
    last = arguments_of(node)[-1] if called(node) == "toObject" else None
    return last.named_children[-1] if last is not None and last.type == "lambda_expression" else None


def _check_literal(file: BicepFile, node: Node, value: Any, path: str, wanted: Any) -> Iterator[Finding]:
    if isinstance(wanted, list) and value not in wanted:
        yield file.finding("property", node, f"{path}: {value!r} is none of {wanted}")
    elif isinstance(wanted, str) and wanted != _type_of(value):
        yield file.finding("property", node, f"{path}: {value!r} is no {wanted}")


def _type_of(value: Any) -> str:
    return {bool: "boolean", int: "number", str: "string"}[type(value)]


def check_roles(file: BicepFile) -> Iterator[Finding]:
    """Roles are among those that may be assigned, by names that say to whom, and never in a subscription."""
    for node in walk(file.root):
        is_id = node.type == "string_content" and re.fullmatch(r"[0-9a-fA-F-]{36}", text_of(node))
        if is_id and text_of(node).lower() not in agreed().roles:
            yield file.finding("role", node, f"{text_of(node)} is no role of agreed.yaml")
    for made in file.resources.values():
        if made.kind == "Microsoft.Authorization/roleAssignments":
            yield from _check_assignment(file, made.body, made.node)


def _check_assignment(file: BicepFile, body: Node, node: Node) -> Iterator[Finding]:
    if file.scope != "resourceGroup":
        yield file.finding("role", node, f"a role in the whole {file.scope} is too wide")
    scope = value_of(body, "scope")
    if scope is not None and text_of(scope) not in file.resources:
        yield file.finding("role", scope, f"{text_of(scope)} is no resource of this file")
    name, said = value_of(body, "name"), value_of(body, "properties", "roleDefinitionId")
    if (
        name is None
        or not text_of(name).startswith("guid(")
        or len(name.named_children[-1].named_children) < 3
    ):
        yield file.finding("role", name or node, "the name has to be guid(scope, principal, role)")
    if said is None or not text_of(said).startswith(
        "subscriptionResourceId('Microsoft.Authorization/roleDefinitions',"
    ):
        yield file.finding(
            "role", said or node, "write subscriptionResourceId('Microsoft.Authorization/roleDefinitions', …)"
        )
    if value_of(body, "properties", "principalType") is None:
        yield file.finding(
            "role", node, "principalType is missing: a new principal may not be known everywhere yet"
        )


def check_federation(file: BicepFile) -> Iterator[Finding]:
    """Pipelines sign in from one environment of a repository each, and an identity gets its credentials one by one."""
    for made in file.resources.values():
        if not made.kind.endswith("/federatedIdentityCredentials"):
            continue
        subject = value_of(made.body, "properties", "subject")
        told = text_of(subject) if subject is not None else ""
        if not re.fullmatch(r"'repo:\$\{\w+\}:environment:\$\{\w+\}'", told):
            yield file.finding(
                "federation", subject or made.node, "the subject has to be repo:…:environment:… of one"
            )
        before = made.node.prev_named_sibling
        if before is None or text_of(before).strip() != "@batchSize(1)":
            yield file.finding("federation", made.node, "an identity takes one at a time: @batchSize(1)")


FILE_RULES = (
    check_symbols,
    check_names,
    check_types,
    check_parameters,
    check_secrets,
    check_versions,
    check_must,
    check_needs,
    check_properties,
    check_roles,
    check_federation,
)


def names_of(node: Node) -> Iterator[tuple[str, ...]]:
    """Every ``a.b.c`` below a node, the longest each."""
    path = member_path(node)
    if path:
        yield path
        return
    for child in node.children:
        yield from names_of(child)
