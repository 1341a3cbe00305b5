"""Compare two versions of a flow by what they mean: node by node, prompts and code as text, the rest as values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import unified_diff
from typing import Any

from headrace.domain.flow_diff import ABSENT, Change, FlowDiff, FlowParts
from headrace.domain.reference import is_reference

_MODEL_INPUTS = ("model", "deployment_name")
_SECTIONS = {"inputs": "input", "outputs": "output", "environment_variables": "environment", "init": "input"}
_SINGLE = {
    "additional_includes": "include",
    "environment": "requirements",
    "entry": "code",
    "code": "code",
    "sample": "input",
}
_NODE_PARTS = {"connection": "connection", "activate": "wiring", "source": "setting"}
_NOT_LISTED = ("nodes", "node_variants", "model", *_SECTIONS, *_SINGLE)


def diff_flows(before: FlowParts, after: FlowParts) -> FlowDiff:
    """All differences between two versions of a flow, or between two flows.

    Args:
        before: The one.
        after: The other; nodes come in its order.
    """
    one, other = _mapping(before.data), _mapping(after.data)
    seen: set[str] = {before.file, after.file}
    changes: list[Change] = []
    for section, kind in _SECTIONS.items():
        changes += _diff_values(kind, "", one.get(section), other.get(section))
    changes += _diff_nodes(before, after, seen)
    changes += _diff_prompty(before, after)
    for key, kind in _SINGLE.items():
        changes += _change(kind, "", key, one.get(key, ABSENT), other.get(key, ABSENT))
    for key in sorted({*one, *other}.difference(_NOT_LISTED)):
        changes += _change("setting", "", key, one.get(key, ABSENT), other.get(key, ABSENT))
    changes += _diff_files(before, after, seen)
    return FlowDiff(
        before=before.name,
        after=after.name,
        before_digest=before.digest,
        after_digest=after.digest,
        changes=tuple(changes),
    )


def _diff_nodes(before: FlowParts, after: FlowParts, seen: set[str]) -> Iterator[Change]:
    old, new = _nodes(before.data), _nodes(after.data)
    for name in (*new, *(name for name in old if name not in new)):
        kind = "variant" if "." in name else "node"
        if name not in old:
            yield Change(kind=kind, node=name, what="added", after=_summary(new[name]))
        elif name not in new:
            yield Change(kind=kind, node=name, what="removed", before=_summary(old[name]))
        else:
            yield from _diff_node(name, old[name], new[name])
        yield from _diff_source(name, old.get(name), new.get(name), before, after, seen)
    one, other = _defaults(before.data), _defaults(after.data)
    for name in sorted({*one, *other}):
        yield from _change(
            "variant", name, "default_variant_id", one.get(name, ABSENT), other.get(name, ABSENT)
        )


def _diff_node(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    yield from _diff_inputs(name, _mapping(old.get("inputs")), _mapping(new.get("inputs")))
    for key in sorted({*old, *new}.difference(("name", "inputs"))):
        one, other = old.get(key, ABSENT), new.get(key, ABSENT)
        if key == "source":  # a path is told with the text that it leads to
            one, other = _without_path(one), _without_path(other)
        yield from _change(_NODE_PARTS.get(key, "setting"), name, key, one, other)


def _diff_inputs(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    for key in (*new, *(key for key in old if key not in new)):
        one, other = old.get(key, ABSENT), new.get(key, ABSENT)
        kind = "wiring" if is_reference(one) or is_reference(other) else "parameter"
        yield from _change("model" if key in _MODEL_INPUTS else kind, name, key, one, other)


def _diff_source(
    name: str,
    old: Mapping[str, Any] | None,
    new: Mapping[str, Any] | None,
    before: FlowParts,
    after: FlowParts,
    seen: set[str],
) -> Iterator[Change]:
    one, other = _source(old), _source(new)
    seen.update(path for path in (one, other) if path is not None)
    if old is None or new is None or (one is None and other is None):
        text = _text_diff(one, other, before, after) if one or other else ()
        if text:
            yield Change(kind=_source_kind(one or other or ""), node=name, what=one or other or "", text=text)
        return
    if one != other or _digest(before, one) != _digest(after, other):
        what = other or one or ""
        if one != other and _digest(before, one) == _digest(after, other):
            yield Change(kind="setting", node=name, what="source.path", before=one, after=other)
        else:
            yield Change(
                kind=_source_kind(what),
                node=name,
                what=what if one == other else f"{one} -> {other}",
                text=_text_diff(one, other, before, after),
            )


def _diff_prompty(before: FlowParts, after: FlowParts) -> Iterator[Change]:
    one, other = _mapping(_mapping(before.data).get("model")), _mapping(_mapping(after.data).get("model"))
    old, new = _mapping(one.get("configuration")), _mapping(other.get("configuration"))
    for key in (*new, *(key for key in old if key not in new)):
        kind = {"connection": "connection", "model": "model", "azure_deployment": "model"}.get(
            key, "parameter"
        )
        yield from _change(kind, "", key, old.get(key, ABSENT), new.get(key, ABSENT))
    yield from _diff_values("parameter", "", one.get("parameters"), other.get("parameters"))
    for key in sorted({*one, *other}.difference(("configuration", "parameters"))):
        yield from _change("setting", "", f"model.{key}", one.get(key, ABSENT), other.get(key, ABSENT))
    if before.body != after.body:
        text = _unified(before.body, after.body, before.file, after.file)
        yield Change(kind="prompt", node="", what=after.file or before.file, text=text)


def _diff_files(before: FlowParts, after: FlowParts, seen: set[str]) -> Iterator[Change]:
    """What no node names itself: modules, further prompts, requirements, data."""
    for path in sorted({*before.files, *after.files}.difference(seen)):
        if _digest(before, path) == _digest(after, path):
            continue
        kind = (after.files.get(path) or before.files[path])[0]
        one = path if path in before.files else None
        other = path if path in after.files else None
        yield Change(kind=kind, node="", what=path, text=_text_diff(one, other, before, after))


def _diff_values(kind: str, node: str, old: Any, new: Any) -> Iterator[Change]:
    one, other = _mapping(old), _mapping(new)
    for key in (*other, *(key for key in one if key not in other)):
        yield from _change(kind, node, str(key), one.get(key, ABSENT), other.get(key, ABSENT))


def _change(kind: str, node: str, what: str, before: Any, after: Any) -> Iterator[Change]:
    if type(before) is not type(after) or before != after:
        yield Change(kind=kind, node=node, what=what, before=before, after=after)


def _text_diff(one: str | None, other: str | None, before: FlowParts, after: FlowParts) -> tuple[str, ...]:
    """The lines of a unified diff; one that says so where a file is no text or is not kept."""
    old = before.files.get(one, ("", "", "")) if one is not None else ("", "", "")
    new = after.files.get(other, ("", "", "")) if other is not None else ("", "", "")
    if old[2] is None or new[2] is None:
        return ("(no text, or too large to be kept)",)
    return _unified(old[2], new[2], one or "/dev/null", other or "/dev/null")


def _unified(old: str, new: str, old_name: str, new_name: str) -> tuple[str, ...]:
    lines = unified_diff(old.split("\n"), new.split("\n"), old_name, new_name, lineterm="")
    return tuple(lines)


def _digest(parts: FlowParts, path: str | None) -> str | None:
    file = parts.files.get(path) if path is not None else None
    return file[1] if file else None


def _nodes(data: Any) -> dict[str, Mapping[str, Any]]:
    """Nodes by name and variants by ``node.variant``."""
    nodes = _mapping(data).get("nodes")
    found: dict[str, Mapping[str, Any]] = {
        str(node.get("name")): node for node in nodes or () if isinstance(node, dict)
    }
    for name, offer in _mapping(_mapping(data).get("node_variants")).items():
        for variant, value in _mapping(_mapping(offer).get("variants")).items():
            node = _mapping(value).get("node")
            if isinstance(node, dict):
                found[f"{name}.{variant}"] = node
    return found


def _defaults(data: Any) -> dict[str, Any]:
    offers = _mapping(_mapping(data).get("node_variants"))
    return {str(name): _mapping(offer).get("default_variant_id") for name, offer in offers.items()}


def _source(node: Mapping[str, Any] | None) -> str | None:
    path = _mapping(node.get("source")).get("path") if node is not None else None
    return path if isinstance(path, str) else None


def _without_path(source: Any) -> Any:
    return (
        {key: item for key, item in source.items() if key != "path"} if isinstance(source, dict) else source
    )


def _source_kind(path: str) -> str:
    return "code" if path.endswith(".py") else "prompt"


def _summary(node: Mapping[str, Any]) -> str:
    source = _source(node)
    return f"{node.get('type') or 'variants'} {source}" if source else str(node.get("type") or "variants")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
