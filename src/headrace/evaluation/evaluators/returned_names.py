"""Names of the scores that Python of the project gives, as far as its text says, so that nobody pays to learn them."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from headrace.evaluation.evaluators.results import is_one_score

_NUMBERS = frozenset(("bool", "float", "int", "len", "round", "str"))
"""Builtins whose result is a number or a text, as which they stand for annotations as well."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def returned_names(source: str, name: str, evaluator: str) -> frozenset[str] | None:
    """Names that the scores of a line may have.

    Args:
        source: Text of the file.
        name: The function, or the class whose objects are called, at the top of the file.
        evaluator: What the evaluator is called, which is also the name of a single score.

    Returns:
        All of them, of which some lines may lack some; ``None`` where the text leaves that open.
    """
    try:
        found = [item for item in ast.parse(source).body if name in _bound(item)]
    except (SyntaxError, ValueError):
        return None
    function = _called(found[0]) if len(found) == 1 else None
    if function is None or function.decorator_list:
        return None
    if isinstance(function.returns, ast.Name) and function.returns.id in _NUMBERS:
        return frozenset((evaluator,))
    names: set[str] = set()
    for item in _inside(function):
        if isinstance(item, (ast.Yield, ast.YieldFrom)):
            return None
        if isinstance(item, ast.Return):
            given = _names_of(item.value, evaluator)
            if given is None:
                return None
            names |= given
    return frozenset(names) or None


def _bound(item: ast.stmt) -> frozenset[str]:
    """Names that a statement at the top of a file gives a value, wherever in it."""
    if isinstance(item, (_Function, ast.ClassDef)):
        return frozenset((item.name,))
    names: set[str] = set()
    for node in ast.walk(item):
        if isinstance(node, (_Function, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add(node.asname or node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return frozenset(names)


def _called(item: ast.stmt) -> _Function | None:
    if isinstance(item, _Function):
        return item
    if not isinstance(item, ast.ClassDef) or item.bases or item.keywords or item.decorator_list:
        return None
    calls = [part for part in item.body if isinstance(part, _Function) and part.name == "__call__"]
    return calls[0] if len(calls) == 1 else None


def _inside(item: ast.AST) -> Iterator[ast.AST]:
    """All that a function does itself, without the functions and classes in it."""
    for part in ast.iter_child_nodes(item):
        if not isinstance(part, (_Function, ast.Lambda, ast.ClassDef)):
            yield part
            yield from _inside(part)


def _names_of(value: ast.expr | None, evaluator: str) -> set[str] | None:
    """Names that one returned expression gives; ``None`` where they are not to be seen."""
    match value:
        case None | ast.Constant(value=None):
            return set()
        case ast.Constant() | ast.Compare() | ast.UnaryOp(op=ast.Not()) | ast.JoinedStr():
            return {evaluator}
        case ast.Call(func=ast.Name(id=name)) if name in _NUMBERS:
            return {evaluator}
        case ast.IfExp(body=body, orelse=orelse):
            one, other = _names_of(body, evaluator), _names_of(orelse, evaluator)
            return None if one is None or other is None else one | other
        case ast.Dict(keys=keys):
            names = [
                key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)
            ]
            if len(names) < len(keys):
                return None
            return {evaluator} if is_one_score(names) else set(names)
    return None
