"""The nodes of a flow file and their variants."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from headrace.domain.flow import Activate, Node, NodeVariants, ToolSource
from headrace.domain.reference import is_reference, parse_reference
from headrace.errors import nearest
from headrace.formats.shape import WARNING, Block, Findings
from headrace.source import Pointer

NODE_TYPES = ("python", "prompt", "llm", "custom_llm")
_FOREIGN_TYPES = ("csharp", "action")
_SOURCE_TYPES = ("code", "package", "package_with_prompt")
_SOURCES_OF = {
    "python": ("code", "package"),
    "prompt": ("code",),
    "llm": ("code",),
    "custom_llm": ("package_with_prompt",),
}
_TEMPLATE_TYPES = ("prompt", "llm")
"""Node types whose source is a template, whatever its type says: prompt flow does not look at it."""
_NODE_KEYS = (
    "name", "type", "source", "inputs", "connection", "provider", "api", "module", "activate", "aggregation",
    "reduce", "use_variants", "enable_cache", "comment", "tool",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowNodes:
    """What the ``nodes`` and ``node_variants`` blocks hold."""

    nodes: tuple[Node, ...]
    variants: Mapping[str, NodeVariants]
    unread: tuple[str, ...]


def value_or_reference(value: Any) -> Any:
    """A :class:`~headrace.domain.reference.Reference` for text of the form ``${…}``, else the value."""
    return parse_reference(value) if is_reference(value) else value


def read_nodes(root: Block) -> FlowNodes:
    """Read all nodes; broken ones and those whose name is taken are reported and left out."""
    items = root.items("nodes")
    names = {str(value["name"]): value for _, value in items if isinstance(value, dict) and "name" in value}
    variants = _read_variants(root, {name for name, value in names.items() if value.get("use_variants")})
    nodes: dict[str, Node] = {}
    places: dict[str, Pointer] = {}
    if root.data.get("nodes") is None:
        root.missing("nodes", "The flow")
    for pointer, value in items:
        block = Block(value if value is not None else {}, pointer, root.findings)
        name = block.required_text("name", "The node") if isinstance(value, dict | None) else None
        if name is None:
            continue
        if name in places:
            first = root.findings.source_map.span((*places[name], "name"))
            root.findings.add(
                "F008",
                block.at("name"),
                f"Two nodes are called {name!r}.",
                "Rename one of the two and the references to it.",
                related=(("first node of this name", first),),
            )
            continue
        places[name] = pointer
        uses_variants = block.flag("use_variants")
        node = _default_variant(name, block, variants) if uses_variants else _read_node(name, block)
        if node is not None:
            nodes[name] = node
    _warn_strays(root, variants, tuple(names))
    unread = tuple(name for name in names if name not in nodes)
    return FlowNodes(nodes=tuple(nodes.values()), variants=variants, unread=unread)


def _default_variant(name: str, block: Block, variants: Mapping[str, NodeVariants]) -> Node | None:
    if name in variants:
        return variants[name].variants.get(variants[name].default)
    if ("node_variants", name) not in block.findings.source_map.values:
        what = f"The node {name!r} uses variants, but node_variants has none for it."
        fix = f"Add node_variants.{name}, or remove use_variants."
        block.findings.add("V301", block.at("use_variants"), what, fix)
    return None


def _read_variants(root: Block, used: Collection[str]) -> dict[str, NodeVariants]:
    """The variants by node name; those that no node uses are read all the same, and only warn."""
    found: dict[str, NodeVariants] = {}
    for name, block in root.block("node_variants").blocks():
        before = len(root.findings.problems)
        offered = _read_offer(name, block)
        if offered is not None:
            found[name] = offered
        if name not in used:
            _demote(root.findings, before)
    return found


def _read_offer(name: str, block: Block) -> NodeVariants | None:
    block.check_keys(("default_variant_id", "variants"), "The variants block")
    default = block.required_text("default_variant_id", f"node_variants.{name}")
    offered = block.block("variants")
    nodes = {
        variant_id: node
        for variant_id, variant in offered.blocks()
        if (node := _read_variant(name, variant, is_default=variant_id == default)) is not None
    }
    if default is None:
        return None
    if default not in offered:
        guess = nearest(default, tuple(offered.data))
        fix = f'Did you mean "{guess}"?' if guess else f"Choose one of: {', '.join(offered.data)}."
        what = f"The default variant of node {name!r} is not among its variants."
        block.findings.add("V301", block.at("default_variant_id"), what, fix)
    return NodeVariants(node=name, default=default, variants=nodes)


def _read_variant(name: str, block: Block, *, is_default: bool) -> Node | None:
    """One variant's node; what is wrong with one that is not the default only warns: it may never run."""
    findings = block.findings
    before = len(findings.problems)
    block.check_keys(("node", "description"), "The variant")
    if "node" not in block:
        block.missing("node", "The variant")
        node = None
    else:
        node = _read_node(name, block.block("node"))
    is_sound = not findings.has_errors(before)
    if not is_default:
        _demote(findings, before)
    return node if is_sound else None


def _demote(findings: Findings, start: int) -> None:
    """Turn the problems recorded since ``start`` into warnings."""
    later = findings.problems[start:]
    findings.problems[start:] = [replace(problem, severity=WARNING) for problem in later]


def _warn_strays(root: Block, variants: Mapping[str, NodeVariants], known: Sequence[str]) -> None:
    for name in variants:
        if name not in known:
            guess = nearest(name, known)
            root.findings.add(
                "V301",
                ("node_variants", name),
                f"node_variants names {name!r}, but the flow has no such node.",
                f'Did you mean "{guess}"?' if guess else "Remove the block or add the node.",
                severity=WARNING,
                at_key=True,
            )


def _read_node(name: str, block: Block) -> Node | None:
    """One node; ``None`` when it lacks what it cannot work without."""
    owner = f"The node {name!r}"
    block.check_keys(_NODE_KEYS, owner)
    node_type = _read_type(block, owner)
    source = _read_source(block, node_type, owner)
    activate = _read_activate(block, owner)
    inputs = {key: value_or_reference(value) for key, value in block.block("inputs").data.items()}
    is_aggregation = block.flag("aggregation") or block.flag("reduce")
    texts = {key: block.text(key) for key in ("connection", "provider", "api", "module")}
    if node_type is None or source is None:
        return None
    return Node(
        name=name,
        type=node_type,
        source=source,
        inputs=inputs,
        connection=texts["connection"],
        provider=texts["provider"],
        api=texts["api"],
        module=texts["module"],
        activate=activate,
        is_aggregation=is_aggregation,
        pointer=block.pointer,
    )


def _read_type(block: Block, owner: str) -> str | None:
    word = block.required_text("type", owner)
    if word in _FOREIGN_TYPES:
        what = f"{owner} is of a type that headrace does not run."
        block.findings.add("F010", block.at("type"), what, f"Use one of: {', '.join(NODE_TYPES)}.")
    elif word is not None:
        block.word("type", NODE_TYPES)
    return word if word in NODE_TYPES else None


def _read_source(block: Block, node_type: str | None, owner: str) -> ToolSource | None:
    if block.data.get("source") is None:
        block.missing("source", owner)
        return None
    if not isinstance(block.data["source"], dict):
        block.block("source")
        return None
    source = block.block("source")
    source.check_keys(("type", "path", "tool"), f"The source of {owner[0].lower()}{owner[1:]}")
    if node_type in _TEMPLATE_TYPES:
        source.word("type", _SOURCES_OF[node_type], severity=WARNING)
        source_type = "code"
    else:
        source_type = source.word("type", _SOURCE_TYPES) or "code"
    path, tool = source.text("path"), source.text("tool")
    if source_type in ("code", "package_with_prompt") and path is None:
        source.missing("path", f"The source of {owner[0].lower()}{owner[1:]}")
        return None
    if source_type in ("package", "package_with_prompt") and tool is None:
        source.missing("tool", f"The source of {owner[0].lower()}{owner[1:]}")
        return None
    allowed = _SOURCES_OF.get(node_type or "", _SOURCE_TYPES)
    if source_type in _SOURCE_TYPES and source_type not in allowed:
        what = f"{owner} is of type {node_type}, which cannot take its tool from {source_type!r}."
        source.findings.add("F010", source.at("type"), what, f"Use source type {' or '.join(allowed)}.")
    return ToolSource(type=source_type, path=path, tool=tool)


def _read_activate(block: Block, owner: str) -> Activate | None:
    if "activate" not in block:
        return None
    activate = block.block("activate")
    activate.check_keys(("when", "is"), f"The condition of {owner[0].lower()}{owner[1:]}")
    missing = [key for key in ("when", "is") if key not in activate]
    if missing and not isinstance(block.data["activate"], dict | None):
        return None  # no mapping at all, which was reported
    if missing:
        what = f"{owner} has an activate block without {' and '.join(missing)}."
        fix = "Write activate: {when: ${…}, is: value}, or remove the block."
        block.findings.add("F006", activate.pointer, what, fix, at_key=not activate.data)
        return None
    return Activate(when=value_or_reference(activate.data["when"]), equals=activate.data["is"])
